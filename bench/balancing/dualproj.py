"""DualProj: the sum of gradients, projected to conflict with none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.balancing.gramian import Array, Gradients, GramianAggregation, least_distance


class DualProj(GramianAggregation):
    """T times the direction nearest to the mean gradient that conflicts with no task (Lopez-Paz & Ranzato, NeurIPS
    2017).
    """

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Array:
        """Weights (K,) >= 1."""
        size = gradients.norms.max()
        products = gradients.cosines @ (gradients.norms / size)
        weights = np.ones(len(gradients))
        if (products < 0).any():
            z, r = least_distance(gradients.directions, -products)
            weights += z / r * (size / gradients.norms)
        return weights
