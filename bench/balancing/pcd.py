"""Priority-constrained descent (PCD)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from bench.balancing.gramian import Array, Gradients, GramianAggregation, least_distance
from bench.core.registry import Config

_TOO_FAR = 1e-5  # r below which the constraints are dropped: the step would be over 300 times the gradient
_NOTHING = 1e-5  # relative norm of the direction below which it is rounding error


class PCDConfig(Config):
    """Options of PCD."""

    primary: str = ""
    """Name of the primary task; empty means the first task."""
    tau: float = Field(0.02, ge=0, le=1)
    """Share of the progress along its own gradient that every other task is guaranteed."""
    beta: float = Field(0.999, ge=0, lt=1)
    """Decay of the moving average of squared norms by which gradients are normalised."""


class PCD(GramianAggregation):
    """T |g_p| times the direction nearest to the primary task's that gives each other task its guaranteed progress.

    Varam et al., TMLR 2026. Progress is measured on gradients divided by the root of the moving average of their
    squared norms, without the paper's epsilon. Guarantees that cannot all be met are dropped. Where the primary task
    has no samples in the batch, shared parameters get no gradient. A task without samples keeps its average. Raises
    UserError if the primary task is not trained.
    """

    square: Tensor  # (T,): moving average of squared norms
    count: Tensor  # (T,): steps with samples

    def __init__(self, tasks: Sequence[str], config: PCDConfig) -> None:
        super().__init__(tasks)
        self.tau, self.beta = config.tau, config.beta
        self.primary = self.place(config.primary, "pcd.primary") if config.primary else 0
        self.register_buffer("square", torch.zeros(len(self.tasks), dtype=torch.float64))
        self.register_buffer("count", torch.zeros(len(self.tasks), dtype=torch.float64))

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Array:
        """Weights (K,)."""
        normal = gradients.norms / self._usual(gradients.norms, tasks)
        first = tasks == self.primary
        weights = np.zeros(len(gradients))
        if not first.any():
            return weights
        at = int(first.argmax())
        coefficients = first.astype(float)  # of unit gradients, in norms of the primary one
        bounds = (self.tau * normal / normal[at] - gradients.cosines[at])[~first]
        if (bounds > 0).any():
            z, r = least_distance(gradients.directions[:, ~first], bounds)
            if r > _TOO_FAR:
                coefficients[~first] += z / r
        norm = float(np.linalg.norm(gradients.directions @ coefficients))
        if norm > _NOTHING * float(np.abs(coefficients).sum()):
            weights = len(tasks) * coefficients / norm * (gradients.norms[at] / gradients.norms)
        return weights

    def _usual(self, norms: Array, tasks: NDArray[np.intp]) -> Array:
        """Updates the moving averages with these norms; returns their roots (K,), corrected for their start at 0."""
        heard = torch.from_numpy(tasks).to(self.square.device)
        now = torch.from_numpy(norms**2).to(self.square)
        self.square[heard] = self.beta * self.square[heard] + (1 - self.beta) * now
        self.count[heard] += 1
        unbiased = self.square[heard] / (1 - self.beta ** self.count[heard])
        usual: Array = unbiased.sqrt().cpu().numpy()
        return usual
