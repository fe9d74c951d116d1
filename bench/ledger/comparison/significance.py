"""Verdicts from estimates and their uncertainty: significance, luck in tuning, many tests at once,
replicates needed, ranks over data sets, and units.

Ranks have Friedman's test and Nemenyi's critical difference. Demšar, Statistical Comparisons of
Classifiers over Multiple Data Sets, JMLR 2006.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from bench.core.arrays import Floats
from bench.core.errors import listed
from bench.core.objectives import Objective, in_thousandths, metric_of

Statistic = Callable[[Floats], float]
SIZE = 0.05
"""Error rate of a verdict."""
CANNOT_TELL = "cannot tell"

Word = Literal["yes", "no", "cannot tell", "cannot say"]


def against(margin: float, low: float, high: float) -> Word:
    """Whether a value lies beyond a margin, by bounds of which each fails with probability `SIZE`
    at most.
    """
    if low > margin:
        return "yes"
    return "no" if high < margin else "cannot tell"


def p_value(value: float, error: float, freedom: float) -> float:
    """Two-sided, by Student's t, of a value with a standard error that in truth is 0."""
    if error <= 0:
        return float(value == 0)
    return 2 * float(stdtr(freedom, -abs(value) / error))


POWER_WANTED = 0.8
MOST_REPLICATES = 1000


def replicates_needed(
    value: float, seed: float, data: float, freedom: float, now: int, tests: int
) -> int | None:
    """Replicates of each side that find a difference as large as the one seen with chance
    `POWER_WANTED`.

    Args:
        value: the difference; `seed` and `data` are its variances from seeds, with `now`
            replicates, and from rows.
        freedom: of both variances together.
        tests: how many share the error rate.

    Returns:
        None where no number up to `MOST_REPLICATES` is enough.
    """
    if value == 0 or seed <= 0 or now < 2:
        return None

    def enough(replicates: int) -> bool:
        variance = seed * now / replicates + data
        freedom_then = freedom * (replicates - 1) / (now - 1)
        return _power(value, variance, freedom_then, tests) >= POWER_WANTED

    return smallest(enough, MOST_REPLICATES)


def _power(value: float, variance: float, freedom: float, tests: int) -> float:
    critical = stdtrit(freedom, 1 - SIZE / tests / 2)
    return float(ndtr(abs(value) / math.sqrt(variance) - critical))


def smallest(enough: Callable[[int], bool], largest: int) -> int | None:
    """The smallest number from 2 to `largest` that is enough, if all above it are; None where none
    is.
    """
    if not enough(largest):
        return None
    return 2 + bisect_left(range(2, largest), True, key=enough)


def holm(p: Floats) -> Floats:
    """Adjusted p-values (N,) of N tests, in their order; to be held against the size of one test.
    NaN is no test.

    Holm, Scandinavian Journal of Statistics 1979: whatever depends on what, the chance of any false
    alarm is at most that size, and no test loses by it against Bonferroni's.
    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * (np.count_nonzero(~np.isnan(p)) - np.arange(len(p))))
    return np.minimum(steps, 1.0)[np.argsort(order)]


EXTREMES = 20


def permuted(
    left: Floats,
    right: Floats,
    distance: Callable[[Floats, Floats], float],
    seed: int,
    permutations: int,
) -> float:
    """P-value that two families, whose trials come from one distribution, lie as far apart as these
    or farther.

    It stops at `EXTREMES` permutations as far apart as the families (Besag and Clifford, Biometrika
    1991), else after `permutations`: no p-value is smaller than 1 / (permutations + 1).

    Args:
        left, right: values of the search (n, M) of each trial.
        distance: how far two families lie apart, in the direction that is asked about.
    """
    rng = np.random.default_rng(seed)
    pooled, size = np.concatenate([left, right]), len(left)
    measured, extremes = distance(left, right), 0
    for step in range(1, permutations + 1):
        order = rng.permutation(len(pooled))
        extremes += distance(pooled[order[:size]], pooled[order[size:]]) >= measured
        if extremes == EXTREMES:
            return extremes / step
    return (extremes + 1) / (permutations + 1)


def tuning_luck(
    left: Floats, right: Floats, statistic: Statistic, sign: float, seed: int, permutations: int
) -> float:
    """Two-sided p-value of the difference of a statistic between two families, in the direction
    that `sign` says.

    Args:
        left, right: values of the search (n, M) of each trial.
        sign: +1 where left is said to be better, -1 where right is, of values for which larger is
            better.
    """

    def difference(left: Floats, right: Floats) -> float:
        return sign * (statistic(left) - statistic(right))

    if difference(left, right) <= 0:
        return 1.0
    return min(1.0, 2 * permuted(left, right, difference, seed, permutations))


def best(k: int, sign: float = 1.0) -> Statistic:
    """The mean of the k largest of values (n, 1) times a sign, of all of them where there are
    fewer.
    """
    return lambda values: float(np.sort(sign * values[:, 0])[-k:].mean())


LEAST_DATASETS = 5
"""With fewer, hardly any order of ranks could be told from chance."""


@dataclass(frozen=True)
class MeanRanks:
    """Mean ranks over data sets, with their test.

    Attributes:
        names: methods, the best mean rank first; `ranks` are theirs, from 1.
        p: of Friedman's test that all methods are alike.
        critical: two mean ranks farther apart differ, by Nemenyi's test at `SIZE`.
        cliques: largest groups, as places (first, last) in `names`, in which no two differ.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    datasets: int
    p: float
    critical: float
    cliques: tuple[tuple[int, int], ...]

    @property
    def sentence(self) -> str:
        """What it says."""
        over = (
            f"over {self.datasets} data sets (Friedman p = {self.p:.3g}; critical difference "
            f"{self.critical:.2f})"
        )
        if self.p >= SIZE:
            return f"Cannot tell: the mean ranks {over} do not differ more than by chance."
        behind = np.array(self.ranks) - self.ranks[0]
        best, *rivals = compress(self.names, behind <= self.critical)
        if not rivals:
            return f"{best} has the best mean rank {over}, and is told from all others."
        return f"{best} has the best mean rank {over}, and cannot be told from {listed(rivals)}."


def critical_difference(methods: int, datasets: int) -> float:
    """Nemenyi's, of mean ranks; the studentised range over sqrt(2), Demšar's table 5."""
    from scipy.stats import studentized_range  # takes a second to import

    q = float(studentized_range.ppf(1 - SIZE, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def ranking(names: Sequence[str], merits: Floats) -> MeanRanks:
    """Ranks of merits (datasets, methods), larger is better; equals share their mean rank.

    At least two data sets and two methods, all finite.
    """
    from scipy.stats import rankdata

    mean = rankdata(-merits, axis=1).mean(axis=0)
    order = np.lexsort((np.array(names), mean))
    ranks = mean[order]
    critical = critical_difference(len(names), len(merits))
    return MeanRanks(
        names=tuple(names[i] for i in order),
        ranks=tuple(map(float, ranks)),
        datasets=len(merits),
        p=_friedman(merits),
        critical=critical,
        cliques=_cliques(ranks, critical),
    )


def _friedman(merits: Floats) -> float:
    from scipy.stats import binomtest, friedmanchisquare

    if (merits == merits[:, :1]).all():
        return 1.0
    if merits.shape[1] > 2:
        return float(friedmanchisquare(*merits.T).pvalue)
    wins = int((merits[:, 0] > merits[:, 1]).sum())
    losses = int((merits[:, 0] < merits[:, 1]).sum())
    return float(binomtest(wins, wins + losses).pvalue)  # of two methods it is the sign test


def _cliques(ranks: Floats, critical: float) -> tuple[tuple[int, int], ...]:
    cliques: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.flatnonzero(ranks - ranks[first] <= critical)[-1])
        if last > first and (not cliques or last > cliques[-1][1]):
            cliques.append((first, last))
    return tuple(cliques)


SHORT = {
    "auc": "AUC",
    "gauc": "GAUC",
    "gauc_positives": "GAUC by positives",
    "ne": "NE",
    "ece": "ECE",
}


def unit(objective: Objective) -> tuple[float, str]:
    """The number by which a difference is divided before it is printed, and the unit's name."""
    metric = objective.name.removeprefix("cost/")
    if objective.is_metric:
        metric = metric_of(objective.name)
    if in_thousandths(objective.name):
        return 1e-3, f"{SHORT.get(metric, metric)} x 1000"
    return 1.0, metric
