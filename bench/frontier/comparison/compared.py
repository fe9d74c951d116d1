"""All that a comparison of runs found, as plain values and as one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from bench.frontier.comparison.answer import Answer
from bench.frontier.comparison.comparison import Comparison, FrontTest, MetricTest
from bench.frontier.comparison.differences import LEVEL, Estimate
from bench.frontier.comparison.ranks import Ranking
from bench.frontier.comparison.units import unit

COLUMNS = ["dataset", "measure", "left", "right", "value", "low", "high", "unit", "p", "p_holm", "seeds", "verdict"]
CANNOT_TELL = "cannot tell"


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


@dataclass(frozen=True)
class Compared:
    """All groups.

    Attributes:
        by: what makes the families; `split` where they were compared.
        ranking: of families by the hypervolumes of their fronts, where there are data sets enough.
        notes: sentences on what to know.
    """

    by: str
    split: str
    groups: tuple[Group, ...]
    ranking: Ranking | None
    notes: tuple[str, ...]

    @property
    def level(self) -> float:
        """Of all intervals."""
        return LEVEL

    @property
    def table(self) -> pd.DataFrame:
        """A row for each test, in the order of the groups; values in the unit that stands beside them."""
        rows = [{"dataset": group.dataset, **row} for group in self.groups for row in _rows(group.comparison)]
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


def metric_row(test: MetricTest) -> dict[str, Any]:
    """A test of one metric as a row of the table."""
    size, name = unit(test.objective)
    of = test.difference
    low, high = (None, None) if of.interval is None else (of.interval[0] / size, of.interval[1] / size)
    return {
        "measure": test.objective.name,
        "left": test.left,
        "right": test.right,
        "value": of.value / size,
        "low": low,
        "high": high,
        "unit": name,
        "p": of.p,
        "p_holm": test.adjusted,
        "seeds": " and ".join(map(str, of.seeds)) + (", paired" if of.paired else ""),
        "verdict": f"{test.better} is better" if test.told(1 - LEVEL) else _doubt(test),
    }


def _doubt(test: MetricTest) -> str:
    return f"{CANNOT_TELL}: a side has one seed" if test.difference.p is None else _more(test.needed)


def front_rows(test: FrontTest, epsilon_unit: str) -> Iterator[dict[str, Any]]:
    """Two fronts as rows of the table."""
    sides = {"left": test.left, "right": test.right}
    yield sides | {"measure": "hypervolume difference", "unit": "hypervolume"} | _told(test.difference, 0.0, test)
    if test.ratio is not None:
        yield sides | {"measure": "hypervolume ratio", "unit": "times"} | _told(test.ratio, 1.0, test)
    for measure, of, ahead, other in (
        ("left beyond right", test.beyond, test.left, test.right),
        ("right beyond left", test.behind, test.right, test.left),
    ):
        sign = of.estimate.sign
        words = f"{ahead} leaves {other}'s front" if sign > 0 else f"{other} covers {ahead}"
        row = sides | {"measure": measure, "unit": epsilon_unit} | _told(of.estimate, 0.0, test)
        yield row | {"verdict": words if sign else _more(of.needed)}


def _told(of: Estimate, neutral: float, test: FrontTest) -> dict[str, Any]:
    low, high = of.interval or (None, None)
    apart = low is not None and high is not None and (low > neutral or high < neutral)
    better = test.left if of.value > neutral else test.right
    return {"value": of.value, "low": low, "high": high, "verdict": f"{better} is better" if apart else CANNOT_TELL}


def _more(needed: int | None) -> str:
    return CANNOT_TELL if needed is None else f"{CANNOT_TELL}: about {needed} seeds each would"


def _rows(comparison: Comparison | None) -> Iterator[dict[str, Any]]:
    if comparison is None:
        return
    yield from (metric_row(test) for test in comparison.metrics)
    for test in comparison.fronts:
        yield from front_rows(test, comparison.unit)


def _document(group: Group) -> dict[str, Any]:
    found = group.comparison
    return {
        "dataset": group.dataset,
        "fingerprints": list(group.fingerprints),
        "runs": list(group.runs),
        "answer": {"verdict": group.answer.verdict, "sentence": group.answer.sentence},
        "reason": group.reason,
        "unconfirmed": list(group.unconfirmed),
        "families": []
        if found is None
        else [
            {
                "name": name,
                "points": [{"run": m.run, "trial": m.point.number, "until": m.point.until} for m in members],
                "hypervolume": found.volumes.seen[name],
            }
            for name, members in found.families.items()
        ],
        "tests": list(_rows(found)),
    }
