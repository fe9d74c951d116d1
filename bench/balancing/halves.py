"""What MoDo and SDMGrad have in common: weights on the simplex that move by the products of a batch's two halves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from bench.balancing.base import GradientAggregation, Need
from bench.balancing.simplex import mass_of


class HalvesAggregation(GradientAggregation):
    """Keeps w on the simplex. A task without a product in the batch has no say: its w stays, and its weight is 1."""

    needs: ClassVar[frozenset[Need]] = frozenset({"half batches"})
    weight: Tensor  # (T,): on the simplex

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        many = len(self.tasks)
        self.register_buffer("weight", torch.full((many,), 1.0 / many, dtype=torch.float64))

    @abstractmethod
    def move(self, a: Tensor, w: Tensor, mass: float) -> tuple[Tensor, Tensor]:
        """Products a (K, K) and w (K,), which sum to `mass`, both float64 -> the next w, and what the step goes by."""

    def forward(self, gramian: Tensor) -> Tensor:
        """The halves' products (T, T) -> weights (T,) >= 0."""
        heard = (gramian != 0).any(1) | (gramian != 0).any(0)
        weights = torch.ones_like(self.weight)
        if bool(heard.any()):
            a, w = gramian.to(self.weight)[heard][:, heard], self.weight[heard]
            mass = mass_of(w, len(heard))
            self.weight[heard], by = self.move(a, w, mass)
            weights[heard] = by * (len(w) / mass)
        return weights.to(gramian)
