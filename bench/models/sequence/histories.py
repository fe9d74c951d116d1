"""Pooling of a history: its mean, and target attention, which weights values by the row's own."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config, NoOptions
from bench.models.contracts import Sequence
from bench.models.layers import BatchedLinear


class Mean(Sequence):
    """The mean of a history without padding; ignores the row's own value."""

    def __init__(self, dim: int, length: int, sets: int, config: NoOptions) -> None:
        super().__init__(dim, length, sets)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Means (I, B, dim) of the histories in x."""
        return torch.einsum("bl,ibld->ibd", shares(there, x.dtype), x[:, :, 1:])


def shares(there: Tensor, dtype: torch.dtype) -> Tensor:
    """there (B, L) -> weight of each value in the mean (B, L); zeros for an empty history."""
    return there.to(dtype) / there.sum(1, keepdim=True).clamp(min=1)


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
        """Weighted sums (I, B, dim) of the histories in x."""
        target, history = x[:, :, 0], x[:, :, 1:]
        can_pack = x.device.type == "cpu" and not torch.compiler.is_compiling()
        if can_pack and 2 * int(there.sum()) < there.numel():
            return self._packed(target, history, there)
        of_target = self._of_target(target).unsqueeze(2)
        h = history.flatten(1, 2)
        of_history = self._of_history(h, (history * target.unsqueeze(2)).flatten(1, 2))
        hidden = of_history.view(*history.shape[:3], of_history.shape[2]) + of_target
        weights = self.second(hidden.relu().flatten(1, 2)).view(history.shape[:3]) * there
        return torch.einsum("ibl,ibld->ibd", weights, history)

    def _packed(self, target: Tensor, history: Tensor, there: Tensor) -> Tensor:
        """The same without padding: faster if more than half is padding."""
        row, place = there.nonzero(as_tuple=True)
        h = history.flatten(1, 2).index_select(1, row * history.shape[2] + place)
        of_target = self._of_target(target)
        t = target.index_select(1, row)
        of_target = of_target.index_select(1, row)
        weights = self.second((self._of_history(h, h * t) + of_target).relu())
        return torch.zeros_like(target).index_add(1, row, weights * h)

    def _of_history(self, h: Tensor, product: Tensor) -> Tensor:
        """A h + C (h * t) of n values, (I, n, hidden)."""
        of_h, _, of_difference, of_product = self._blocks()
        a = (of_h + of_difference).transpose(1, 2)
        c = of_product.transpose(1, 2)
        return torch.bmm(h, a) + torch.bmm(product, c)

    def _of_target(self, target: Tensor) -> Tensor:
        """B t plus the bias, (I, B, hidden)."""
        _, of_target, of_difference, _ = self._blocks()
        b = (of_target - of_difference).transpose(1, 2)
        bias = self.first.bias
        assert bias is not None
        return torch.bmm(target, b) + bias.unsqueeze(1)

    def _blocks(self) -> tuple[Tensor, ...]:
        """The first layer's blocks for h, t, h - t and h * t, (I, hidden, dim) each."""
        sets, hidden, _ = self.first.weight.shape
        return self.first.weight.view(sets, hidden, 4, -1).unbind(2)
