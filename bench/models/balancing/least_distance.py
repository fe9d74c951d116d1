"""Aggregations by the shortest vector within bounds: MGDA (multiple-gradient descent algorithm),
UPGrad (unconflicting projection) and CAGrad (conflict-averse gradient descent).

It is found exactly by non-negative least squares (Lawson & Hanson 1974, chapter 23) on a T x T
matrix, in microseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.models.balancing.gramian import Gradients, GramianAggregation

_STEPS = 100  # of Newton's method, which takes about 5


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


class CAGradConfig(Config):
    """Options of CAGrad."""

    c: float = Field(0.5, ge=0, lt=1)
    """Radius of the ball around the mean gradient, relative to the mean's norm; 0 gives the
    mean.
    """


class CAGrad(GramianAggregation):
    """T / (1 + c) times the d that maximises min_i g_i . d subject to |d - g_0| <= c |g_0|, g_0 the
    mean gradient.

    Liu et al., NeurIPS 2021; the division is the authors' second rescaling, which gives the mean
    where all agree.
    """

    config: CAGradConfig

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) > 0."""
        mean = gradients.directions @ gradients.norms / len(gradients)
        radius = self.config.c * float(np.linalg.norm(mean))
        added = np.zeros(len(gradients))
        if radius > 0:
            z = self._multipliers(gradients, mean / np.linalg.norm(mean))
            norm = float(np.linalg.norm(gradients.directions @ z))
            if norm > 0:
                added = radius * z / norm / gradients.norms
        return (1.0 + len(gradients) * added) / (1.0 + self.config.c)

    def _multipliers(self, gradients: Gradients, mean: Floats) -> Floats:
        """z >= 0 such that d = g_0 + c |g_0| e, where e is the unit vector of directions z; `mean`
        has norm 1.

        In units of the shortest gradient and of |g_0|, the norm of the shortest e with g_i . d >= t
        for all i is increasing and convex in t. Each z bounds the attainable t from above (weak
        duality): this is Newton's step on |e| = c.
        """
        cosines = gradients.directions.T @ mean
        relative = gradients.norms.min() / gradients.norms
        best: Floats = np.eye(len(gradients))[np.argmin((cosines + self.config.c) / relative)]
        z, t = best, np.inf
        for _ in range(_STEPS):
            length = np.linalg.norm(gradients.directions @ z)
            bound = float(z @ cosines + self.config.c * length) / float(z @ relative)
            if not bound < t:
                break
            t, best = bound, z
            z, _ = least_distance(gradients.directions, t * relative - cosines)
            if not z.any():  # the bounds hold at the mean already
                break
        return best


def least_distance(directions: Floats, bounds: Floats) -> tuple[Floats, float]:
    """Finds the shortest e with directions^T e >= bounds.

    Args:
        directions: (D, K), in columns.
        bounds: (K,).

    Returns:
        z (K,) >= 0 and r in [0, 1], such that e = directions z / r and |e|^2 = 1 / r - 1. If no e
        satisfies the bounds, r is 0 and z proves it: directions z = 0 and bounds . z > 0.
    """
    # The import takes a quarter of a second, and only these balancers need it.
    from scipy.optimize import nnls

    target = np.zeros(len(directions) + 1)
    target[-1] = 1.0
    z, _ = nnls(np.vstack([directions, bounds]), target)
    return z, max(0.0, 1.0 - float(bounds @ z))
