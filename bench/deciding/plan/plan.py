"""The plan of a verdict's A/B test: the gain that it is for, how many units and weeks that takes,
and when to look.

A plan is a document, plain values by name, which sentences, tables and JSON share. Its units are
those of an arm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from bench.core.errors import UserError, check_known
from bench.core.plain import jsonable
from bench.deciding.challenger import challenger_of, points_of
from bench.deciding.decision import Decision
from bench.deciding.plan.looks import ALPHA, FIXED, POWER, boundaries, crossed, inflation
from bench.deciding.plan.online import OnlineMetric, metrics_of, unit_of
from bench.deciding.words.verdict import overall
from bench.ledger.effect import MARGIN, Effect

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
    many = min(MOST_LOOKS, weeks or MOST_LOOKS)
    return tuple(
        math.ceil(weeks * at / many) / weeks if weeks else at / many for at in range(1, many + 1)
    )


def size_of(
    metric: OnlineMetric, gain: float, traffic: float | None, others: float = 0.0
) -> dict[str, object]:
    """The size of a test that shows a gain, and its looks: where it ends there, and the chance that
    it has by then.

    Args:
        traffic: units a day, both arms together; without it there are no days and weeks.
        others: units that the test needs at its end in any case.
    """
    least, weeks, days = metric.needed(gain), None, None
    units = whole = max(least * inflation(shares_of(None)), others)
    if traffic is not None:
        weeks, units = 0, max(least, others)
        while (longer := math.ceil(2 * units / traffic / 7)) > weeks:
            weeks, units = longer, max(least * inflation(shares_of(longer)), others)
        days, whole = 2 * units / traffic, 7 * traffic * weeks / 2
    shares = shares_of(weeks)
    bounds = boundaries(shares)
    ended = np.cumsum(crossed(shares, bounds, FIXED * math.sqrt(whole / least))).tolist()
    looks = [
        {
            "week": weeks and round(share * weeks),
            "units": share * whole,
            "bound": z,
            "p": 2 * ndtr(-z),
            "ended": by,
        }
        for share, z, by in zip(shares, bounds, ended, strict=True)
    ]
    return {
        "gain": gain,
        "units": units,
        "days": days,
        "weeks": weeks,
        "more": inflation(shares) - 1,
        "looks": looks,
    }


def plan(
    decision: Decision,
    traffic: float | None = None,
    unit: str | None = None,
    guardrails: Mapping[str, float] | None = None,
    point: str | None = None,
) -> dict[str, Any]:
    """Plans the A/B test of what a decision advises, or of another point.

    Args:
        traffic: units a day that enter the test, both arms together.
        unit: what is assigned to an arm, see `unit_of`.
        guardrails: by task the most that it may lose, as a fraction below 0.
        point: its id; it is tested at its best weights by the policy.

    Raises:
        UserError: no served front, an unknown point, unit or task, a traffic or margin out of
            range, units that do not differ.
    """
    serving, verdict, rows = decision.serving, decision.verdict, decision.test()
    if (served := serving.served) is None or rows is None:
        makes = "; `seesaw confirm RUN --replicates 3` makes one" if rows is None else ""
        raise UserError(
            f"expected a served front to plan a test of, found none: {serving.reason}{makes}"
        )
    if traffic is not None and not 0 < traffic < math.inf:
        raise UserError(f"--traffic: expected a number above 0, of units a day, found {traffic:g}")
    named, units = unit_of(rows, unit, (decision.units, decision.group))
    tasks = [name.partition(".")[0] for name in served.names]
    weights = dict.fromkeys(rows.tasks, 0.0)
    for task, weight in zip(tasks, serving.aims[0].weights, strict=True):
        if task in weights:  # what is shown is no event of a user
            weights[task] += weight
    metrics = metrics_of(rows, units, named, weights, decision.policy.values)
    asked = None if point is None else challenger_of(decision, point)
    both = asked.both if asked is not None else verdict.both if not verdict.keep else None
    both = both if served.today else None
    gain = both.utility if both else None
    expected = {"": gain} | (dict(zip(tasks, both.outcomes.values(), strict=True)) if both else {})
    planned = gain and gain.value
    unsure = verdict.kind == "unknown" if asked is None else gain is not None and not gain.gained
    if gain and (unsure or gain.value <= 0):  # where nobody can tell, at least what would matter
        planned = max(gain.value, MARGIN)
    rails = [_guardrail(*each, metrics, expected) for each in (guardrails or {}).items()]
    others, many = max((each["units"] or 0.0 for each in rails), default=0.0), len(np.unique(units))
    usual = many / 2 if traffic is None else 7 * traffic
    least = metrics[0].shown(
        usual, FIXED * math.sqrt(inflation(shares_of(None if traffic is None else 2)))
    )
    told = {
        task: each.to_json()
        for task, each in expected.items()
        if each and math.isfinite(each.value)
    }
    now = str(served.table["point"].iloc[served.current])
    document = {
        "points": [known for known in points_of(decision) if known != now],
        "point": point,
        "unsure": unsure,
        "verdict": verdict.kind,
        "who": asked.who if asked else verdict.who,
        "against": serving.against,
        "today": served.today,
        "overall": overall(serving.aims[0]),
        "outcomes": served.names,
        "shown": serving.shown,
        "expected": told.get(""),
        "unit": named,
        "units": many,
        "rows": rows.kept,
        "weighted": rows.weights is not None,
        "traffic": traffic,
        "alpha": ALPHA,
        "power": POWER,
        "plan": planned and size_of(metrics[0], planned, traffic, others),
        "unguarded": planned and size_of(metrics[0], planned, traffic),
        "pessimistic": size_of(metrics[0], gain.low, traffic, others)
        if gain and gain.low > 0
        else None,
        "smallest": {"units": usual, "gain": least},
        "metrics": [
            vars(each) | {"expected": told.get(each.task), "least": each.shown(usual)}
            for each in metrics
        ],
        "guardrails": rails,
        "gains": [size_of(metrics[0], each, traffic) for each in GAINS],
    }
    return dict(jsonable(document))


def _guardrail(
    task: str,
    margin: float,
    metrics: tuple[OnlineMetric, ...],
    changes: Mapping[str, Effect | None],
) -> dict[str, Any]:
    """What a test must show that a task loses less than. It is planned for what the verdict
    expects, at most 0; units are None where that is beyond the margin."""
    own = {each.task: each for each in metrics if each.task}
    check_known("outcome", task, own, "--guardrail")
    if not -1 < margin < 0:
        raise UserError(
            f"--guardrail: expected a loss above 0% and below 100% of {task}, found "
            f"{-100 * margin:g}%"
        )
    change = min(0.0, float(np.nan_to_num((changes.get(task) or Effect(0.0)).value)))
    units = own[task].needed(change, margin, MARGINAL) if change > margin else None
    return {"task": task, "margin": margin, "change": change, "units": units}
