"""What the aggregations that look at a Gramian as at gradients have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.balancing.base import GradientAggregation

Array = NDArray[np.float64]

# The least eigenvalue that is told from rounding in a float32 Gramian, relative to its trace. Dependent gradients (more
# tasks than directions, or two that oppose each other) are so taken as just independent, which keeps weights bounded.
_ROUNDING = 1e-7
# Where a rule must not see such a direction at all, it takes those as dependent that are this near to it.
DEPENDENT = 1e-6


@dataclass(frozen=True)
class Gradients:
    """K gradients, none zero, in K coordinates: equal to the true ones up to a rotation.

    Lengths are kept apart, so that gradients of lengths 1e-10 and 1e10 are equally precise.

    Attributes:
        directions: (K, K), column i the unit vector of gradient i.
        lengths: (K,).
    """

    directions: Array
    lengths: Array

    @classmethod
    def of(cls, gramian: Array) -> Gradients:
        """From a Gramian (K, K) with a positive diagonal."""
        lengths = np.sqrt(gramian.diagonal())
        values, vectors = np.linalg.eigh(gramian / lengths / lengths[:, None])
        directions = np.sqrt(np.maximum(values, _ROUNDING * values.sum()))[:, None] * vectors.T
        return cls(directions / np.linalg.norm(directions, axis=0), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def cosines(self) -> Array:
        """(K, K)."""
        found: Array = self.directions.T @ self.directions
        return found


class GramianAggregation(GradientAggregation):
    """Leaves out tasks whose gradient is zero (no samples in the batch: they have no say, and their weight is 1).

    A Gramian that is not finite gives weights that are not: the training has diverged, and its loss must show it.
    """

    @abstractmethod
    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Array:
        """Weights (K,) of K >= 1 gradients, those of the tasks with these numbers."""

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,), without gradient."""
        number = torch.finfo(gramian.dtype)
        array = gramian.detach().cpu().double().numpy()
        weights = np.ones(len(array))
        heard = array.diagonal() > 0
        if not np.isfinite(array).all():
            weights[:] = np.nan
        elif heard.any():
            weights[heard] = self.weigh(Gradients.of(array[np.ix_(heard, heard)]), np.flatnonzero(heard))
        return torch.from_numpy(weights.clip(number.min, number.max)).to(gramian)
