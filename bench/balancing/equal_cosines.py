"""What ConFIG and IMTL-G have in common: the direction that makes the same angle with every gradient."""

from __future__ import annotations

import numpy as np

from bench.balancing.gramian import DEPENDENT, Array, Gradients


def equal_cosines(gradients: Gradients) -> Array:
    """c (K,) such that sum_i c_i u_i, with u the unit gradients, has product 1 with each u_i.

    Where there is none, as with gradients that oppose each other, the nearest in least squares; 0 where that is 0.
    """
    coefficients: Array = np.linalg.pinv(gradients.cosines, rcond=DEPENDENT, hermitian=True).sum(1)
    return np.where(np.abs(coefficients) > DEPENDENT, coefficients, 0.0)
