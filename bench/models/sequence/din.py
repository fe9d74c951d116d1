"""Target attention: weights a history's values by the row's own value."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.contracts import Sequence
from bench.models.layers import BatchedLinear


class DinConfig(Config):
    """Options of `din`."""

    hidden: int = Field(16, ge=1, le=1024)
    """Hidden units of the network that weights a value."""


class Din(Sequence):
    """sum_l w_l h_l with w_l = MLP[h_l, t, h_l - t, h_l * t], without softmax, which keeps the
    intensity of interests.

    t is the row's own value. The first layer is computed as A h + B t + C (h * t), where A, B and C
    are sums of its four blocks.
    """

    def __init__(self, dim: int, length: int, sets: int, config: DinConfig) -> None:
        super().__init__(dim, length, sets)
        self.first = BatchedLinear(sets, 4 * dim, config.hidden, nn.init.calculate_gain("relu"))
        self.second = BatchedLinear(sets, config.hidden, 1)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """See `Sequence.forward`."""
        target, past = x[:, :, 0], x[:, :, 1:]
        if (
            x.device.type == "cpu"
            and not torch.compiler.is_compiling()
            and 2 * int(there.sum()) < there.numel()
        ):
            return self._packed(target, past, there)
        of_target = self._of_target(target).unsqueeze(2)
        hidden = self._of_past(past.flatten(1, 2), (past * target.unsqueeze(2)).flatten(1, 2))
        hidden = hidden.view(*past.shape[:3], hidden.shape[2]) + of_target
        weight = self.second(hidden.relu().flatten(1, 2)).view(past.shape[:3]) * there
        return torch.einsum("ibl,ibld->ibd", weight, past)

    def _packed(self, target: Tensor, past: Tensor, there: Tensor) -> Tensor:
        """The same without padding: faster if more than half is padding."""
        row, place = there.nonzero(as_tuple=True)
        h = past.flatten(1, 2).index_select(1, row * past.shape[2] + place)
        t, of_target = (part.index_select(1, row) for part in (target, self._of_target(target)))
        weight = self.second((self._of_past(h, h * t) + of_target).relu())
        return torch.zeros_like(target).index_add(1, row, weight * h)

    def _of_past(self, h: Tensor, product: Tensor) -> Tensor:
        """A h + C (h * t) of n values, (I, n, hidden)."""
        past, _, less, of_product = self._blocks()
        return torch.bmm(h, (past + less).transpose(1, 2)) + torch.bmm(
            product, of_product.transpose(1, 2)
        )

    def _of_target(self, target: Tensor) -> Tensor:
        """B t plus the bias, (I, B, hidden)."""
        _, own, less, _ = self._blocks()
        bias = self.first.bias
        assert bias is not None
        return torch.bmm(target, (own - less).transpose(1, 2)) + bias.unsqueeze(1)

    def _blocks(self) -> tuple[Tensor, ...]:
        """The first layer's blocks for h, t, h - t and h * t, (I, hidden, dim) each."""
        sets, hidden, _ = self.first.weight.shape
        return self.first.weight.view(sets, hidden, 4, -1).unbind(2)
