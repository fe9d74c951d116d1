"""The content of a page about a run on one data set: `page` and the scripts draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.app.report import text
from bench.app.report.effort import seed_effects
from bench.core.arrays import Floats
from bench.core.objectives import Objective, in_thousandths
from bench.core.records import TrialRecord
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.schema import SCENARIO
from bench.deciding.decision import Decision
from bench.ledger.diagnosis import overtraining
from bench.ledger.ledger import Ledger, fractions_over
from bench.ledger.pareto import nondominated
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
    return tuple(
        Axis(each, ledger.served or not in_thousandths(each.name)) for each in ledger.measures
    )


def splits_of(ledger: Ledger) -> tuple[str, ...]:
    """Splits that a page shows, the one that is told first: of heads those on which some point has
    every measure.
    """
    if ledger.served:
        return TEST, CONFIRM
    splits = (
        each for each in (TEST, CONFIRM, SEARCH) if np.isfinite(ledger.at(each)).all(axis=1).any()
    )
    return tuple(splits) or (SEARCH,)


def scenario_fronts(ledger: Ledger) -> dict[str, NDArray[np.bool_]]:
    """By scenario which points are on its own front, chosen on confirmation rows like that of all
    rows.

    The points were kept for the front of all rows. A scenario with too few positives of some
    outcome has no front.
    """
    fronts: dict[str, NDArray[np.bool_]] = {}
    for slice in ledger.slices(CONFIRM):
        values = ledger.at(CONFIRM, slice=slice)
        if (
            slice.partition("=")[0] == SCENARIO
            and np.isfinite(values + ledger.at(TEST, slice=slice)).all()
        ):
            fronts[slice] = nondominated(values, ledger.measures)
    return fronts


def spread_of(ledger: Ledger) -> dict[str, Floats]:
    """By split the covariance (S, M, M) over draws of the gains, in per cent; without draws
    nothing.
    """
    covariances = {}
    for split, draws in ledger.draws.items():
        if len(draws) > 1 and ledger.current is not None:
            moved = 100 * fractions_over(draws, ledger.current)
            apart = np.nan_to_num(moved - moved.mean(axis=0))
            covariances[split] = np.einsum("dsm,dsn->smn", apart, apart) / (len(draws) - 1)
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
        also: sentences beside the pick's: exchange rates, the answer about gradient methods.
        commands: what a command does, and the command.
        made: how it was made, in the order to show: fingerprint, seed, space, versions, command,
            ...
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
    also: Sequence[str] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
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
        """Whether somebody said what is served today; without a served front nobody asks."""
        served = self.decision.serving.served
        return served is None or served.today

    @property
    def why(self) -> list[str]:
        """Sentences: the pick's, what its training lost, those beside it, and what seeds do."""
        heads, pick = self.decision.frontier, self.decision.pick
        if pick is None:
            return [*self.also, *seed_effects(heads)]
        lost = [
            sentence
            for point in heads.points
            if point.id == pick.point
            for sentence in overtraining(point.diagnosis)
        ]
        return [pick.sentence, *lost, *self.also, *seed_effects(heads)]
