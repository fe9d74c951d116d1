"""Shared code of MoCo, MoDo and SDMGrad: weights on the simplex that move a little at each step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from bench.balancing.base import GradientAggregation, Need


def project(point: Tensor, mass: float) -> Tensor:
    """The nearest w >= 0 with sum_i w_i = mass to a point (K,); Held, Wolfe & Crowder 1974."""
    ordered = point.sort(descending=True).values
    excess = (ordered.cumsum(0) - mass) / torch.arange(1, len(point) + 1, device=point.device)
    return (point - excess[int((ordered > excess).sum()) - 1]).clamp(min=0.0)


def mass_of(weights: Tensor, everyone: int) -> float:
    """What heard tasks share among them, K / T where they had nothing."""
    mass = float(weights.sum())
    return mass if mass > 1e-9 else len(weights) / everyone


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
