"""Target attention: what of a history is like the row's own value."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.models.mlp import BatchedLinear
from bench.models.sequence.base import Sequence
from bench.registry import Config


class DinConfig(Config):
    """Options of `din`."""

    hidden: int = Field(32, ge=1, le=1024)
    """Units of the hidden layer that weighs a value."""


class Din(Sequence):
    """sum_l w_l h_l with w_l = MLP[h_l, t, h_l - t, h_l * t], without softmax: strong interests stay strong.

    t is the row's own value. The first layer is computed as A h + B t + C (h * t), where A, B and C are sums of its
    four blocks; B t is computed once a row.
    """

    def __init__(self, dim: int, length: int, sets: int, config: DinConfig) -> None:
        super().__init__(dim, length, sets)
        self.first = BatchedLinear(sets, 4 * dim, config.hidden, nn.init.calculate_gain("relu"))
        self.second = BatchedLinear(sets, config.hidden, 1)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """See `Sequence.forward`."""
        target, past = x[:, :, 0], x[:, :, 1:]
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            row, place = there.nonzero(as_tuple=True)  # most histories are shorter than their places
            h = past.flatten(1, 2).index_select(1, row * past.shape[2] + place)
            t, of_target = (part.index_select(1, row) for part in (target, self._of_target(target)))
            weight = self._weights(h, t, of_target)
            return torch.zeros_like(target).index_add(1, row, weight * h)
        t = target.unsqueeze(2).expand(-1, -1, past.shape[2], -1)
        of_target = self._of_target(target).unsqueeze(2).expand(-1, -1, past.shape[2], -1)
        flat = [part.flatten(1, 2) for part in (past, t, of_target)]
        weight = self._weights(*flat).view(*past.shape[:3], 1) * there.unsqueeze(2)
        return (weight * past).sum(2)

    def _blocks(self) -> tuple[Tensor, ...]:
        """Those of the first layer for h, t, h - t and h * t, (I, hidden, dim) each."""
        sets, hidden, _ = self.first.weight.shape
        return self.first.weight.view(sets, hidden, 4, -1).unbind(2)

    def _of_target(self, target: Tensor) -> Tensor:
        """B t plus the bias, (I, B, hidden)."""
        _, own, less, _ = self._blocks()
        bias = self.first.bias
        assert bias is not None
        return torch.bmm(target, (own - less).transpose(1, 2)) + bias.unsqueeze(1)

    def _weights(self, h: Tensor, t: Tensor, of_target: Tensor) -> Tensor:
        """(I, n, 1) of n values h (I, n, dim) in rows of value t (I, n, dim)."""
        past, _, less, product = self._blocks()
        hidden = torch.bmm(torch.cat([h, h * t], 2), torch.cat([past + less, product], 2).transpose(1, 2)) + of_target
        weights: Tensor = self.second(hidden.relu())
        return weights
