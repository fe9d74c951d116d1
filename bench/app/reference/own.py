"""Whether a balancer of one's own beats tuned static weights: its rows beside the published ones,
by equal trials.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.app.reference.cells import EQUAL, STATIC, Cell
from bench.app.reference.table import Row
from bench.app.runs.suite import SuiteDataset
from bench.core.errors import count
from bench.core.objectives import Objective
from bench.core.system.progress import duration
from bench.ledger.comparison.beyond import LEAST_WEIGHTS, about_methods, beyond, scale_of
from bench.ledger.comparison.significance import Word
from bench.ledger.effect import Effect
from bench.ledger.errors.evidence import Evidence
from bench.ledger.pareto import resolve_reference

PLAIN = (STATIC, EQUAL)
FEW_WEIGHTS = f"as the table has no {LEAST_WEIGHTS} tuned static weights there"


def sample_of(
    values: Sequence[Sequence[float]], moved: Sequence[Sequence[float]], seeds: tuple[int, ...]
) -> Evidence:
    """Rows of one configuration as a sample.

    Seeds whose resamples were not kept get the mean of those that were: a seed hardly changes how
    rows move it.
    """
    known = np.array(values, float)
    kept = [np.array(each).reshape(-1, known.shape[1]) for each in moved if len(each)]
    middle = np.mean(kept, axis=0) if kept else np.zeros((0, known.shape[1]))
    own = [np.array(each).reshape(middle.shape) if len(each) else middle for each in moved]
    return Evidence(known, np.array(own), seeds)


@dataclass(frozen=True)
class CellComparison:
    """How far a cell's farthest point lies beyond the front of tuned static weights, by heads on
    test.
    """

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


def beside(rows: Iterable[Row], cell: Cell) -> list[Row]:
    """Rows of a cell's data and sharing; none without enough static weights."""
    alike = [
        row for row in rows if (row.data, row.sharing, row.failure) == (cell.data, cell.sharing, "")
    ]
    return (
        alike
        if len(samples(row for row in alike if row.balancing == STATIC)) >= LEAST_WEIGHTS
        else []
    )


def samples(rows: Iterable[Row]) -> list[Evidence]:
    """Of each balancer and configuration with two fresh seeds or more."""
    by_config: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.seed):
        if row.seed:
            by_config.setdefault(
                f"{row.balancing} {json.dumps(row.config, sort_keys=True)}", []
            ).append(row)
    return [
        sample_of(
            [row.test for row in own],
            [row.test_moved for row in own],
            tuple(row.seed for row in own),
        )
        for own in by_config.values()
        if len(own) > 1
    ]


def compared(
    cell: Cell,
    rows: Sequence[Row],
    objectives: Sequence[Objective],
    dataset: SuiteDataset,
    questions: int,
) -> CellComparison | None:
    """The answer of a cell, None where its seeds failed; "yes" has an error rate of 5% over all
    questions together.

    Args:
        rows: of its data and its way of sharing, static weights among them; see `beside`.
        dataset: with its margin and its reference point.
    """
    sides = [
        [row for row in rows if row.balancing in names] for names in (PLAIN, (cell.balancing,))
    ]
    static, own = map(samples, sides)
    if not own:
        return None
    means = np.array([each.mean for each in (*static, *own)])
    scale, margin, unit = scale_of(
        objectives, resolve_reference(objectives, dataset.reference), means
    )
    result = beyond(static, own, scale, dataset.margin or margin, questions)
    assert result is not None
    theirs, ours = ([row.valid for row in side if not row.seed] for side in sides)
    verdict, _ = about_methods(result, theirs, ours, scale)
    return CellComparison(cell.data, cell.sharing, verdict, result.lead[1], result.margin, unit)


def cost_of(each: int, groups: Sequence[Sequence[Row]]) -> str:
    """What `each` trainings in some cells will cost, by the published rows beside them."""
    seconds = each * float(
        sum(np.mean([row.cpu_seconds for row in rows if row.balancing in PLAIN]) for rows in groups)
    )
    where = count(len(groups), "cell")
    return (
        f"{where} by {each} trainings each: about {duration(seconds)} of CPU time at the "
        "published pace"
    )


def sentence(name: str, comparisons: Sequence[CellComparison]) -> str:
    """The answer over all cells."""
    counts, many = (
        Counter(each.verdict for each in comparisons),
        count(len(comparisons), "comparison"),
    )
    yes, no, rival = counts["yes"], counts["no"], "tuned static weights with the same sharing"
    first = (
        f"Cannot tell whether {name} beats {rival}: open in {len(comparisons) - no} of {many}, "
        f"surely not in {no}"
    )
    if yes:
        first = f"Yes: {name} surely beats {rival}, in {yes} of {many}"
    elif no == len(comparisons):
        first = f"No: {name} surely does not beat {rival} by more than the margin, in {many}"
    far = max(comparisons, key=lambda each: (each.verdict == "yes", each.lead.value))
    where = f"with {far.sharing} on {far.data}, where the margin is {far.margin:g}"
    return f"{first}; its largest lead is {far.value}, {where}."


def effort(name: str, rows: Sequence[Row]) -> str:
    """What both sides cost, and where they were trained.

    Args:
        rows: of all cells: `name`'s own, and others beside them.
    """
    parts = []
    for called, balancers in ((name, (name,)), ("static weights", PLAIN)):
        own = [row for row in rows if row.balancing in balancers]
        made = Counter(
            f"{row.version}{row.commit and f' ({row.commit})'} on {row.machine}" for row in own
        )
        told = ", ".join(each for each, _ in made.most_common(2)) + (
            " and others" if len(made) > 2 else ""
        )
        cost = (
            f"{count(len(own), 'training')}, {duration(sum(row.cpu_seconds for row in own))} of "
            "CPU time"
        )
        parts.append(f"{called}: {cost}, by Seesaw {told}")
    return f"{'; '.join(parts)}."
