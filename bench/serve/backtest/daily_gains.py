"""What a back-test shows: gains on an average day, what old weights lose, and what a model loses
that is not retrained.

Days are a source of variance beside seeds and rows, so an interval is of Student's t on the days,
with one degree of freedom less than there are. Fewer than `LEAST_DAYS` days have none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from bench.core.arrays import Floats
from bench.core.errors import count
from bench.deciding.aims import PolicyAim
from bench.deciding.words.verdict import beginning
from bench.ledger.effect import LEVEL, Effect, percent
from bench.serve.backtest.cuts import Cut

FROZEN = "frozen"
"""Trained at the first cut, and never again."""
PICKED, CHOSEN = "picked", "chosen"
"""Weights: those of the run, or those that are best on the rows before a cut that are held out."""
LEAST_POSITIVES = 20
"""Positives of a task that a cut must have for its outcomes to count."""
LEAST_DAYS = 5
"""Days from which on there is an interval."""
WRONG, MATTERS = 0.05, 0.02
"""The chance that predictions which fit are said not to, of all tasks together; and the smallest
misfit said.
"""


Values = dict[str, float | None]
"""By name; None where the rows are too few."""


@dataclass(frozen=True)
class PointOutcomes:
    """Outcomes (M,) of a point at a cut, by training (`anew`, `warm` or `frozen`) and weights
    (`picked`, `chosen`).

    An outcome is None where the cut has fewer than `LEAST_POSITIVES` positives of its task.

    Attributes:
        fit: by task how far the mean prediction is above the mean label, as a fraction; empty of a
            logged score.
    """

    cut: int
    point: str
    training: str
    weights: str
    outcomes: Values
    fit: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Backtest:
    """Outcomes of points at K cuts."""

    cuts: tuple[Cut, ...]
    judged: tuple[PointOutcomes, ...]
    against: str
    how: str
    outcomes: tuple[str, ...]

    def values(self, point: str, training: str, weights: str) -> Floats:
        """(K, M), NaN where nothing is known."""
        judged = self._judged(point, training, weights)
        table = self._by_cut({outcomes.cut: outcomes.outcomes for outcomes in judged})
        return table.reindex(columns=list(self.outcomes)).to_numpy(np.float64)

    def fits(self, point: str, training: str) -> dict[str, Floats]:
        """By task how far predictions are above labels at each cut (K,), NaN where nothing is
        known.
        """
        judged = self._judged(point, training, PICKED)
        table = self._by_cut({outcomes.cut: outcomes.fit for outcomes in judged})
        fits = {}
        for task, column in table.items():
            fits[str(task)] = column.to_numpy(np.float64)
        return fits

    def _judged(self, *key: str) -> Iterator[PointOutcomes]:
        for outcomes in self.judged:
            if (outcomes.point, outcomes.training, outcomes.weights) == key:
                yield outcomes

    def _by_cut(self, values: dict[int, Values]) -> pd.DataFrame:
        table = pd.DataFrame.from_dict(values, orient="index")
        return table.reindex(range(len(self.cuts)))


def mean_day(values: Floats, level: float = LEVEL) -> Effect:
    """The mean of values (K,) of days, and its interval; days without a value do not count."""
    return _slope(values, np.ones(len(values)), LEAST_DAYS, level)


def per_day(losses: Floats) -> Effect:
    """How fast losses (K,) grow from 0 on the first day, a day: a line through the origin, with its
    interval.
    """
    days = np.arange(len(losses), dtype=np.float64)
    return _slope(losses, days, LEAST_DAYS - 1, LEVEL)


def _slope(
    values: Floats,
    times: Floats,
    least_days: int,
    level: float,
) -> Effect:
    """Of a line through the origin, values (K,) at times (K,); below `least_days` values without an
    interval.
    """
    counted = np.isfinite(values) & (times > 0)
    x = times[counted]
    y = values[counted]
    if not len(x):
        return Effect(math.nan)
    slope = float(x @ y / (x @ x))
    if len(x) < least_days:
        return Effect(slope)
    freedom = len(x) - 1
    squares = float(((y - slope * x) ** 2).sum())
    error = math.sqrt(squares / freedom / float(x @ x))
    margin = float(stdtrit(freedom, (1 + level) / 2)) * error
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
    how = backtest.how
    base = backtest.values(backtest.against, how, PICKED)
    outcomes = backtest.values(point, how, PICKED)
    gains = outcomes / np.maximum(base, 1e-9) - 1
    utility = _utility(aim, outcomes, base)
    utility_of_chosen = _utility(aim, backtest.values(point, how, CHOSEN), base)
    utility_of_frozen = _utility(aim, backtest.values(point, FROZEN, PICKED), base)
    old_weights = Effect(math.nan)
    if np.isfinite(utility_of_chosen).sum() > 1:
        old_weights = mean_day(utility - utility_of_chosen)
    fits = backtest.fits(point, how)
    return Days(
        point,
        aim.fraction(utility),
        gains,
        aim.effect(mean_day(utility)),
        dict(zip(backtest.outcomes, map(mean_day, gains.T), strict=True)),
        aim.effect(old_weights),
        aim.effect(per_day(utility_of_frozen - utility)),
        {task: mean_day(misfits, 1 - WRONG / len(fits)) for task, misfits in fits.items()},
    )


def _utility(aim: PolicyAim, outcomes: Floats, base: Floats) -> Floats:
    """(K,) of outcomes (K, M)."""
    days = zip(outcomes, base, strict=True)
    return np.array([float(aim.score(*outcomes_and_base)) for outcomes_and_base in days])


def sentences(
    days: Days,
    backtest: Backtest,
    title: str,
    against: str,
    unit: str,
) -> list[str]:
    """The answer in one sentence, and what beside it a reader acts on.

    Args:
        unit: what a cut is: `day`, `week` or `cut`.
    """
    counted = int(np.isfinite(days.utility).sum())
    by_outcome = days.by_outcome
    name = max(by_outcome, key=lambda outcome: abs(by_outcome[outcome].value))
    answer = (
        f"{beginning(title)} did better than {against} on {days.ahead} of {count(counted, unit)}: "
        f"{days.average} all in all on an average {unit}, {by_outcome[name]} of {name}."
    )
    notes = []
    uncounted = len(backtest.cuts) - counted
    if uncounted:
        notes.append(
            f"Not counted: {count(uncounted, unit)} with fewer than {LEAST_POSITIVES} positives of "
            "an outcome."
        )
    if counted < LEAST_DAYS:
        notes.append(
            f"{count(counted, unit).capitalize()} are too few to say how sure that is: "
            f"{LEAST_DAYS} are needed."
        )
    if math.isfinite(days.old_weights.value):
        loss = _loss_in_words(days.old_weights, "lose", "")
        notes.append(f"Against weights chosen at each {unit} the run's weights {loss}.")
    if math.isfinite(days.frozen.value):
        loss = _loss_in_words(days.frozen, "loses", f" a {unit}")
        notes.append(f"A model that is not trained again {loss}.")
    for task, misfit in days.fits.items():
        is_sure = misfit.low > 0 or misfit.high < 0
        if is_sure and abs(misfit.value) >= MATTERS:
            words = _misfit_in_words(misfit)
            notes.append(f"Its predictions of '{task}' are {words} on an average {unit}.")
    return [answer, *notes]


def _misfit_in_words(misfit: Effect) -> str:
    """As in `5% too high (3% to 7%)`."""
    value = f"{abs(misfit.value):.0%}"
    if misfit.low > 0:
        return f"{value} too high ({misfit.low:.0%} to {misfit.high:.0%})"
    return f"{value} too low ({-misfit.high:.0%} to {-misfit.low:.0%})"


def _loss_in_words(change: Effect, verb: str, unit: str) -> str:
    """A loss in words: `loses 0.2% (0.1 to 0.3) a day`; where noise may explain it, that none is
    shown.
    """
    has_interval = math.isfinite(change.low)
    best = change.high if has_interval else change.value
    if best >= 0:
        return f"{verb.replace('lose', 'show')} no loss{unit}: {change}"
    interval = ""
    if has_interval:
        interval = f" ({-100 * change.high:.1f} to {-100 * change.low:.1f})"
    return f"{verb} {-100 * change.value:.1f}%{unit}{interval}"


def table(days: Days, backtest: Backtest) -> list[list[object]]:
    """A row for each cut: its times, rows, gain of U and of each outcome, in per cent."""
    rows = []
    for cut, utility, gains in zip(backtest.cuts, days.utility, days.outcomes, strict=True):
        percents = [percent(float(gain)) for gain in (utility, *gains)]
        rows.append([str(cut), cut.rows, *percents])
    return rows


def document(days_of_points: Sequence[Days], backtest: Backtest) -> dict[str, object]:
    """All of it as plain values."""
    points = {}
    for days in days_of_points:
        points[days.point] = {
            "ahead": days.ahead,
            "average": days.average.to_json(),
            "outcomes": _plain(days.by_outcome),
            "old_weights": days.old_weights.to_json(),
            "not_trained_again": days.frozen.to_json(),
            "fit": _plain(days.fits),
            "by_cut": days.utility.tolist(),
        }
    return {
        "against": backtest.against,
        "how": backtest.how,
        "cuts": [vars(cut) | {"name": str(cut)} for cut in backtest.cuts],
        "points": points,
        "values": list(map(vars, backtest.judged)),
    }


def _plain(effects: Mapping[str, Effect]) -> dict[str, dict[str, float]]:
    return {name: effect.to_json() for name, effect in effects.items()}
