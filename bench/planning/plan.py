"""The plan of a verdict's A/B test: the gain that it is for, how many units and weeks that takes, and when to look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from bench.core.errors import UserError, check_known
from bench.frontier.decision import Decision
from bench.measure.predictions import Rows
from bench.planning.looks import ALPHA, FIXED, POWER, Numbers, boundaries, crossed, inflation
from bench.planning.online import Metric, metrics_of, unit_of
from bench.results.effect import MARGIN, Effect

MARGINAL = float(ndtri(1 - ALPHA) + ndtri(POWER))
"""Standard errors between a guardrail's margin and the true change; one-sided, as only a loss matters there."""
MOST_LOOKS = 5


class Guardrail(NamedTuple):
    """What a task may lose: `units` an arm show that it loses less than `margin`, a fraction below 0, if its change is
    `expected`, of the verdict and at most 0. None where that is beyond the margin."""

    task: str
    margin: float
    expected: float
    units: float | None


class Look(NamedTuple):
    """A look, from where on the test ends there, and the chance that it has ended by then."""

    week: int | None
    units: float
    bound: float
    p: float
    ended: float


class Size(NamedTuple):
    """The least units an arm that show a gain; the days and whole weeks that they take, where the traffic is known.

    Looks take `inflation` times the units of a test without."""

    gain: float
    units: float
    days: float | None
    weeks: int | None
    inflation: float
    looks: tuple[Look, ...]

    def to_json(self) -> dict[str, object]:
        """Itself as every document has it."""
        return self._asdict() | {"looks": [each._asdict() for each in self.looks]}


@dataclass(frozen=True)
class Plan:
    """The plan of an A/B test.

    Attributes:
        unit: what is assigned to an arm, such as a user.
        traffic: units that enter the test in a day, both arms together; None where nobody said it.
        units, rows: of test, that the metrics are of.
        metrics: the first stands for the policy's utility.
        gain: the verdict's, of the utility; None where there is nothing to test, or nothing to compare with.
        planned: the gain that the test is for; None as `gain`.
        changes: by task what the verdict expects of its outcome.
    """

    decision: Decision
    unit: str
    traffic: float | None
    units: int
    rows: Rows
    metrics: tuple[Metric, ...]
    gain: Effect | None
    planned: float | None
    changes: Mapping[str, Effect]
    guardrails: tuple[Guardrail, ...]

    @property
    def usual(self) -> tuple[float, float]:
        """Units an arm of two weeks, or of the log where the traffic is not known, and the gain that they show."""
        units, weeks = (self.units / 2, None) if self.traffic is None else (7 * self.traffic, 2)
        return units, self.metrics[0].shown(units, FIXED * math.sqrt(inflation(shares_of(weeks))))

    def size(self, gain: float) -> Size:
        """The size of a test that shows this gain, and all guardrails that can hold."""
        least, weeks, days = self.metrics[0].needed(gain), None, None
        others = max((each.units for each in self.guardrails if each.units), default=0.0)
        units = whole = max(least * inflation(shares_of(None)), others)
        if self.traffic is not None:
            weeks, units = 0, max(least, others)
            while (longer := math.ceil(2 * units / self.traffic / 7)) > weeks:
                weeks, units = longer, max(least * inflation(shares_of(longer)), others)
            days, whole = 2 * units / self.traffic, 7 * self.traffic * weeks / 2
        shares = shares_of(weeks)
        bounds = boundaries(shares)
        ended = np.cumsum(crossed(shares, bounds, FIXED * math.sqrt(whole / least))).tolist()
        looks = [
            Look(weeks and round(share * weeks), share * whole, bound, float(2 * ndtr(-bound)), chance)
            for share, bound, chance in zip(shares, bounds, ended, strict=True)
        ]
        return Size(gain, units, days, weeks, inflation(shares), tuple(looks))


def shares_of(weeks: int | None) -> Numbers:
    """The shares of a test's units at which it is looked at: five, each at the end of a week where weeks are known."""
    many = min(MOST_LOOKS, weeks or MOST_LOOKS)
    return tuple(math.ceil(weeks * at / many) / weeks if weeks else at / many for at in range(1, many + 1))


def plan(
    decision: Decision,
    traffic: float | None = None,
    unit: str | None = None,
    guardrails: Mapping[str, float] | None = None,
) -> Plan:
    """Plans the A/B test of what a decision advises.

    Args:
        traffic: units a day that enter the test, both arms together.
        unit: `asked` of `unit_of`.
        guardrails: by task the most that it may lose, as a fraction below 0.

    Raises:
        UserError: no served front, an unknown unit or task, a traffic or margin out of range, a task without events.
    """
    served, verdict, (rows, columns) = decision.serving.served, decision.verdict, decision.tested
    if served is None or rows is None:
        raise UserError(f"expected a served front to plan a test of, found none: {decision.serving.reason}")
    if traffic is not None and not 0 < traffic < math.inf:
        raise UserError(f"--traffic: expected a number above 0, of units a day, found {traffic:g}")
    named, units = unit_of(rows, unit, columns)
    tasks, weights = [name.partition(".")[0] for name in served.names], dict.fromkeys(rows.tasks, 0.0)
    for task, weight in zip(tasks, decision.serving.aims[0].weights, strict=True):
        weights[task] += weight
    metrics = metrics_of(rows, units, named, weights, decision.policy.values)
    both, planned = verdict.both if served.today and not verdict.keep else None, None
    changes = dict(zip(tasks, both.outcomes.values(), strict=True)) if both else {}
    if both is not None:  # where nobody can tell, at least what would matter
        sure = verdict.kind != "unknown" and both.utility.value > 0
        planned = both.utility.value if sure else max(both.utility.value, MARGIN)
    own, rails = {each.task: each for each in metrics if each.task}, []
    for task, margin in (guardrails or {}).items():
        check_known("outcome", task, own, "--guardrail")
        if not -1 < margin < 0:
            raise UserError(f"--guardrail: expected a loss above 0% and below 100% of {task}, found {-100 * margin:g}%")
        expected = min(0.0, float(np.nan_to_num(changes.get(task, Effect(0.0)).value)))
        passing = own[task].needed(expected, margin, MARGINAL) if expected > margin else None
        rails.append(Guardrail(task, margin, expected, passing))
    gain, many = both.utility if both else None, len(np.unique(units))
    return Plan(decision, named, traffic, many, rows, metrics, gain, planned, changes, tuple(rails))
