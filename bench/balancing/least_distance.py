"""What MGDA, CAGrad, UPGrad and others have in common: each is a least-distance problem over the tasks' gradients.

Solved exactly by non-negative least squares (Lawson & Hanson 1974, chapter 23) on a T x T matrix, in microseconds.
"""

from __future__ import annotations

import numpy as np

from bench.balancing.gramian import Array


def least_distance(directions: Array, bounds: Array) -> tuple[Array, float]:
    """The shortest e with directions^T e >= bounds.

    Args:
        directions: (D, K), in columns.
        bounds: (K,).

    Returns:
        z (K,) >= 0 and r in [0, 1], such that e = directions z / r; |e|^2 = 1 / r - 1. Where no e fulfils the bounds,
        r is 0 and z tells why: directions z = 0 and bounds . z > 0.
    """
    target = np.zeros(len(directions) + 1)
    target[-1] = 1.0
    from scipy.optimize import nnls  # a quarter of a second, which only these balancers need

    z, _ = nnls(np.vstack([directions, bounds]), target)
    return z, max(0.0, 1.0 - float(bounds @ z))
