"""Directions of one cosine to every gradient: ConFIG (conflict-free inverse gradients), and IMTL-G
(impartial multi-task learning, the gradient balance).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.models.balancing.gramian import DEPENDENT, Gradients, GramianAggregation

_LEAST_SUM = 1e-3
"""Lower bound of |sum of weights| relative to the sum of |weights|, which bounds the step."""


class ConFIG(GramianAggregation):
    """The direction with the same cosine to every gradient, as long as the sum of the gradients'
    projections on it.

    Liu et al., ICLR 2025. Conflicts with no task wherever such a direction exists.
    """

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,)."""
        c = equal_cosines(gradients)
        products = gradients.cosines @ c  # of the direction with the unit gradients
        square = float(c @ products)
        if square <= 0:
            return np.zeros(len(c))
        length = float(gradients.norms @ products) / square
        return np.asarray(length * c / gradients.norms)


class IMTLG(GramianAggregation):
    """T times the combination with weights that sum to 1 whose projections on all unit gradients
    are equal.

    Liu et al., ICLR 2021; dependent gradients as in Quinton & Rey 2024. Two departures: where the
    paper's equal projections are negative, which would raise every task's loss, the step's sign is
    flipped; and the weights' sum is bounded below by a thousandth of the sum of their absolute
    values. IMTL's loss balance, IMTL-L, is `uncertainty` with the sign of its parameter changed.
    """

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) whose sum is K or, where the step is turned around, -K; all 0 where no
        direction is equal.
        """
        v: Floats = equal_cosines(gradients) * (gradients.norms.min() / gradients.norms)
        absolute_sum = float(np.abs(v).sum())
        if absolute_sum == 0:
            return v
        return np.asarray(len(v) * v / max(abs(float(v.sum())), _LEAST_SUM * absolute_sum))


def equal_cosines(gradients: Gradients) -> Floats:
    """Returns c (K,) such that sum_i c_i u_i, with u the unit gradients, has product 1 with each
    u_i.

    Where there is no such c, as with opposed gradients, the least-squares solution; 0 where that is
    0.
    """
    coefficients: Floats = np.linalg.pinv(gradients.cosines, rcond=DEPENDENT, hermitian=True).sum(1)
    return np.where(np.abs(coefficients) > DEPENDENT, coefficients, 0.0)
