"""The content of a page about a run on one data set, among it the search's progress, what mattered
in it, and its failed runs by reason: `page` and the scripts draw it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.app.report import text
from bench.core.arrays import Floats, Mask
from bench.core.objectives import Objective, in_thousandths
from bench.core.records import TrialRecord
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.schema import SCENARIO
from bench.deciding.decision import Decision
from bench.ledger.course import History
from bench.ledger.diagnosis import overtraining
from bench.ledger.heads import Frontier
from bench.ledger.importance import Importance, alone, importances
from bench.ledger.ledger import Ledger, fractions_over
from bench.ledger.pareto import nondominated
from bench.ledger.points import estimates
from bench.ledger.within import AreaTable


@dataclass(frozen=True)
class Axis:
    """A measure on a page. Gains are printed times `scale`: per cent of the current value, or
    thousandths.
    """

    objective: Objective
    relative: bool

    @property
    def label(self) -> str:
        """For people: `income AUC`."""
        return text.label(self.objective.name)

    @property
    def scale(self) -> float:
        """The factor by which a gain is multiplied."""
        return 100.0 if self.relative else 1000.0


def axes_of(ledger: Ledger) -> tuple[Axis, ...]:
    """Its measures as a page has them."""
    axes = []
    for measure in ledger.measures:
        axes.append(Axis(measure, ledger.served or not in_thousandths(measure.name)))
    return tuple(axes)


def splits_of(ledger: Ledger) -> tuple[str, ...]:
    """Splits that a page shows, the first one by default: of heads those on which some point has
    every measure.
    """
    if ledger.served:
        return TEST, CONFIRM
    splits = []
    for split in (TEST, CONFIRM, SEARCH):
        if np.isfinite(ledger.at(split)).all(axis=1).any():
            splits.append(split)
    return tuple(splits) or (SEARCH,)


def scenario_fronts(ledger: Ledger) -> dict[str, Mask]:
    """By scenario which points are on its own front, chosen on confirmation rows like that of all
    rows.

    The points were kept for the front of all rows. A scenario with too few positives of some
    outcome has no front.
    """
    fronts: dict[str, Mask] = {}
    for slice in ledger.slices(CONFIRM):
        if slice.partition("=")[0] != SCENARIO:
            continue
        values = ledger.at(CONFIRM, slice=slice)
        if np.isfinite(values + ledger.at(TEST, slice=slice)).all():
            fronts[slice] = nondominated(values, ledger.measures)
    return fronts


def spread_of(ledger: Ledger) -> dict[str, Floats]:
    """By split the covariance (S, M, M) over draws of the gains, in per cent; without draws
    nothing.
    """
    covariances = {}
    for split, draws in ledger.draws.items():
        if len(draws) > 1 and ledger.current is not None:
            per_cent = 100 * fractions_over(draws, ledger.current)
            deviations = np.nan_to_num(per_cent - per_cent.mean(axis=0))
            products = np.einsum("dsm,dsn->smn", deviations, deviations)
            covariances[split] = products / (len(draws) - 1)
    return covariances


@dataclass(frozen=True, kw_only=True)
class PageSection:
    """One section of a page: what is decided on a data set, and what a page says beside it.

    Attributes:
        decision: with a point to differ from, a page has sliders over its choices.
        records: all trials of the run, in any state: for what the search did.
        title: of the data set, for people; `dataset` is its id, `about` stands below the title.
        run: its name, as `seesaw pick` takes it.
        current: what all is compared with, in one sentence.
        asked: whether the policy is another than the suite's.
        remarks: sentences beside the pick's: exchange rates, the answer about gradient methods.
        commands: what a command does, and the command.
        provenance: how it was made, in the order to show: fingerprint, seed, space, versions,
            command, ...
        incomplete: sentences where the time limit ended the search early, the run has not ended, or
            replicates failed.
        predictions: headers and rows: how a log's predictions fit what happened.
        areas: headers and rows: areas under the curve over all rows and within groups, where groups
            are ranked.
        explained: what the order owes to inputs and heads, see `bench.serve.explanation`; else
            empty.
        days: the document of a back-test, see `bench.serve.backtest.daily_gains.document`; empty
            without one.
    """

    decision: Decision
    title: str
    dataset: str
    records: Sequence[TrialRecord] = ()
    about: str = ""
    run: str = ""
    current: str = ""
    asked: bool = False
    remarks: Sequence[str] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    incomplete: str = ""
    areas: AreaTable = ([], [])
    predictions: AreaTable = ([], [])
    days: Mapping[str, Any] = field(default_factory=dict)
    explained: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fronts(self) -> tuple[Ledger, ...]:
        """Those that a page draws, the first one first."""
        heads, served = self.decision.frontier, self.decision.serving.served
        return (heads,) if served is None else (served, heads)

    @property
    def decides(self) -> bool:
        """Whether there are choices, and a point to differ from."""
        choices = self.decision.choices
        return choices.current is not None and len(choices) > 0

    @property
    def today(self) -> bool:
        """Whether the request names what is served today; without a served front it need not."""
        served = self.decision.serving.served
        return served is None or served.today

    @property
    def why(self) -> list[str]:
        """Sentences: the pick's, what its training lost, those beside it, and what seeds do."""
        heads, pick = self.decision.frontier, self.decision.pick
        sentences = []
        if pick is not None:
            sentences.append(pick.sentence)
            for point in heads.points:
                if point.id == pick.point:
                    sentences += overtraining(point.diagnosis)
        return [*sentences, *self.remarks, *seed_effects(heads)]


Failed = tuple[tuple[str, str], list[int]]
"""The kind and reason of failures, and their trials, once for each failed run."""


def failures(records: Sequence[TrialRecord]) -> list[Failed]:
    """Failed runs, replicates among them, by kind and reason; the most frequent first."""
    trials: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in records:
        for failure in (record.failure, *(run.failure for run in record.replicates)):
            if failure:
                trials[failure.kind, failure.reason].append(record.number)
    return sorted(trials.items(), key=_most_frequent_first)


def _most_frequent_first(failed: Failed) -> tuple[int, list[int]]:
    _, trials = failed
    return -len(trials), sorted(set(trials))


def course(front: Frontier, records: Sequence[TrialRecord]) -> list[tuple[int, float]]:
    """(training samples, hypervolume) after each result."""
    by_rungs = any(record.rungs for record in records)
    history = History(front.measures, front.reference, by_rungs)
    history.add(records, 2**63)
    return [(row.samples, row.hypervolume) for row in history.rows]


def influences(records: Sequence[TrialRecord], front: Frontier) -> tuple[Importance, ...]:
    """Of parameters on the hypervolume of a trial alone; in a search by rungs at the first, which
    every trial reached.
    """
    measured = [record.points[0] for record in records if record.measured]
    values = estimates([point.unconfirmed for point in measured], front.measures)
    hypervolumes = alone(values, front.measures, front.reference)
    return tuple(importances(measured, hypervolumes, seed=0))


def seed_effects(front: Frontier) -> list[str]:
    """For each metric what another seed changes, how far confirmed points lie apart, and how much
    the search's values of them are too good."""
    trials = (front.table["role"] == "trial").to_numpy()
    means, deviations = front.at(CONFIRM), front.at(CONFIRM, "sd")
    searched = front.at(SEARCH)
    sentences = []
    for column, objective in enumerate(front.measures):
        rows = trials & np.isfinite(deviations[:, column])
        if objective.is_metric and rows.sum() > 1:
            confirmed, noise = means[rows, column], deviations[rows, column]
            sentences.append(_seed_effect(objective, confirmed, noise, searched[rows, column]))
    return sentences


def _seed_effect(
    objective: Objective, confirmed: Floats, deviations: Floats, searched: Floats
) -> str:
    scale = 1000.0 if in_thousandths(objective.name) else 1.0
    unit = " (\N{MULTIPLICATION SIGN} 1000)" if scale > 1 else ""

    def size(amount: float) -> str:
        return text.signed(scale * amount, scale).lstrip("+")

    lost = objective.sign * float(np.nanmean(searched - confirmed))
    optimism = ""
    if np.isfinite(lost):
        direction = "better" if lost >= 0 else "worse"
        optimism = (
            f"; the search measured them {size(abs(lost))} {direction} than confirmation, on "
            "average"
        )
    return (
        f"{text.label(objective.name)}{unit}: another seed moves a model by "
        f"{size(float(np.median(deviations)))} (standard deviation); {len(confirmed)} confirmed "
        f"points lie {size(float(np.ptp(confirmed)))} apart{optimism}."
    )
