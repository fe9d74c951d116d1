"""How many replicates it would take."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import stats

from bench.frontier.comparison.verdict import SIZE

POWER = 0.8
MOST_REPLICATES = 1000


def replicates_needed(value: float, seed: float, data: float, freedom: float, now: int, tests: int) -> int | None:
    """Replicates of each side with which a difference as large as the one seen is significant with chance `POWER`.

    Args:
        value: the difference; `seed` and `data` are its variances from seeds, with `now` replicates, and from rows.
        freedom: of both variances together.
        tests: how many share the error rate.

    Returns:
        None where no number up to `MOST_REPLICATES` is enough.
    """
    if value == 0 or seed <= 0 or now < 2:
        return None

    def enough(n: int) -> bool:
        error = math.sqrt(seed * now / n + data)
        at = stats.t.ppf(1 - SIZE / tests / 2, freedom * (n - 1) / (now - 1))
        return bool(stats.norm.sf(at - abs(value) / error) >= POWER)

    return smallest(enough, MOST_REPLICATES)


def smallest(enough: Callable[[int], bool], most: int) -> int | None:
    """The smallest number from 2 to `most` that is enough, where more never is less so; None where none is."""
    if not enough(most):
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
