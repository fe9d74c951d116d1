"""The result of a comparison of runs, as plain values and as one table; and ranks of methods over data sets.

Ranks have Friedman's test and Nemenyi's critical difference. Demšar, Statistical Comparisons of Classifiers over
Multiple Data Sets, JMLR 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from bench.errors import listed
from bench.frontier.comparison.beyond import Answer
from bench.frontier.comparison.comparison import Comparison, Row
from bench.frontier.comparison.verdict import SIZE
from bench.plain import jsonable
from bench.results.effect import LEVEL

LEAST_DATASETS = 5
"""With fewer, hardly any order of ranks could be told from chance."""


@dataclass(frozen=True)
class Ranking:
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


COLUMNS = ["dataset", "measure", "left", "right", "value", "low", "high", "unit"]
COLUMNS += ["p", "p_noise", "p_tuning", "p_holm", "paired", "verdict"]


@dataclass(frozen=True)
class Group:
    """Runs on the same data with the same objectives.

    Attributes:
        dataset: its name; `fingerprints` of its stores, one unless data sets are what is compared.
        comparison: empty where fewer than two families have a confirmed point; `reason` says so then.
        unconfirmed: families without one, which cannot be compared.
    """

    dataset: str
    fingerprints: tuple[str, ...]
    runs: tuple[str, ...]
    answer: Answer
    comparison: Comparison
    reason: str
    unconfirmed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Its part of the document of `seesaw compare --json`."""
        found = {**vars(self), **vars(self.comparison), "answer": self.answer.to_json()}
        return {key: value for key, value in found.items() if key not in ("comparison", "members")}


@dataclass(frozen=True)
class Compared:
    """The comparison of all groups.

    Attributes:
        by: what makes the families; `split` where they were compared.
        ranking: of families by the hypervolumes of their fronts, where there are data sets enough.
    """

    by: str
    split: str
    groups: tuple[Group, ...]
    ranking: Ranking | None
    notes: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each test, in the order of the groups; values in the unit that stands beside them."""
        rows = [{"dataset": group.dataset, **row} for group in self.groups for row in group.comparison.tests]
        return pd.DataFrame(rows, columns=COLUMNS)

    def to_json(self) -> dict[str, Any]:
        """The document of `seesaw compare --json`."""
        ranked, groups = self.ranking and asdict(self.ranking), [group.to_json() for group in self.groups]
        found: dict[str, Any] = jsonable(vars(self) | {"level": LEVEL, "groups": groups, "ranking": ranked})
        return found


FAMILY_HEADS = ("trials", "training samples", "confirmed points", "hypervolume")
TEST_HEADS = ("measure", "left", "right", "left minus right", "interval", "unit", "p (Holm)", "paired", "verdict")


def family_rows(found: Comparison) -> list[tuple[str, int, int, int, float]]:
    """Of each family its name, and what `FAMILY_HEADS` says."""
    return [
        (row["name"], row["trials"], row["training_samples"], len(row["points"]), row["hypervolume"])
        for row in found.families
    ]


def texts_of(test: Row, minus: str = "-") -> list[str]:
    """What `TEST_HEADS` says of a test; empty where it is unknown."""
    forms = {"value": "+.4g", "low": "+.4g", "high": "+.4g", "p_holm": ".4g"}
    told = {at: "" if math.isnan(test[at]) else f"{test[at]:{form}}".replace("-", minus) for at, form in forms.items()}
    interval = " to ".join(filter(None, (told["low"], told["high"])))
    names = [test["measure"], test["left"], test["right"], told["value"], interval]
    return [*names, test["unit"], told["p_holm"], test["paired"], test["verdict"]]
