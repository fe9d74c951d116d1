"""Ranks of methods over several data sets: Friedman's test and Nemenyi's critical difference.

Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.errors import listed
from bench.frontier.comparison.verdict import SIZE

LEAST_DATASETS = 5
"""With fewer, hardly any order of ranks could be told from chance."""


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over data sets, with their test.

    Attributes:
        names: methods, the best mean rank first; `ranks` are theirs, from 1.
        datasets: how many.
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
        over = f"over {self.datasets} data sets (Friedman p = {self.p:.3g}; critical difference {self.critical:.2f})"
        if self.p >= SIZE:
            return f"Cannot tell: the mean ranks {over} do not differ more than by chance."
        alike = [
            name for name, rank in zip(self.names, self.ranks, strict=True) if rank - self.ranks[0] <= self.critical
        ]
        if len(alike) == 1:
            return f"{alike[0]} has the best mean rank {over}, and is told from all others."
        return f"{alike[0]} has the best mean rank {over}, and cannot be told from {listed(alike[1:])}."


def critical_difference(methods: int, datasets: int) -> float:
    """Nemenyi's, of mean ranks; the studentised range over sqrt(2), Demšar's table 5."""
    q = float(stats.studentized_range.ppf(1 - SIZE, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def ranking(names: Sequence[str], merits: NDArray[np.float64]) -> Ranking:
    """Ranks of merits (datasets, methods), larger is better; equals share their mean rank.

    At least two data sets and two methods, all finite.
    """
    mean = stats.rankdata(-merits, axis=1).mean(axis=0)
    order = np.lexsort((np.array(names), mean))
    ranks = mean[order]
    critical = critical_difference(len(names), len(merits))
    return Ranking(
        names=tuple(names[i] for i in order),
        ranks=tuple(map(float, ranks)),
        datasets=len(merits),
        p=_friedman(merits),
        critical=critical,
        cliques=_cliques(ranks, critical),
    )


def _friedman(merits: NDArray[np.float64]) -> float:
    if (merits == merits[:, :1]).all():
        return 1.0
    if merits.shape[1] > 2:
        return float(stats.friedmanchisquare(*merits.T).pvalue)
    wins, losses = (int((sign * (merits[:, 0] - merits[:, 1]) > 0).sum()) for sign in (1, -1))
    return float(stats.binomtest(wins, wins + losses).pvalue)  # of two methods it is the sign test


def _cliques(ranks: NDArray[np.float64], critical: float) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.flatnonzero(ranks - ranks[first] <= critical)[-1])
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return tuple(found)
