"""Picks one choice by a policy, and gives the reason in words. Never reads test.

Guards exclude choices, a rule scores the rest. Trials, baselines and the current point are treated
alike. Where nothing gains on the current point, that is the pick.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NoReturn

import numpy as np

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.core.objectives import key_on, metric_of, ranked
from bench.core.records import Point, Scalar
from bench.core.rows import SEARCH
from bench.deciding.choices import Choices, Fused, Named
from bench.deciding.judging import Judge
from bench.deciding.policy import Policy
from bench.deciding.remedies import Breach, Remedy, changed, remedies
from bench.deciding.stability import Stability, as_good, simpler, simplicity, stability_of
from bench.deciding.words.pick import Told, called
from bench.deciding.words.verdict import titles_of
from bench.ledger.points import compared_split, estimate

RUNNERS_UP = 3
NAMED = 2
"""Simpler choices that the sentence names at most."""


@dataclass(frozen=True)
class Removed(Named):
    """A point that the guard excludes in all its rows: the row that comes nearest, and why."""

    reason: str


@dataclass(frozen=True)
class RunnerUp(Fused):
    """The best row of another point that passes the guard."""

    score: float
    outcomes: dict[str, float]


@dataclass(frozen=True)
class Pick(Fused):
    """The chosen point, how its tasks are fused, and how long to train it.

    Attributes:
        trial: None where a baseline or the current point is picked.
        role: trial, baseline or current.
        config: the whole configuration, dotted; empty where there is none.
        outcomes: values of the objectives and of what the policy names: means as in the choices.
        metrics: metrics of the heads and costs: means on confirmation rows, else the search's
            values.
        short: the pick, its gains and how often it holds, in one sentence.
        sentence: what is picked and why, and what simpler choice is as good.
        reason: the same with values of the rows that chose, how often it holds, and what the guard
            did.
        as_good: names of simpler choices that are as good within noise.
        unlimited: the row that would be picked without the guard, where the guard makes the current
            point, or a row that equals it, the pick; else None.
        runners_up: the next best points by the rule, best first.
        samples: of training, in a search by rungs.
        until: the same where that is short of full length: training on the schedule of full length
            stops there.
    """

    trial: int | None
    role: str
    config: dict[str, Scalar]
    outcomes: dict[str, float]
    metrics: dict[str, float]
    rule: str
    short: str
    sentence: str
    reason: str
    as_good: tuple[str, ...]
    removed: tuple[Removed, ...]
    runners_up: tuple[RunnerUp, ...]
    stability: Stability
    unlimited: int | None = None
    samples: int | None = None
    until: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Itself as plain JSON values."""
        return asdict(self)


class NothingPasses(UserError):
    """No choice passes the guard.

    Attributes:
        remedies: the settings of the policy with which the nearest choice would pass.
        pick: what would be picked then.
    """

    def __init__(self, text: str, remedies: tuple[Remedy, ...], pick: Pick) -> None:
        super().__init__(text)
        self.remedies, self.pick = remedies, pick


def pick(choices: Choices, points: Iterable[Point], policy: Policy) -> Pick:
    """Picks a row.

    Equal scores go to the larger sum of gains in all objectives, then to the smaller model, then to
    the earlier row. So no row that passes the guard dominates the pick.

    Raises:
        UserError: there is nothing to choose from, or the policy names or asks what is not known.
        NothingPasses: the guard lets nothing through; it names the nearest choice, and what would
            let it pass.
    """
    if not len(choices):
        raise UserError(
            "nothing to pick from: no trial has completed with a value of every objective"
        )
    judge = Judge(policy, choices)
    point_of = {point.id: point for point in points}
    scores = np.round(judge.scores(choices.values(judge.scored)), 12)
    feasible = np.flatnonzero(judge.passing & np.isfinite(scores)).tolist()
    if not feasible:
        _nothing(judge, point_of.values(), scores)
    ranking = _ranking(choices, feasible, scores)
    chosen, as_good = _with_simpler(judge, ranking)
    unlimited = _unlimited(judge, _compared(judge), chosen, scores)
    words = Told(
        judge=judge,
        chosen=chosen,
        as_good=as_good[:NAMED],
        stability=stability_of(judge, chosen),
        limited=unlimited is not None,
        titles=titles_of(list(point_of.values())),
    )
    facts = _pick_of(words, point_of.get(choices.of("point", chosen)))
    return replace(
        facts,
        short=words.short,
        sentence=words.sentence,
        reason=words.reason,
        as_good=tuple(choices.of("name", row) for row in as_good),
        removed=_removed(choices, judge),
        runners_up=_runners_up(choices, ranking, chosen, scores),
        unlimited=unlimited,
    )


def _ranking(choices: Choices, rows: Sequence[int], scores: Floats) -> list[int]:
    """Rows, the best one first."""
    gains = choices.gains(choices.names, choices.values(choices.names))
    total_gains = np.nan_to_num(gains, nan=-1e9).sum(axis=1)
    sizes = choices.table["size"].to_numpy()

    def order(row: int) -> tuple[float, float, float, int]:
        total_gain = round(float(total_gains[row]), 12)
        return -scores[row], -total_gain, sizes[row], row

    return sorted(rows, key=order)


def _compared(judge: Judge) -> list[str]:
    """Metrics that choices are compared in: all that the rule scores, and the objectives."""
    return list(dict.fromkeys([*judge.scored, *judge.choices.names]))


def _with_simpler(judge: Judge, ranking: Sequence[int]) -> tuple[int, list[int]]:
    """The row that is picked, and the simpler rows that are as good.

    That is the first of the ranking, unless one that is as good is what is served today, or is
    smaller where the policy asks for the simplest.
    """
    choices, names, chosen = judge.choices, _compared(judge), ranking[0]
    as_good = _simpler(choices, names, ranking, chosen)
    for row in as_good:
        is_todays = row == choices.current and choices.of("role", row) == "current"
        is_smaller = simplicity(choices, row) < simplicity(choices, chosen)
        if is_todays or (judge.policy.simplest and is_smaller):
            return row, _simpler(choices, names, ranking, row)
    return chosen, as_good


def challenger(
    choices: Choices, points: Iterable[Point], policy: Policy, row: int, keeps_limits: bool
) -> Pick:
    """A row that a user asked for, by its point, as a pick.

    Args:
        keeps_limits: whether it keeps the policy's limits, if only by its means.
    """
    judge = Judge(policy, choices)
    point_of = {point.id: point for point in points}
    words = Told(
        judge=judge,
        chosen=row,
        as_good=(),
        stability=stability_of(judge, row),
        limited=False,
        titles=titles_of(list(point_of.values())),
    )
    facts = _pick_of(words, point_of.get(choices.of("point", row)))
    sentence = words.challenger(keeps_limits)
    return replace(facts, short=sentence, sentence=sentence, reason=sentence)


def _pick_of(words: Told, point: Point | None) -> Pick:
    """The facts of a row, without what compares it with others; `point` is None where it is a model
    from elsewhere.
    """
    judge, choices, row = words.judge, words.choices, words.chosen
    policys_metrics = [*judge.scored, *judge.names]
    policys_outcomes = [name for name in policys_metrics if ranked(metric_of(name))]
    facts = Pick(
        **choices.fused(row),
        trial=None,
        role=choices.of("role", row),
        config={},
        outcomes=_values(choices, [*choices.names, *policys_outcomes], row),
        metrics={},
        rule=judge.policy.rule,
        short="",
        sentence="",
        reason="",
        as_good=(),
        removed=(),
        runners_up=(),
        stability=words.stability,
    )
    if point is None:
        return facts
    return replace(
        facts,
        trial=point.number if facts.role == "trial" else None,
        config=dict(point.config),
        metrics=_metrics(point),
        samples=point.rungs[-1].samples if point.rungs else None,
        until=point.until,
    )


def _unlimited(judge: Judge, names: Sequence[str], chosen: int, scores: Floats) -> int | None:
    """Where a row is the current point, or equals it in every value, as a trial that is the
    baseline does: the row with the best score, whatever limits it breaks; None where none scores
    higher."""
    values, now = judge.choices.values(names), judge.choices.current
    if now is None or not np.array_equal(values[chosen], values[now]):
        return None
    best = int(np.argmax(scores))
    return best if scores[best] > scores[now] else None


def _simpler(
    choices: Choices, names: Sequence[str], feasible: Sequence[int], chosen: int
) -> list[int]:
    """Simpler rows that are as good as one and pass the guard: of each point the first, simplest
    points first.
    """
    good = set(as_good(choices, names, chosen))
    rows = [row for row in feasible if row in good and simpler(choices, row, chosen)]
    # of equals the best by the rule first
    return sorted(choices.firsts(rows), key=lambda row: simplicity(choices, row))


def _nothing(judge: Judge, points: Iterable[Point], scores: Floats) -> NoReturn:
    choices, policy = judge.choices, judge.policy
    rows = np.flatnonzero(np.isfinite(scores)).tolist()
    if not rows:
        raise UserError(
            f"nothing to pick from: no choice has a value of all that the rule '{policy.rule}' "
            "reads"
        )
    nearest = min(rows, key=lambda row: (_excess(judge.broken(row)), -scores[row]))
    broken = judge.broken(nearest)
    breaches = " and ".join(breach.text for breach in broken)
    needed = remedies(broken)
    settings = " and ".join(map(str, needed))
    text = (
        f"nothing passes the guard; the nearest is {called(choices, nearest)}: {breaches}; it "
        f"would pass if {settings}"
    )
    pick_then = pick(choices, points, changed(policy, needed))
    raise NothingPasses(text, needed, pick_then)


def _excess(broken: Sequence[Breach]) -> float:
    return max((breach.excess for breach in broken), default=0.0)


def _removed(choices: Choices, judge: Judge) -> tuple[Removed, ...]:
    """Points of which no row passes, each by the row that comes nearest."""
    removed = []
    for rows in choices.table.groupby("point", sort=False).indices.values():
        if judge.passing[rows].any():
            continue
        fewest = min(map(judge.broken, rows), key=_excess)
        reason = ", and ".join(breach.text for breach in fewest)
        removed.append(Removed(**choices.named(rows[0]), reason=reason))
    return tuple(removed)


def _runners_up(
    choices: Choices, ranking: Sequence[int], chosen: int, scores: Floats
) -> tuple[RunnerUp, ...]:
    point = choices.of("point", chosen)
    firsts = [row for row in choices.firsts(ranking) if choices.of("point", row) != point]
    runners_up = []
    for row in firsts[:RUNNERS_UP]:
        outcomes = _values(choices, choices.names, row)
        score = float(scores[row])
        runners_up.append(RunnerUp(**choices.fused(row), score=score, outcomes=outcomes))
    return tuple(runners_up)


def _values(choices: Choices, names: Sequence[str], row: int) -> dict[str, float]:
    """What was measured of a row."""
    values_of_row = choices.values(names)[row].tolist()
    values = dict(zip(names, values_of_row, strict=True))
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _metrics(point: Point) -> dict[str, float]:
    split = compared_split([point])
    metrics = {}
    for key in point.metrics:
        if key.startswith((f"{SEARCH}/", "cost/")):
            name = key.removeprefix(f"{SEARCH}/")
            value = estimate(point, name)
            if math.isfinite(value):
                metrics[key_on(name, split)] = value
    return metrics
