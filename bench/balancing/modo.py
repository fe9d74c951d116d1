"""MoDo: multi-objective gradients with double sampling."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field
from torch import Tensor

from bench.balancing.gramian import HalvesAggregation, project
from bench.core.registry import Config


class MoDoConfig(Config):
    """Options of MoDo."""

    gamma: float = Field(0.1, gt=0, allow_inf_nan=False)
    """Step size of the weights, in units of the gradients' mean squared norm."""
    rho: float = Field(0.1, ge=0, allow_inf_nan=False)
    """Pull towards equal weights, in the same units."""


class MoDo(HalvesAggregation):
    """T w, where w on the simplex takes one projected step w - gamma (A w + rho w) towards the least norm.

    Chen et al., JMLR 2024. A estimates the Gramian from the batch's two halves, which replace the paper's two batches,
    and the update uses both. A covers the shared dense parameters only: no two samples share a row of the embedding
    output. Without such parameters A is 0 and all weights are 1. Unlike in the paper A is divided by the mean absolute
    value of its diagonal, so gamma is independent of the losses' scale.
    """

    def __init__(self, tasks: Sequence[str], config: MoDoConfig) -> None:
        super().__init__(tasks)
        self.gamma, self.rho = config.gamma, config.rho

    def move(self, a: Tensor, w: Tensor, mass: float) -> tuple[Tensor, Tensor]:
        """See `HalvesAggregation.move`."""
        a = a / a.diagonal().abs().mean().clamp(min=a.abs().max() / len(a))
        w = project(w - self.gamma * (a @ w + self.rho * w), mass)
        return w, w
