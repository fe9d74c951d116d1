"""Verdicts from estimates and their uncertainty: significance, many tests at once, replicates needed, and units."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.objectives import Objective, in_thousandths, metric_of

SIZE = 0.05
"""Error rate of a verdict."""
CANNOT_TELL = "cannot tell"

Word = Literal["yes", "no", "cannot tell", "cannot say"]


def against(margin: float, low: float, high: float) -> Word:
    """Whether a value lies beyond a margin, by bounds of which each fails with probability `SIZE` at most."""
    if low > margin:
        return "yes"
    return "no" if high < margin else "cannot tell"


def p_value(value: float, error: float, freedom: float) -> float:
    """Two-sided, by Student's t, of a value with a standard error that in truth is 0."""
    return 2 * float(stats.t.sf(abs(value) / error, freedom)) if error > 0 else float(value == 0)


POWER = 0.8
MOST_REPLICATES = 1000
MOST_TIMES = 100


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
    return smallest(
        lambda n: _power(value, seed * now / n + data, freedom * (n - 1) / (now - 1), tests) >= POWER, MOST_REPLICATES
    )


def rows_needed(value: float, seed: float, data: float, freedom: float, tests: int) -> int | None:
    """How many times as many rows would show that difference with chance `POWER`, by the same replicates; as above."""
    return smallest(lambda times: _power(value, seed + data / times, freedom, tests) >= POWER, MOST_TIMES)


def _power(value: float, variance: float, freedom: float, tests: int) -> float:
    """The chance that a difference of that size is significant."""
    at = stats.t.ppf(1 - SIZE / tests / 2, freedom)
    return float(stats.norm.sf(at - abs(value) / math.sqrt(variance)))


def smallest(enough: Callable[[int], bool], most: int) -> int | None:
    """The smallest number from 2 to `most` that is enough, where more never is less so; None where none is."""
    return 2 + bisect_left(range(2, most), True, key=enough) if enough(most) else None


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values (N,) of N tests, in their order; to be held against the size of one test. NaN is no test.

    Holm, Scandinavian Journal of Statistics 1979: whatever depends on what, the chance of any false alarm is at most
    that size, and no test loses by it against Bonferroni's.
    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * (np.count_nonzero(~np.isnan(p)) - np.arange(len(p))))
    return np.minimum(steps, 1.0)[np.argsort(order)]


SHORT = {"auc": "AUC", "gauc": "GAUC", "gauc_positives": "GAUC by positives", "ne": "NE", "ece": "ECE"}


def unit(objective: Objective) -> tuple[float, str]:
    """The number by which a difference is divided before it is printed, and the unit's name."""
    metric = metric_of(objective.name) if objective.is_metric else objective.name.removeprefix("cost/")
    return (1e-3, f"{SHORT.get(metric, metric)} x 1000") if in_thousandths(objective.name) else (1.0, metric)
