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
from bench.frontier.comparison.comparison import Comparison, Contrast
from bench.frontier.comparison.verdict import SIZE, unit
from bench.frontier.statistics import LEVEL

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
        comparison: None where fewer than two families have a confirmed point; `reason` says so then.
        unconfirmed: families without one, which cannot be compared.
    """

    dataset: str
    fingerprints: tuple[str, ...]
    runs: tuple[str, ...]
    comparison: Comparison | None
    reason: str
    unconfirmed: tuple[str, ...]
    answer: Answer

    @property
    def tests(self) -> list[dict[str, Any]]:
        """The tests as rows of the table."""
        return [] if self.comparison is None else [row_of(test) for test in self.comparison.tests]

    @property
    def notes(self) -> list[str]:
        """What to know: hypervolumes, unequal budgets, families that are not tested, what pairing by seed gained."""
        found = self.comparison
        if found is None:
            return []
        notes = []
        if any(test.objective is None for test in found.tests):
            notes.append(
                f"A hypervolume of {listed(found.tested)} is that of the test: of as many trials each, and without the "
                "bias from noise. The others have all their points and the bias."
            )
        trials = {name: found.budgets[name].trials for name in found.tested}
        if len(set(trials.values())) > 1:
            counts = ", ".join(f"{name} {count}" for name, count in trials.items())
            notes.append(f"Budgets are unequal ({counts} trials): more trials find better points in any family.")
        single = [name for name in found.families if name not in found.tested and found.budgets[name].trials > 1]
        if single:
            notes.append(
                f"Not tested, as only one point is confirmed: {listed(single)}. "
                f"`seesaw confirm {self.runs[0]} --members 2` confirms two of each family."
            )
        if lone := [name for name in found.families if found.budgets[name].trials == 1]:
            notes.append(f"Not tested, as there is only one trial: {listed(lone)}.")
        if 1 < found.gain < math.inf:
            notes.append(f"Paired by seed: as good as {found.gain:.3g} times the seeds.")
        return notes


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
        rows = [{"dataset": group.dataset, **row} for group in self.groups for row in group.tests]
        return pd.DataFrame(rows, columns=COLUMNS)

    def to_json(self) -> dict[str, Any]:
        """The document of `seesaw compare --json`."""
        return {
            "by": self.by,
            "split": self.split,
            "level": LEVEL,
            "groups": [_document(group) for group in self.groups],
            "ranking": None if self.ranking is None else asdict(self.ranking),
            "notes": list(self.notes),
        }


FAMILY_HEADS = ("trials", "training samples", "confirmed points", "hypervolume")


def family_rows(found: Comparison) -> list[tuple[str, int, int, int, float]]:
    """Of each family its name, and what `FAMILY_HEADS` says."""
    return [
        (name, found.budgets[name].trials, found.budgets[name].samples, len(members), found.volumes[name])
        for name, members in found.families.items()
    ]


def row_of(test: Contrast) -> dict[str, Any]:
    """A test as a row of the table."""
    size, name = (1.0, "hypervolume") if test.objective is None else unit(test.objective)
    low, high = (None, None) if test.interval is None else (test.interval[0] / size, test.interval[1] / size)
    return {
        "measure": "hypervolume" if test.objective is None else test.objective.name,
        "left": test.left,
        "right": test.right,
        "value": None if test.value is None else test.value / size,
        "low": low,
        "high": high,
        "unit": name,
        "p": test.p,
        "p_noise": test.noise,
        "p_tuning": test.tuning,
        "p_holm": test.adjusted,
        "paired": f"by {test.shared} seeds" if test.shared > 1 else "",
        "verdict": test.verdict,
    }


def _document(group: Group) -> dict[str, Any]:
    families = []
    if (found := group.comparison) is not None:
        for name, members in found.families.items():
            points = [{"run": m.run, "trial": m.point.number, "until": m.point.until} for m in members]
            trials, samples = found.budgets[name].trials, found.budgets[name].samples
            family = {"name": name, "trials": trials, "training_samples": samples, "points": points}
            families.append(family | {"hypervolume": found.volumes[name]})
    return {
        "dataset": group.dataset,
        "fingerprints": list(group.fingerprints),
        "runs": list(group.runs),
        "answer": group.answer.to_json(),
        "reason": group.reason,
        "unconfirmed": list(group.unconfirmed),
        "notes": group.notes,
        "families": families,
        "tests": group.tests,
    }
