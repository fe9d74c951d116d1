"""The simplex lattice: weights that lie evenly (Das and Dennis, SIAM J. Optimization 1998)."""

from __future__ import annotations

from itertools import combinations, count
from math import comb

import numpy as np
from numpy.typing import NDArray


def lattice(parts: int, steps: int) -> NDArray[np.int64]:
    """All ways (W, parts) to write `steps` as an ordered sum of whole numbers from 0, the first part rising."""
    last = steps + parts - 1
    bars = combinations(range(last), parts - 1)
    return np.array([np.diff([-1, *each, last]) - 1 for each in bars], dtype=np.int64)


def steps_within(parts: int, most: int) -> int:
    """The largest number of steps, at least 1, whose lattice of two parts or more has at most so many points."""
    return max(1, next(steps for steps in count(1) if comb(steps + parts - 1, parts - 1) > most) - 1)


def steps_beyond(parts: int, least: int) -> int:
    """The smallest number of steps whose lattice of two parts or more has at least so many points."""
    return next(steps for steps in count(1) if comb(steps + parts - 1, parts - 1) >= least)
