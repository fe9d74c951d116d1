"""How often a nightly rule fails without a reason, and how soon it sees a true loss.

    OMP_NUM_THREADS=1 python studies/nightly.py --runs 2000 [--write docs/studies/statistics.md]

A night is a log of 200 users with 20 rows each. A model and today's score rank clicks whose
probabilities are known. Their gain in `click.ndcg@5` has an interval from 100 resamples. Each world
has 1,500 nights of its own, and a watch is 300 of them, drawn at random. The rule is
`click.ndcg@5 < G%`, where G is the true gain without a change: the mean over its 1,500 nights. So
each night is as near to an alarm as can be. A loss is a model with more errors, asked by the same
rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from speed.table import simulation

from bench.core.arrays import Floats
from bench.core.schema import Schema, Task
from bench.ledger.confidence_sequence import ALPHA, NIGHTS, TIGHTEST, boundary
from bench.serve.judgements import Judged, served

USERS, ROWS, RESAMPLES = 200, 20, 100
POOL, WATCHED = 1500, 300
OUTCOME = "click.ndcg@5"
SCHEMA = Schema((), (), (Task("click"),))
ERRORS = {"no change": 0.6, "a small loss": 0.68, "a loss": 0.8}
"""By world the standard deviation of the errors in the model's log-odds; today's are 0.6."""


@dataclass(frozen=True)
class Nights:
    """Gains (P,) of the nights of a world, with the ends of their 90% intervals."""

    gains: Floats
    low: Floats
    high: Floats

    @property
    def errors(self) -> Floats:
        """(P,), standard errors as a watch keeps them."""
        width = self.high - self.low
        return np.asarray(width / (2 * norm.ppf(0.95)))


def nights_of(model_error: float, seed: int) -> Nights:
    """A world: its nights, each measured as a rule's is."""
    rng = np.random.default_rng([seed, round(100 * model_error)])
    groups = np.repeat(np.arange(USERS), ROWS)
    measured = []
    for night in range(POOL):
        logits = -2.0 + 1.2 * rng.normal(size=len(groups))
        clicks = (rng.random(len(groups)) < expit(logits)).astype(np.float32)
        scores = []
        for error in (model_error, ERRORS["no change"]):
            scores.append({"score": logits + error * rng.normal(size=len(groups))})
        judged = Judged(clicks[:, None], tuple(scores), groups)
        (judgement,) = served(judged, SCHEMA, [OUTCOME], RESAMPLES, seed=night)
        gain = judgement.gain
        assert gain is not None
        measured.append([gain.value, gain.low, gain.high])
    return Nights(*np.array(measured).T)


def first_alarms(alarms: NDArray[np.bool_]) -> Floats:
    """(R,), the first night of each watch (R, 300) with an alarm, from 1; infinite without one."""
    first = alarms.argmax(axis=1) + 1.0
    return np.where(alarms.any(axis=1), first, np.inf)


def alarms_of(nights: Nights, bound: float, runs: int, seed: int) -> dict[str, Floats]:
    """By way to ask the first alarm of each watch."""
    rng = np.random.default_rng([seed, 1])
    drawn = rng.integers(0, POOL, (runs, WATCHED))
    gains, high, errors = nights.gains[drawn], nights.high[drawn], nights.errors[drawn]
    number = np.arange(1, WATCHED + 1)
    means = gains.cumsum(axis=1) / number
    variances = np.square(errors).cumsum(axis=1)
    priors = TIGHTEST / (NIGHTS * np.square(errors[:, :1]))
    widths = np.vectorize(boundary)(variances, priors) / number
    return {
        "each night's estimate": first_alarms(gains < bound),
        "each night's 90% interval": first_alarms(high < bound),
        "`--watch`, all nights": first_alarms(means + widths < bound),
    }


def table(runs: int) -> str:
    """By way to ask and world: watches with an alarm within 30 nights and 300, and the median night
    of it.
    """
    worlds = {name: nights_of(error, 0) for name, error in ERRORS.items()}
    bound = float(worlds["no change"].gains.mean())
    heads, cells = ["asked by"], dict[str, list[str]]()
    for seed, (name, nights) in enumerate(worlds.items()):
        heads.append(f"{name}, {100 * nights.gains.mean():+.1f}%")
        for way, first in alarms_of(nights, bound, runs, seed).items():
            soon, ever = (first <= NIGHTS).mean(), np.isfinite(first).mean()
            median = np.median(first)
            night = f"{median:.0f}" if np.isfinite(median) else "none"
            cells.setdefault(way, []).append(f"{soon:.1%}, {ever:.1%}, {night}")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {way} | {' | '.join(found)} |" for way, found in cells.items()]
    error = np.sqrt(ALPHA * (1 - ALPHA) / runs)
    lines += ["", f"{runs:,} watches a line; a share of {ALPHA:.0%} has a standard error of "]
    lines[-1] += (
        f"{error:.1%}. One night's standard error is {worlds['no change'].errors.mean():.1%}."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    simulation(__doc__, "nightly", 2000, table)
