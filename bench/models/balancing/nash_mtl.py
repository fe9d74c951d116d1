"""Nash-MTL: multi-task learning as a bargaining game."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.models.balancing.gramian import Gradients, GramianAggregation, bargain


class NashMTL(GramianAggregation):
    """The direction of the Nash bargaining solution: weights a > 0 with G a = 1 / a (Navon et al.,
    ICML 2022).

    The direction does not depend on the scales of the tasks. Weights are scaled to sum_i w_i |g_i|
    = sum_i |g_i|, and also multiply the towers' gradients, as in the authors' code, which weights
    losses.
    """

    weighs_own = True

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) > 0."""
        return bargain(gradients, 1.0)
