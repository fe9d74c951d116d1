"""Multiple-gradient descent algorithm (MGDA)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.models.balancing.gramian import Gradients, GramianAggregation, least_distance


class MGDA(GramianAggregation):
    """T times the minimum-norm convex combination of the gradients: min |sum_i a_i g_i| over the
    simplex.

    Désidéri, Comptes Rendus Mathématique 2012; Sener & Koltun, NeurIPS 2018. The step conflicts
    with no task and is zero exactly where the tasks' gradients are Pareto stationary. It follows
    the shorter of two agreeing gradients. Solved exactly: the shortest e with g_i . e >= 1 for all
    i points the same way.
    """

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) >= 0 that sum to K."""
        relative = gradients.norms.min() / gradients.norms
        z, _ = least_distance(gradients.directions, relative)
        convex = z * relative
        return np.asarray(len(gradients) * convex / convex.sum())
