"""The content of a page about a run on one data set: `page` and the scripts draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.objectives import Objective, in_thousandths
from bench.core.records import TrialRecord
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.schema import SCENARIO
from bench.frontier.choices import Choices
from bench.frontier.contest import Leads
from bench.frontier.decision import Decision
from bench.frontier.pick import Pick
from bench.frontier.verdict import Verdict
from bench.report import text
from bench.report.effort import seed_effects
from bench.results.diagnosis import overtraining
from bench.results.frontier import Frontier
from bench.results.ledger import Ledger
from bench.results.pareto import nondominated
from bench.results.served.front import gains
from bench.results.served.served import Served
from bench.results.within import AreaTable


@dataclass(frozen=True)
class Axis:
    """A measure on a page. Gains are printed times `scale`: per cent of the current value, or thousandths."""

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
    return tuple(Axis(each, ledger.served or not in_thousandths(each.name)) for each in ledger.measures)


def splits_of(ledger: Ledger) -> tuple[str, ...]:
    """Splits that a page shows, the one that is told first: of heads those on which some point has every measure."""
    if ledger.served:
        return TEST, CONFIRM
    splits = (each for each in (TEST, CONFIRM, SEARCH) if np.isfinite(ledger.at(each)).all(axis=1).any())
    return tuple(splits) or (SEARCH,)


def scenario_fronts(ledger: Ledger) -> dict[str, NDArray[np.bool_]]:
    """By scenario which points are on its own front, chosen on confirmation rows like that of all rows.

    The points were kept for the front of all rows. A scenario with too few positives of some outcome has no front.
    """
    fronts: dict[str, NDArray[np.bool_]] = {}
    for slice in ledger.slices(CONFIRM):
        values = ledger.at(CONFIRM, slice=slice)
        if slice.partition("=")[0] == SCENARIO and np.isfinite(values + ledger.at(TEST, slice=slice)).all():
            fronts[slice] = nondominated(values, ledger.measures)
    return fronts


def spread_of(ledger: Ledger) -> dict[str, Floats]:
    """By split the covariance (S, M, M) over draws of the gains, in per cent; without draws nothing."""
    covariances = {}
    for split, draws in ledger.draws.items():
        if len(draws) > 1 and ledger.current is not None:
            moved = 100 * gains(draws, ledger.current)
            apart = np.nan_to_num(moved - moved.mean(axis=0))
            covariances[split] = np.einsum("dsm,dsn->smn", apart, apart) / (len(draws) - 1)
    return covariances


@dataclass(frozen=True)
class View:
    """One section of a page: a run on one data set.

    Attributes:
        records: all trials of the run, in any state: for what the search did.
        front: of heads.
        served: the front that is served; None where there is none.
        choices: what the policy chooses among; with a point to differ from, a page has sliders over them.
        title: of the data set, for people; `dataset` is its id, `about` stands below the title.
        run: its name, as `seesaw pick` takes it.
        current: what all is compared with, in one sentence.
        formula: the score that the verdict says to rank by; `formulas` those of all points of the served front.
        pick: None where there is none, and `no_pick` says why.
        policy: the policy that the run follows, as TOML; asked: whether it is another than the suite's.
        also: sentences beside the pick's: exchange rates, the answer about gradient methods.
        commands: what a command does, and the command.
        made: how it was made, in the order to show: fingerprint, seed, space, versions, command, ...
        incomplete: sentences where the time limit ended the search early, the run has not ended, or replicates failed.
        leads: how far each model is ahead along the trade.
        advised: row of the served front, or of the choices, that the answer says to serve; None without a pick.
        holds: in which share of retrainings the advised model is picked again, where that is known.
        confidence: with which the limits must be kept; losses: what they allow to be lost, by outcome.
        rates: mean label by task; worths: what an event of a task is worth by the policy, empty where it says nothing.
        predictions: headers and rows: how a log's predictions fit what happened.
        areas: headers and rows: areas under the curve over all rows and within groups, where groups are ranked.
        explained: what the order owes to inputs and heads, see `bench.production.explanation`; else empty.
        days: the document of a back-test, see `bench.backtest.days.document`; empty without one.
    """

    records: Sequence[TrialRecord]
    front: Frontier
    served: Served | None
    choices: Choices
    title: str
    dataset: str
    verdict: Verdict
    about: str = ""
    run: str = ""
    current: str = ""
    formula: str = ""
    formulas: Sequence[str] = ()
    pick: Pick | None = None
    no_pick: str = ""
    policy: str = ""
    asked: bool = False
    also: Sequence[str] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    incomplete: str = ""
    areas: AreaTable = ([], [])
    predictions: AreaTable = ([], [])
    leads: Leads = field(default_factory=dict)
    advised: int | None = None
    holds: float | None = None
    confidence: float = 0.0
    losses: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    worths: Mapping[str, float] = field(default_factory=dict)
    days: Mapping[str, Any] = field(default_factory=dict)
    explained: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(decision: Decision, **more: Any) -> View:
        """A section about a decision; `more` are the attributes that it does not have."""
        return View(
            front=decision.frontier, served=decision.serving.served, choices=decision.choices, verdict=decision.verdict,
            formula=decision.formula, formulas=decision.formulas, leads=decision.leads, rates=decision.serving.rates,
            worths=decision.policy.values, pick=decision.pick, no_pick=decision.no_pick, policy=decision.policy.toml,
            advised=decision.advised, holds=decision.holds, confidence=decision.policy.guard.confidence,
            losses=decision.allowed_losses if decision.pick is not None else {}, **more,
        )  # fmt: skip

    @property
    def fronts(self) -> tuple[Ledger, ...]:
        """Those that a page draws, the first one first."""
        return (self.front,) if self.served is None else (self.served, self.front)

    @property
    def decides(self) -> bool:
        """Whether there are choices, and a point to differ from."""
        return self.choices.current is not None and len(self.choices) > 0

    @property
    def today(self) -> bool:
        """Whether somebody said what is served today; without a served front nobody asks."""
        return self.served is None or self.served.today

    @property
    def why(self) -> list[str]:
        """Sentences: the pick's, what its training lost, those beside it, and what seeds do."""
        picked = [each for each in self.front.points if self.pick and each.id == self.pick.point]
        lost = [told for each in picked for told in overtraining(each.diagnosis)]
        return [*([self.pick.sentence] if self.pick else []), *lost, *self.also, *seed_effects(self.front)]
