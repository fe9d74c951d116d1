"""Aggregations that read a Gramian as gradients."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.arrays import Floats
from bench.models.balancing.base import GradientAggregation

# Lower bound of a float32 Gramian's eigenvalues, relative to its trace: rounding hides smaller
# ones. It makes dependent gradients (more tasks than directions, or two opposed ones) just
# independent, which keeps weights bounded.
_ROUNDING = 1e-7
# Relative eigenvalue below which a rule that must ignore dependent directions drops one.
DEPENDENT = 1e-6


@dataclass(frozen=True)
class Gradients:
    """K non-zero gradients in K coordinates, equal to the true ones up to a rotation.

    Norms are kept apart, so gradients of norms 1e-10 and 1e10 are equally precise.

    Attributes:
        directions: (K, K), column i the unit vector of gradient i.
        norms: (K,).
    """

    directions: Floats
    norms: Floats

    @classmethod
    def of(cls, gramian: Floats) -> Gradients:
        """Factors a Gramian (K, K) with a positive diagonal."""
        norms = np.sqrt(gramian.diagonal())
        values, vectors = np.linalg.eigh(gramian / norms / norms[:, None])
        directions = np.sqrt(np.maximum(values, _ROUNDING * values.sum()))[:, None] * vectors.T
        return cls(directions / np.linalg.norm(directions, axis=0), norms)

    def __len__(self) -> int:
        return len(self.norms)

    @property
    def cosines(self) -> Floats:
        """Cosines between all pairs, (K, K)."""
        return np.asarray(self.directions.T @ self.directions)


class GramianAggregation(GradientAggregation):
    """Leaves out tasks whose gradient is zero (no samples in the batch) and gives them weight 1.

    A Gramian that is not finite gives NaN weights, so that a diverged training shows in its loss.
    """

    @abstractmethod
    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Returns the weights (K,) of K >= 1 non-zero gradients; `tasks` (K,) are the indices of
        their tasks.
        """

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,), without gradient."""
        products = gramian.detach().cpu().double().numpy()
        weights = np.ones(len(products))
        present = products.diagonal() > 0
        if not np.isfinite(products).all():
            weights[:] = np.nan
        elif present.any():
            gradients = Gradients.of(products[np.ix_(present, present)])
            weights[present] = self.weigh(gradients, np.flatnonzero(present))
        limits = torch.finfo(gramian.dtype)
        return torch.from_numpy(weights.clip(limits.min, limits.max)).to(gramian)
