"""ConFIG: conflict-free inverse gradients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.models.balancing.gramian import Gradients, GramianAggregation, equal_cosines


class ConFIG(GramianAggregation):
    """The direction with the same cosine to every gradient, as long as the sum of the gradients'
    projections on it.

    Liu et al., ICLR 2025. Conflicts with no task wherever such a direction exists.
    """

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,)."""
        c = equal_cosines(gradients)
        along = gradients.cosines @ c  # products of the direction with the unit gradients
        square = float(c @ along)
        if square <= 0:
            return np.zeros(len(c))
        return np.asarray(float(gradients.norms @ along) / square * c / gradients.norms)
