"""The answer for one entry of one's own, from its rows and the published ones beside them.

A balancer: whether it beats tuned static weights, by equal trials. A way of sharing: what it gains
under equal weights over separate models and over other ways, by paired intervals.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.app.reference.cells import ALONE, COMPOSITE, EQUAL, STATIC, Cell
from bench.app.reference.table import Row
from bench.app.runs.suite import SuiteDataset
from bench.core.errors import count
from bench.core.objectives import Objective
from bench.core.system.progress import duration
from bench.ledger.comparison.beyond import LEAST_WEIGHTS, about_methods, beyond, scale_of
from bench.ledger.comparison.significance import Word
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.intervals import differences
from bench.ledger.pareto import resolve_reference

PLAIN = (STATIC, EQUAL)
FEW_WEIGHTS = f"as the table has no {LEAST_WEIGHTS} tuned static weights there"


def sample_of(
    values: Sequence[Sequence[float]], moved: Sequence[Sequence[float]], seeds: tuple[int, ...]
) -> Evidence:
    """Rows of one configuration as a sample.

    Seeds whose resamples were not kept get the mean of those that were: a seed hardly changes how
    rows move it.

    Args:
        values: of M objectives, for each seed.
        moved: (B * M,) how far they move on resamples, for each seed; empty if not kept.
    """
    by_seed = np.array(values, float)
    objectives = by_seed.shape[1]
    stored = [
        np.array(deviations).reshape(-1, objectives) for deviations in moved if len(deviations)
    ]
    mean = np.mean(stored, axis=0) if stored else np.zeros((0, objectives))
    deviations_by_seed = [
        np.array(deviations).reshape(mean.shape) if len(deviations) else mean
        for deviations in moved
    ]
    return Evidence(by_seed, np.array(deviations_by_seed), seeds)


def samples(rows: Iterable[Row]) -> list[Evidence]:
    """Samples of each balancer and configuration with two fresh seeds or more."""
    by_config: defaultdict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.seed):
        if row.seed:
            config = json.dumps(row.config, sort_keys=True)
            by_config[f"{row.balancing} {config}"].append(row)
    return [_sample(seeds) for seeds in by_config.values() if len(seeds) > 1]


def _sample(rows: Sequence[Row]) -> Evidence:
    return sample_of(
        [row.test for row in rows],
        [row.test_moved for row in rows],
        tuple(row.seed for row in rows),
    )


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


def comparable(rows: Iterable[Row], cell: Cell) -> list[Row]:
    """Rows of a cell's data and sharing; none without enough static weights."""
    place = (cell.data, cell.sharing, "")
    rows = [row for row in rows if (row.data, row.sharing, row.failure) == place]
    static = samples(row for row in rows if row.balancing == STATIC)
    return rows if len(static) >= LEAST_WEIGHTS else []


def compared(
    cell: Cell,
    rows: Sequence[Row],
    objectives: Sequence[Objective],
    dataset: SuiteDataset,
    questions: int,
) -> CellComparison | None:
    """The answer of a cell, None if its seeds failed; "yes" has an error rate of 5% over all
    questions together.

    Args:
        rows: of its data and its way of sharing, static weights among them; see `comparable`.
        dataset: with its margin and its reference point.
    """
    static_rows = [row for row in rows if row.balancing in PLAIN]
    cell_rows = [row for row in rows if row.balancing == cell.balancing]
    static, samples_of_cell = samples(static_rows), samples(cell_rows)
    if not samples_of_cell:
        return None
    means = np.array([sample.mean for sample in (*static, *samples_of_cell)])
    reference = resolve_reference(objectives, dataset.reference)
    scale, margin, unit = scale_of(objectives, reference, means)
    result = beyond(static, samples_of_cell, scale, dataset.margin or margin, questions)
    assert result is not None
    verdict, _ = about_methods(result, _tuning(static_rows), _tuning(cell_rows), scale)
    return CellComparison(cell.data, cell.sharing, verdict, result.lead[1], result.margin, unit)


def _tuning(rows: Iterable[Row]) -> list[list[float]]:
    """Values on validation of the trainings that tuned."""
    return [row.valid for row in rows if not row.seed]


def cost_of(trainings: int, groups: Sequence[Sequence[Row]]) -> str:
    """What `trainings` in each of some cells will cost, by the published rows of each."""
    seconds = 0.0
    for rows in groups:
        seconds += float(np.mean([row.cpu_seconds for row in rows if row.balancing in PLAIN]))
    return (
        f"{count(len(groups), 'cell')} by {trainings} trainings each: about "
        f"{duration(trainings * seconds)} of CPU time at the published pace"
    )


def sentence(name: str, comparisons: Sequence[CellComparison]) -> str:
    """The answer over all cells."""
    verdicts = Counter(comparison.verdict for comparison in comparisons)
    cells = count(len(comparisons), "comparison")
    yes, no, rival = verdicts["yes"], verdicts["no"], "tuned static weights with the same sharing"
    answer = (
        f"Cannot tell whether {name} beats {rival}: open in {len(comparisons) - no} of {cells}, "
        f"surely not in {no}"
    )
    if yes:
        answer = f"Yes: {name} surely beats {rival}, in {yes} of {cells}"
    elif no == len(comparisons):
        answer = f"No: {name} surely does not beat {rival} by more than the margin, in {cells}"
    largest = max(comparisons, key=lambda one: (one.verdict == "yes", one.lead.value))
    where = f"with {largest.sharing} on {largest.data}, where the margin is {largest.margin:g}"
    return f"{answer}; its largest lead is {largest.value}, {where}."


def effort(name: str, rows: Sequence[Row]) -> str:
    """What both sides cost, and where they were trained.

    Args:
        rows: of all cells: those of the balancer `name`, and others beside them.
    """
    balancer = _effort(name, [row for row in rows if row.balancing == name])
    static = _effort("static weights", [row for row in rows if row.balancing in PLAIN])
    return f"{balancer}; {static}."


def _effort(side: str, rows: Sequence[Row]) -> str:
    origins: Counter[str] = Counter()
    for row in rows:
        commit = f" ({row.commit})" if row.commit else ""
        origins[f"{row.version}{commit} on {row.machine}"] += 1
    by = ", ".join(origin for origin, _ in origins.most_common(2))
    if len(origins) > 2:
        by += " and others"
    seconds = sum(row.cpu_seconds for row in rows)
    trainings = count(len(rows), "training")
    return f"{side}: {trainings}, {duration(seconds)} of CPU time, by Seesaw {by}"


@dataclass(frozen=True)
class Gain:
    """How much better one configuration is than another in one objective."""

    data: str
    objective: str
    left: str
    right: str
    effect: Effect

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.effect.low > 0:
            return "better"
        return "worse" if self.effect.high < 0 else "cannot tell"


def gains(
    data: str, objectives: Sequence[Objective], left: str, right: str, pair: Sequence[Evidence]
) -> list[Gain]:
    """By objective what `left`, the first sample of a pair, gains over `right`, the second; each
    has two seeds or more.
    """
    compared = differences(pair)
    assert compared is not None
    effects = zip(objectives, compared.improvements(0, 1, objectives), strict=True)
    return [Gain(data, objective.name, left, right, effect) for objective, effect in effects]


def over_others(rows: Iterable[Row], cell: Cell, objectives: Sequence[Objective]) -> list[Gain]:
    """Gains of a way of sharing over the best separate models (`alone`), and over each other way;
    all with equal weights.
    """
    by_sharing: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.balancing == (COMPOSITE if row.sharing == ALONE else EQUAL):
            by_sharing[row.sharing].append(row)
    first_sample: dict[str, Evidence] = {}
    for name in sorted(by_sharing):
        if by_config := samples(by_sharing[name]):
            first_sample[name] = by_config[0]
    ours = first_sample.pop(cell.sharing, None)
    if ours is None or cell.balancing != EQUAL:
        return []
    over: list[Gain] = []
    for name, theirs in first_sample.items():
        over += gains(cell.data, objectives, cell.sharing, name, [ours, theirs])
    return over


def summary(gains: Sequence[Gain]) -> str:
    """The gains of one way of sharing as a sentence."""
    over_separate = [gain for gain in gains if gain.right == ALONE]
    over_others = [gain for gain in gains if gain.right != ALONE]
    separate = _wins("separate models", over_separate)
    sharing = _wins("other ways of sharing", over_others)
    where = f"With equal weights on {count(len({gain.data for gain in gains}), 'data set')}"
    return (
        f"{where}, {gains[0].left} surely beats {separate}, {sharing}; each is one objective, by "
        f"its {LEVEL:.0%} interval."
    )


def _wins(rival: str, gains: Sequence[Gain]) -> str:
    verdicts = Counter(gain.verdict for gain in gains)
    return (
        f"{rival} in {verdicts['better']} of {count(len(gains), 'comparison')} and is surely worse "
        f"in {verdicts['worse']}"
    )
