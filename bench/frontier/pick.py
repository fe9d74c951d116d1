"""Picks one point of a front by a policy, with the reason in words. Test is not read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from bench.errors import UserError
from bench.frontier import reason
from bench.frontier.breach import Change, changed, remedies
from bench.frontier.estimates import estimate, estimates, rows_of
from bench.frontier.frontier import Frontier
from bench.frontier.gains import gain
from bench.frontier.judging import Judge
from bench.frontier.length import Length, length_of
from bench.frontier.points import called, key_of
from bench.frontier.policy import Policy
from bench.frontier.rules import PICK_RULES, Frame
from bench.frontier.simplest import simplest
from bench.frontier.stability import Stability, stability_of
from bench.fusion import Kind
from bench.objectives import Objective, key_on
from bench.records import Scalar, TrialRecord
from bench.rows import CONFIRM, SEARCH, TEST

RUNNERS_UP = 3
FULL = Length()


@dataclass(frozen=True)
class Removed:
    """A point that the guard took away, and why."""

    trial: int
    architecture: str
    reason: str
    until: int | None = None

    @property
    def name(self) -> str:
        """How a sentence names it."""
        return f"{called(self.trial, self.until)} ({self.architecture})"


@dataclass(frozen=True)
class RunnerUp:
    """A point that passed the guard and came after the pick."""

    trial: int
    architecture: str
    score: float
    metrics: dict[str, float]
    until: int | None = None


@dataclass(frozen=True)
class Pick:
    """The chosen configuration, and for how long it is to be trained.

    Attributes:
        config: the whole configuration, dotted.
        metrics: its metrics and costs: replicates' means on confirmation rows, else the search's values.
        reason: why, in words and numbers.
        removed: what the guard took away.
        runners_up: the next best by the rule, best first.
        stability: what would be picked by other weights, and by other seeds.
        length: for how long to train it where validation is trained on, too.
        samples: of training, in a search by rungs.
        until: the same where that is short of full length: training on the schedule of full length stops there.
        point: its id.
        kind, weights: of its fusion, by task; None where heads were compared, and no served scores.
        outcomes: of the served score, on confirmation rows.
    """

    trial: int
    architecture: str
    config: dict[str, Scalar]
    metrics: dict[str, float]
    rule: str
    reason: str
    removed: tuple[Removed, ...]
    runners_up: tuple[RunnerUp, ...]
    stability: Stability | None = None
    length: Length = FULL
    samples: int | None = None
    until: int | None = None
    point: str = ""
    kind: Kind | None = None
    weights: dict[str, float] | None = None
    outcomes: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Itself as plain JSON values, without the lengths that there are not."""
        plain = asdict(self)
        points = plain["stability"]["points"] if plain["stability"] else ()
        for each in (plain, *plain["removed"], *plain["runners_up"], *points):
            for key in ("samples", "until"):
                if each.get(key, ...) is None:
                    del each[key]
        return plain


class NothingPasses(UserError):
    """The guard lets no point through.

    Attributes:
        changes: the settings of the policy with which the nearest point would be picked.
        pick: that pick.
    """

    def __init__(self, text: str, changes: tuple[Change, ...], pick: Pick) -> None:
        super().__init__(text)
        self.changes, self.pick = changes, pick


def pick(frontier: Frontier, records: Sequence[TrialRecord], objectives: Sequence[Objective], policy: Policy) -> Pick:
    """Chooses a point of the front; with `simplest`, one that may belong to it.

    Equal scores go to the smaller model, then to the earlier trial, then to the shorter training.

    Raises:
        UserError: the front is empty, the policy names an unknown objective or asks what replicates do not tell.
        NothingPasses: the guard lets no point through; it names the nearest, and what would let it be picked.
        ValueError: the front was computed on test: choosing by test would spoil it.
    """
    if frontier.split == TEST:
        raise ValueError(f"expected a frontier on {CONFIRM} or {SEARCH}, found {frontier.split!r}")
    policy.check(objectives)
    front = frontier.on_front
    if not front:
        raise UserError(
            f"nothing to pick from: none of the {len(records)} trials has completed with a value of every objective"
        )
    judge = Judge(policy.guard, frontier, objectives, policy.epsilon.subject_to if policy.epsilon else None)
    broken = {key_of(each): judge.broken(each) for each in front}
    feasible = [each for each in front if not broken[key_of(each)]]
    if not feasible:
        nearest = min(front, key=lambda each: max(violation.excess for violation in broken[key_of(each)]))
        changes = remedies(broken[key_of(nearest)])
        found = pick(frontier, records, objectives, changed(policy, changes))
        point = next(each for each in frontier.points if key_of(each) == (found.trial, found.until))
        raise NothingPasses(
            f"no point of the front passes the guard; the nearest is {reason.name(point)}: "
            f"{' and '.join(map(str, judge.broken(point)))}; it would be picked if {' and '.join(map(str, changes))}",
            changes,
            found,
        )
    removed = tuple(
        Removed(each.number, each.architecture, ", and ".join(map(str, broken[key_of(each)])), each.until)
        for each in front
        if broken[key_of(each)]
    )

    feasible.sort(key=_smaller)
    rule, frame = PICK_RULES[policy.rule], _frame(policy, objectives, feasible, frontier)
    ranked = _ranked(policy, frame, feasible, objectives)
    chosen, because = ranked[0][1], reason.because(policy, ranked, bool(removed))
    if policy.simplest:
        others = [frontier.points[row] for row in frontier.plausible.index]
        near = [each for each in others if key_of(each) not in broken and not judge.broken(each)]
        within = simplest(ranked, _ranked(policy, frame, near, objectives), rule, frame, objectives, frontier.points)
        chosen, because = within.chosen, within.because(policy.rule)
        ranked = sorted([*ranked, *within.joined], key=lambda each: -each[0])
    sentences = (
        f"T{reason.name(chosen)[1:]} is picked because it {because}.",
        reason.values(chosen, objectives, gain(chosen, objectives, judge.against), judge.against),
        reason.guarded(policy, objectives, judge, len(removed), len(front)),
    )
    behind = [(score, each) for score, each in ranked if each is not chosen]
    return Pick(
        trial=chosen.number,
        architecture=chosen.architecture,
        config=chosen.config,
        metrics=_metrics(chosen),
        rule=policy.rule,
        reason=" ".join(filter(None, sentences)),
        removed=removed,
        runners_up=tuple(
            RunnerUp(each.number, each.architecture, score, _metrics(each), each.until)
            for score, each in behind[:RUNNERS_UP]
        ),
        stability=stability_of(feasible, objectives, rule, frame, frontier.points),
        length=length_of(chosen, objectives),
        samples=chosen.rungs[-1].samples if chosen.rungs else None,
        until=chosen.until,
    )


def _frame(
    policy: Policy, objectives: Sequence[Objective], feasible: Sequence[TrialRecord], frontier: Frontier
) -> Frame:
    frame = replace(Frame.around(_signed(feasible, objectives)), weights=policy.weights_of(objectives))
    if policy.epsilon:
        frame = replace(frame, best=[each.name for each in objectives].index(policy.epsilon.best))
    if policy.revenue:
        frame = replace(frame, worth=policy.revenue.worth(objectives, frontier.points))
    return frame


def _signed(points: Sequence[TrialRecord], objectives: Sequence[Objective]) -> Any:
    return estimates(points, objectives) * [objective.sign for objective in objectives]


def _smaller(point: TrialRecord) -> tuple[float, int, int]:
    return reason.size(point), point.number, len(point.rungs)


def _ranked(
    policy: Policy, frame: Frame, points: Sequence[TrialRecord], objectives: Sequence[Objective]
) -> list[tuple[float, TrialRecord]]:
    """Scores and points, best first."""
    scores = PICK_RULES[policy.rule].score(_signed(points, objectives), frame)
    rounded = np.round(scores, 12).tolist()  # scores that differ in the last bit are equal
    return sorted(zip(rounded, points, strict=True), key=lambda each: (-each[0], *_smaller(each[1])))


def _metrics(record: TrialRecord) -> dict[str, float]:
    """Metrics and costs, as estimated; those that are not finite are left out."""
    names = [key.removeprefix(f"{SEARCH}/") for key in record.metrics if key.startswith((f"{SEARCH}/", "cost/"))]
    found = {key_on(name, rows_of([record])): estimate(record, name) for name in names}
    return {key: value for key, value in found.items() if math.isfinite(value)}
