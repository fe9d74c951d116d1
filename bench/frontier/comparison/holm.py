"""Many tests at once: p-values adjusted so that a single false alarm among all of them stays as rare as promised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values (N,) of N tests, in their order; to be held against the size of one test.

    Holm, Scandinavian Journal of Statistics 1979: whatever depends on what, the chance of any false alarm is at most
    that size, and no test loses by it against Bonferroni's.
    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
