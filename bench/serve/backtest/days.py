"""What a back-test shows: gains on an average day, what old weights lose, and what a model loses
that is not retrained.

Days are a source of variance beside seeds and rows, so an interval is of Student's t on the days,
with one degree of freedom less than there are. Fewer than `LEAST_DAYS` days have none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from bench.core.arrays import Floats
from bench.core.errors import count
from bench.deciding.aims import PolicyAim
from bench.deciding.words.verdict import beginning
from bench.ledger.effect import LEVEL, Effect, percent
from bench.serve.backtest.backtest import CHOSEN, FROZEN, LEAST_POSITIVES, PICKED, Backtest

LEAST_DAYS = 5
"""Days from which on there is an interval."""
WRONG, MATTERS = 0.05, 0.02
"""The chance that predictions which fit are said not to, of all tasks together; and the smallest
misfit said.
"""


def mean_day(values: Floats, level: float = LEVEL) -> Effect:
    """The mean of values (K,) of days, and its interval; days without a value do not count."""
    return _slope(values, np.ones(len(values)), LEAST_DAYS, level)


def per_day(losses: Floats) -> Effect:
    """How fast losses (K,) grow from 0 on the first day, a day: a line through the origin, with its
    interval.
    """
    return _slope(losses, np.arange(len(losses), dtype=np.float64), LEAST_DAYS - 1, LEVEL)


def _slope(values: Floats, at: Floats, least: int, level: float) -> Effect:
    """Of a line through the origin, values (K,) at places (K,); below `least` values without an
    interval.
    """
    known = np.isfinite(values) & (at > 0)
    x, y = at[known], values[known]
    if not len(x):
        return Effect(math.nan)
    slope = float(x @ y / (x @ x))
    if len(x) < least:
        return Effect(slope)
    error = math.sqrt(float(((y - slope * x) ** 2).sum()) / (len(x) - 1) / float(x @ x))
    margin = float(stdtrit(len(x) - 1, (1 + level) / 2)) * error
    return Effect(slope, slope - margin, slope + margin)


@dataclass(frozen=True)
class Days:
    """A point's gains over what all are compared with, day by day.

    Attributes:
        utility: (K,) gain of U, the policy's utility, as a fraction.
        outcomes: (K, M) gains of the outcomes.
        average, by_outcome: of the average day.
        old_weights: what is lost by the weights of the run, against weights chosen at each cut.
        frozen: what is lost a cut, by a model that is not trained again.
        fits: by task how far predictions are above labels on the average day; all together hold at
            1 - `WRONG`.
    """

    point: str
    utility: Floats
    outcomes: Floats
    average: Effect
    by_outcome: dict[str, Effect]
    old_weights: Effect
    frozen: Effect
    fits: dict[str, Effect] = field(default_factory=dict)

    @property
    def ahead(self) -> int:
        """On how many days U is larger."""
        return int((self.utility > 0).sum())


def days_of(backtest: Backtest, aim: PolicyAim, point: str) -> Days:
    """A point day by day."""
    base = backtest.values(backtest.against, backtest.how, PICKED)
    own = backtest.values(point, backtest.how, PICKED)
    utility = _utility(aim, own, base)
    gains = own / np.maximum(base, 1e-9) - 1
    chosen = _utility(aim, backtest.values(point, backtest.how, CHOSEN), base)
    frozen = _utility(aim, backtest.values(point, FROZEN, PICKED), base)
    fits = backtest.fits(point, backtest.how)
    old_weights = mean_day(utility - chosen) if np.isfinite(chosen).sum() > 1 else Effect(math.nan)
    return Days(
        point,
        aim.fraction(utility),
        gains,
        aim.effect(mean_day(utility)),
        {name: mean_day(gains[:, at]) for at, name in enumerate(backtest.outcomes)},
        aim.effect(old_weights),
        aim.effect(per_day(frozen - utility)),
        {task: mean_day(each, 1 - WRONG / len(fits)) for task, each in fits.items()},
    )


def _utility(aim: PolicyAim, values: Floats, base: Floats) -> Floats:
    return np.array([float(aim.score(own, at)) for own, at in zip(values, base, strict=True)])


def sentences(days: Days, backtest: Backtest, title: str, against: str, unit: str) -> list[str]:
    """The answer in one sentence, and what beside it a reader acts on.

    Args:
        unit: what a cut is: `day`, `week` or `cut`.
    """
    many = int(np.isfinite(days.utility).sum())
    name, most = max(days.by_outcome.items(), key=lambda each: abs(each[1].value))
    often = f"{beginning(title)} did better than {against} on {days.ahead} of {count(many, unit)}"
    more = [f"{often}: {days.average} all in all on an average {unit}, {most} of {name}."]
    if few := len(backtest.cuts) - many:
        more.append(
            f"Not counted: {count(few, unit)} with fewer than {LEAST_POSITIVES} positives of an "
            "outcome."
        )
    if many < LEAST_DAYS:
        more.append(
            f"{count(many, unit).capitalize()} are too few to say how sure that is: {LEAST_DAYS} "
            "are needed."
        )
    if math.isfinite(days.old_weights.value):
        more.append(
            f"Against weights chosen at each {unit} the run's weights "
            f"{_lost(days.old_weights, 'lose', '')}."
        )
    if math.isfinite(days.frozen.value):
        more.append(
            f"A model that is not trained again {_lost(days.frozen, 'loses', f' a {unit}')}."
        )
    for task, fit in days.fits.items():
        if (fit.low > 0 or fit.high < 0) and abs(fit.value) >= MATTERS:
            way, ends = (
                ("high", (fit.low, fit.high)) if fit.low > 0 else ("low", (-fit.high, -fit.low))
            )
            misfit = f"{abs(fit.value):.0%} too {way} ({ends[0]:.0%} to {ends[1]:.0%})"
            more.append(f"Its predictions of '{task}' are {misfit} on an average {unit}.")
    return more


def _lost(change: Effect, verb: str, unit: str) -> str:
    """A loss in words: `loses 0.2% (0.1 to 0.3) a day`; where noise may explain it, that none is
    shown.
    """
    sure = math.isfinite(change.low)
    if (change.high if sure else change.value) >= 0:
        return f"{verb.replace('lose', 'show')} no loss{unit}: {change}"
    ends = f" ({-100 * change.high:.1f} to {-100 * change.low:.1f})" if sure else ""
    return f"{verb} {-100 * change.value:.1f}%{unit}{ends}"


def table(days: Days, backtest: Backtest) -> list[list[object]]:
    """A row for each cut: its times, rows, gain of U and of each outcome, in per cent."""
    return [
        [str(cut), cut.rows, percent(float(u)), *(percent(float(each)) for each in row)]
        for cut, u, row in zip(backtest.cuts, days.utility, days.outcomes, strict=True)
    ]


def document(every: Sequence[Days], backtest: Backtest) -> dict[str, object]:
    """All of it as plain values."""
    return {
        "against": backtest.against,
        "how": backtest.how,
        "cuts": [vars(cut) | {"name": str(cut)} for cut in backtest.cuts],
        "points": {
            days.point: {
                "ahead": days.ahead,
                "average": days.average.to_json(),
                "outcomes": {name: each.to_json() for name, each in days.by_outcome.items()},
                "old_weights": days.old_weights.to_json(),
                "not_trained_again": days.frozen.to_json(),
                "fit": {task: each.to_json() for task, each in days.fits.items()},
                "by_cut": days.utility.tolist(),
            }
            for days in every
        },
        "values": [vars(each) for each in backtest.judged],
    }
