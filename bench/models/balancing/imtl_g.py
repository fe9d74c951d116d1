"""IMTL-G: impartial multi-task learning, the gradient balance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.models.balancing.gramian import Gradients, GramianAggregation, equal_cosines

_LEAST_SUM = (
    1e-3  # lower bound of |sum of weights| relative to the sum of |weights|, which bounds the step
)


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
        amount = float(np.abs(v).sum())
        if amount == 0:
            return v
        return np.asarray(len(v) * v / max(abs(float(v.sum())), _LEAST_SUM * amount))
