"""Conflict-averse gradient descent (CAGrad)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.models.balancing.gramian import Gradients, GramianAggregation, least_distance

_STEPS = 100  # of Newton's method, which takes about 5


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
        duality): this is Newton's step on
        |e| = c.
        """
        cosines = gradients.directions.T @ mean
        relative = gradients.norms.min() / gradients.norms
        best: Floats = np.eye(len(gradients))[np.argmin((cosines + self.config.c) / relative)]
        z, t = best, np.inf
        for _ in range(_STEPS):
            bound = float(
                z @ cosines + self.config.c * np.linalg.norm(gradients.directions @ z)
            ) / float(z @ relative)
            if not bound < t:
                break
            t, best = bound, z
            z, _ = least_distance(gradients.directions, t * relative - cosines)
            if not z.any():  # the bounds hold at the mean already
                break
        return best
