"""Whether a balancer of one's own beats tuned static weights: its rows beside the published ones, by equal trials."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.objectives import Objective
from bench.reference.cells import EQUAL, STATIC, Cell
from bench.reference.table import Row
from bench.report.text import count
from bench.results.comparison.beyond import LEAST_WEIGHTS, about_methods, beyond, scale_of
from bench.results.comparison.significance import Word
from bench.results.effect import Effect
from bench.results.pareto import resolve_reference
from bench.results.samples import Sample
from bench.system.progress import duration


def sample_of(values: Sequence[Sequence[float]], moved: Sequence[Sequence[float]], seeds: tuple[int, ...]) -> Sample:
    """Rows of one configuration as a sample.

    Seeds whose resamples were not kept get the mean of those that were: a seed hardly changes how rows move it.
    """
    known = np.array(values, float)
    kept = [np.array(each).reshape(-1, known.shape[1]) for each in moved if len(each)]
    if not kept:
        return Sample(known, np.zeros((len(known), 0, known.shape[1])), seeds)
    middle = np.mean(kept, axis=0)
    own = [np.array(each).reshape(middle.shape) if len(each) else middle for each in moved]
    return Sample(known, np.array(own), seeds)


@dataclass(frozen=True)
class Asked:
    """A cell with a balancer of one's own.

    Attributes:
        rows: of its data and its way of sharing, static weights among them.
        given: of the reference point.
    """

    cell: Cell
    rows: Sequence[Row]
    objectives: tuple[Objective, ...]
    given: Mapping[str, float]

    @property
    def sides(self) -> tuple[list[Row], list[Row]]:
        """Rows of static weights, and the cell's own."""
        static = [row for row in self.rows if row.balancing in (STATIC, EQUAL)]
        return static, [row for row in self.rows if row.balancing == self.cell.balancing]

    @property
    def enough(self) -> bool:
        """Whether a configuration of the cell's own has two fresh seeds: others may have failed."""
        return bool(_by_config(self.sides[1]))


@dataclass(frozen=True)
class Compared:
    """How far a cell's farthest point lies beyond the front of tuned static weights, by heads on test."""

    data: str
    sharing: str
    verdict: Word
    lead: Effect
    margin: float
    unit: str

    @property
    def value(self) -> str:
        """The lead with its bounds, of 95% each."""
        return f"{self.lead.value:+.2f} ({self.lead.low:+.2f} to {self.lead.high:+.2f}) {self.unit}"


def beside(rows: Iterable[Row], cell: Cell, content: str = "") -> list[Row]:
    """Rows of a cell's data and sharing, by its `content` where that is given; none without enough static weights."""
    found = [row for row in rows if (row.data, row.sharing, row.failure) == (cell.data, cell.sharing, "")]
    found = [row for row in found if content in ("", row.content)]
    return found if len(_by_config(row for row in found if row.balancing == STATIC)) >= LEAST_WEIGHTS else []


def _by_config(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows on two fresh seeds or more, by balancer and configuration."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.seed):
        if row.seed:
            found.setdefault(f"{row.balancing} {json.dumps(row.config, sort_keys=True)}", []).append(row)
    return [own for own in found.values() if len(own) > 1]


def compared(asked: Asked, questions: int) -> Compared:
    """The answer of a cell; "yes" has an error rate of 5% over all questions together."""
    static, own = (
        [
            sample_of([row.test for row in of], [row.test_moved for row in of], tuple(row.seed for row in of))
            for of in _by_config(side)
        ]
        for side in asked.sides
    )
    means = np.array([each.mean for each in (*static, *own)])
    scale, margin, unit = scale_of(asked.objectives, resolve_reference(asked.objectives, asked.given), means)
    found = beyond(static, own, scale, margin, questions)
    assert found is not None  # every configuration has two seeds
    theirs, ours = ([row.valid for row in side if not row.seed] for side in asked.sides)
    verdict, _ = about_methods(found, theirs, ours, scale)
    return Compared(asked.cell.data, asked.cell.sharing, verdict, found.lead[1], margin, unit)


def sentence(name: str, found: Sequence[Compared]) -> str:
    """The answer over all cells."""
    counts, many = Counter(each.verdict for each in found), count(len(found), "comparison")
    asked = "beats tuned static weights with the same sharing"
    if counts["yes"]:
        first = f"Yes: {name} surely {asked}, in {counts['yes']} of {many}"
    elif counts["no"] == len(found):
        first = f"No: {name} surely does not beat{asked.removeprefix('beats')} by more than the margin, in {many}"
    else:
        open_, no = counts["cannot tell"], counts["no"]
        first = f"Cannot tell whether {name} {asked}: open in {open_} of {many}, surely not in {no}"
    far = max(found, key=lambda each: (each.verdict == "yes", each.lead.value))
    where = f"with {far.sharing} on {far.data}, where the margin is {far.margin:g}"
    return f"{first}; its largest lead is {far.value}, {where}."


def effort(name: str, every: Sequence[Asked]) -> str:
    """What both sides cost, and where they were trained."""
    parts = []
    for at, called in ((1, name), (0, "static weights")):
        own = [row for each in every for row in each.sides[at]]
        made = Counter(f"{row.version}{row.commit and f' ({row.commit})'} on {row.machine}" for row in own)
        told = ", ".join(each for each, _ in made.most_common(2)) + (" and others" if len(made) > 2 else "")
        seconds = duration(sum(row.cpu_seconds for row in own))
        parts.append(f"{called}: {count(len(own), 'training')}, {seconds} of CPU time, by Seesaw {told}")
    return f"{'; '.join(parts)}."
