"""The plan of a verdict's A/B test: the gain that it is for, how many units and weeks that takes,
and when to look.

A plan is a document, plain values by name, which sentences, tables and JSON share. Its units are
those of an arm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from bench.core.errors import UserError, check_known
from bench.core.plain import jsonable
from bench.deciding.challenger import challenger_of, points_of
from bench.deciding.decision import Decision
from bench.deciding.plan.looks import ALPHA, FIXED, POWER, boundaries, crossed, inflation
from bench.deciding.plan.online import OnlineMetric, metrics_of, unit_of
from bench.deciding.plan.plan_options import PlanOptions
from bench.deciding.words.verdict import overall
from bench.ledger.effect import MARGIN, Effect
from bench.ledger.served.joint import Moves

MARGINAL = float(ndtri(1 - ALPHA) + ndtri(POWER))
"""Standard errors between a guardrail's margin and the true change; one-sided, as only a loss
matters there.
"""
MOST_LOOKS = 5
GAINS = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1)


def shares_of(weeks: int | None) -> tuple[float, ...]:
    """The shares of a test's units at which it is looked at: five, each at the end of a week where
    weeks are known.
    """
    looks = min(MOST_LOOKS, weeks or MOST_LOOKS)
    if not weeks:
        return tuple(look / looks for look in range(1, looks + 1))
    return tuple(math.ceil(weeks * look / looks) / weeks for look in range(1, looks + 1))


def size_of(
    metric: OnlineMetric, gain: float, traffic: float | None, at_least: float = 0.0
) -> dict[str, object]:
    """The size of a test that shows a gain, and its looks: where it ends there, and the chance that
    it has by then.

    Args:
        traffic: units a day, both arms together; without it there are no days and weeks.
        at_least: units that the test needs at its end in any case.
    """
    without_looks = metric.needed(gain)
    weeks = days = None
    if traffic is None:
        units = max(without_looks * inflation(shares_of(None)), at_least)
        units_at_end = units
    else:
        weeks, units = _weeks_and_units(without_looks, traffic, at_least)
        days = 2 * units / traffic
        units_at_end = 7 * traffic * weeks / 2
    drift = FIXED * math.sqrt(units_at_end / without_looks)
    return {
        "gain": gain,
        "units": units,
        "days": days,
        "weeks": weeks,
        "more": inflation(shares_of(weeks)) - 1,
        "looks": _looks(weeks, units_at_end, drift),
    }


def _looks(weeks: int | None, units_at_end: float, drift: float) -> list[dict[str, object]]:
    """The looks of a test.

    Args:
        units_at_end: of an arm.
        drift: standard errors that the true gain is worth then.
    """
    shares = shares_of(weeks)
    bounds = boundaries(shares)
    ended = np.cumsum(crossed(shares, bounds, drift)).tolist()
    looks: list[dict[str, object]] = []
    for share, bound, chance in zip(shares, bounds, ended, strict=True):
        look = {
            "week": weeks and round(share * weeks),
            "units": share * units_at_end,
            "bound": bound,
            "p": 2 * ndtr(-bound),
            "ended": chance,
        }
        looks.append(look)
    return looks


def _weeks_and_units(without_looks: float, traffic: float, at_least: float) -> tuple[int, float]:
    """Whole weeks of a test, and units of an arm: more weeks allow more looks, which cost units."""
    weeks, units = 0, max(without_looks, at_least)
    while True:
        needed = math.ceil(2 * units / traffic / 7)
        if needed <= weeks:
            return weeks, units
        weeks = needed
        units = max(without_looks * inflation(shares_of(weeks)), at_least)


@dataclass(frozen=True)
class _Tested:
    """Whom an A/B test compares with today.

    Attributes:
        who: in words.
        effect: what is expected of it; None without anything to test.
        unsure: whether nobody can tell that it gains.
    """

    who: str
    effect: Moves | None
    unsure: bool

    @property
    def gain(self) -> Effect | None:
        """Of U."""
        return self.effect.utility if self.effect else None

    @property
    def planned(self) -> float | None:
        """The gain that a test is planned for: where nobody can tell, at least what would
        matter.
        """
        if self.gain is None:
            return None
        if self.unsure or self.gain.value <= 0:
            return max(self.gain.value, MARGIN)
        return self.gain.value


def _tested(decision: Decision, point: str | None) -> _Tested:
    """What a decision advises, or the point that a user names."""
    served, verdict = decision.serving.served, decision.verdict
    has_today = served is not None and served.today
    if point is not None:
        challenger = challenger_of(decision, point)
        effect = challenger.both if has_today else None
        unsure = effect is not None and not effect.utility.gained
        return _Tested(challenger.who, effect, unsure)
    effect = None
    if has_today and not verdict.keep:
        effect = verdict.both
    return _Tested(verdict.who, effect, verdict.kind == "unknown")


def plan(decision: Decision, asked: PlanOptions) -> dict[str, Any]:
    """Plans the A/B test of what a decision advises, or of another point.

    Raises:
        UserError: no served front, an unknown point, unit or task, units that do not differ.
    """
    traffic = asked.traffic
    serving, rows = decision.serving, decision.test()
    served = serving.served
    if served is None or rows is None:
        remedy = "; `seesaw run RUN --confirm replicates=3` makes one" if rows is None else ""
        raise UserError(
            f"expected a served front to plan a test of, found none: {serving.reason}{remedy}"
        )
    unit_name, units = unit_of(rows, asked.unit, (decision.units, decision.group))
    weights = _weights_by_task(rows.tasks, served.names, serving.aims[0].weights)
    metrics = metrics_of(rows, units, unit_name, weights, decision.policy.values)
    first = metrics[0]

    tested = _tested(decision, asked.point)
    changes = _changes_by_task(tested, served.names)
    rails = []
    units_for_rails = 0.0
    for task, margin in asked.guardrails.items():
        rail = _guardrail(task, margin, metrics, changes)
        units_for_rails = max(units_for_rails, rail["units"] or 0.0)
        rails.append(rail)

    count_of_units = len(np.unique(units))
    usual_units, usual_weeks = count_of_units / 2, None
    if traffic is not None:
        usual_units, usual_weeks = 7 * traffic, 2
    errors = FIXED * math.sqrt(inflation(shares_of(usual_weeks)))

    expected = {}
    for task, change in changes.items():
        if math.isfinite(change.value):
            expected[task] = change.to_json()
    lines = []
    for metric in metrics:
        line = vars(metric) | {"expected": expected.get(metric.task)}
        line["least"] = metric.shown(usual_units)
        lines.append(line)

    gain, planned = tested.gain, tested.planned
    pessimistic = None
    if gain and gain.low > 0:
        pessimistic = size_of(first, gain.low, traffic, units_for_rails)
    todays_point = str(served.table["point"].iloc[served.current])
    document = {
        "points": [point for point in points_of(decision) if point != todays_point],
        "point": asked.point,
        "unsure": tested.unsure,
        "verdict": decision.verdict.kind,
        "who": tested.who,
        "against": serving.against,
        "today": served.today,
        "overall": overall(serving.aims[0]),
        "outcomes": served.names,
        "shown": serving.shown,
        "expected": expected.get(""),
        "unit": unit_name,
        "units": count_of_units,
        "rows": rows.kept,
        "weighted": rows.weights is not None,
        "traffic": traffic,
        "alpha": ALPHA,
        "power": POWER,
        "plan": planned and size_of(first, planned, traffic, units_for_rails),
        "unguarded": planned and size_of(first, planned, traffic),
        "pessimistic": pessimistic,
        "smallest": {"units": usual_units, "gain": first.shown(usual_units, errors)},
        "metrics": lines,
        "guardrails": rails,
        "gains": [size_of(first, possible, traffic) for possible in GAINS],
    }
    return dict(jsonable(document))


def _weights_by_task(
    tasks: Sequence[str], outcomes: Sequence[str], weights: Sequence[float]
) -> dict[str, float]:
    """By task the sum of its outcomes' weights; what is shown is no event of a user."""
    by_task = dict.fromkeys(tasks, 0.0)
    for outcome, weight in zip(outcomes, weights, strict=True):
        task = outcome.partition(".")[0]
        if task in by_task:
            by_task[task] += weight
    return by_task


def _changes_by_task(tested: _Tested, outcomes: Sequence[str]) -> dict[str, Effect]:
    """By task what is expected of it; of U under the empty name."""
    if tested.effect is None:
        return {}
    changes = {"": tested.effect.utility}
    for outcome, change in zip(outcomes, tested.effect.outcomes.values(), strict=True):
        changes[outcome.partition(".")[0]] = change
    return changes


def _guardrail(
    task: str,
    margin: float,
    metrics: Sequence[OnlineMetric],
    changes: Mapping[str, Effect],
) -> dict[str, Any]:
    """What a test must show that a task loses less than. It is planned for what the verdict
    expects, at most 0; units are None where that is beyond the margin."""
    metric_of = {metric.task: metric for metric in metrics if metric.task}
    check_known("outcome", task, metric_of, "--guardrail")
    change = 0.0
    if task in changes:
        change = min(0.0, float(np.nan_to_num(changes[task].value)))
    units = None
    if change > margin:
        units = metric_of[task].needed(change, margin, MARGINAL)
    return {"task": task, "margin": margin, "change": change, "units": units}
