"""UPGrad: unconflicting projection of gradients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.models.balancing.gramian import Gradients, GramianAggregation, least_distance


class UPGrad(GramianAggregation):
    """Projects each gradient onto the cone of directions that conflict with no task, and sums the
    projections.

    Quinton & Rey, "Jacobian Descent for Multi-Objective Optimization", 2024; T times their mean.
    The step conflicts with no task. The projection of g_i is g_i + e, with the shortest e such that
    g_j . e >= -g_j . g_i for all j.
    """

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) >= 1."""
        weights = np.ones(len(gradients))
        cosines = gradients.directions.T @ gradients.directions
        for i, norm in enumerate(gradients.norms):
            if (cosines[i] < 0).any():
                z, r = least_distance(gradients.directions, -cosines[i])
                weights += z / r * (norm / gradients.norms)
        return weights
