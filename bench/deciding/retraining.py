"""Retraining of the pick: settings, length, and prediction intervals of test metrics.

No choice reads any of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import stdtrit

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import Point
from bench.core.registry import Config
from bench.core.rows import SEARCH, TEST
from bench.ledger.effect import Effect
from bench.ledger.errors.evidence import evidence_by_id
from bench.ledger.errors.seeds import seed_noise
from bench.ledger.points import replicated


class Retraining(Config):
    """The `[retrain]` table of a policy. Training uses train and validation together, except a part
    held out.
    """

    seeds: int = Field(3, ge=1, le=50)
    """How many trainings, each on a fresh seed."""
    choose: Literal["one", "average"] = "one"
    """`one`: the best of them on what is held out. `average`: all of them, their probabilities
    averaged.
    """
    calibration: Literal["auto", "isotonic", "platt", "none"] = "auto"
    """Of every task's probabilities; `auto` is isotonic where each outcome has 1,000 rows held out,
    else Platt's.
    """
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of train and validation together."""
    confidence: float = Field(0.99, gt=0.5, lt=1)
    """Of the interval that each metric on test must not fall short of."""

    @property
    def runs(self) -> int:
        """How many trainings are kept."""
        return self.seeds if self.choose == "average" else 1


@dataclass(frozen=True)
class Length:
    """Passes over train at the best state on validation.

    Passes and not samples, so that more data get as many looks each.

    Attributes:
        epochs: by the mean over all metrics; None trains to the end of the configuration's
            schedule.
        own: by each metric alone, for tasks that are separate models.
    """

    epochs: float | None = None
    own: dict[str, float] = field(default_factory=dict)

    def in_words(self, whole: float, apart: bool) -> str:
        """How long the pick is trained, and why.

        Args:
            whole: passes of the configuration, `optim.epochs`.
            apart: whether tasks are separate models, so that each has its own length.
        """
        if self.epochs is None:
            return (
                f"all {whole:.3g} passes of optim.epochs, as the search kept no evaluations of it"
            )
        own = self.own if apart else {"": self.epochs}
        lengths = ", ".join(
            f"{epochs:.3g} ({name})" if name else f"{epochs:.3g}" for name, epochs in own.items()
        )
        return (
            f"{lengths} of {whole:.3g} passes in optim.epochs, where validation was best in the "
            "search"
        )


def length_of(point: Point, objectives: Sequence[Objective]) -> Length:
    """The length of a point, from the evaluations of the run that the search saw, up to where the
    point is.
    """
    seen = [each for each in point.curve if point.until is None or each["samples"] <= point.until]
    metrics = [objective for objective in objectives if objective.is_metric]
    if not seen or not metrics:
        return Length()
    own = {each.name: _best(seen, [each]) for each in metrics}
    return Length(_best(seen, metrics), own)


def _best(curve: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> float:
    """The epoch of the best mean, the first of equals; an undefined metric is the worst."""

    def merit(evaluation: Mapping[str, float]) -> float:
        total = sum(each.sign * evaluation.get(each.key(SEARCH), math.nan) for each in objectives)
        return -math.inf if math.isnan(total) else total

    return float(max(curve, key=merit)["epoch"])


def prediction_intervals(
    point: Point,
    points: Sequence[Point],
    objectives: Sequence[Objective],
    confidence: float,
    runs: int,
) -> dict[Objective, Effect]:
    """The prediction interval on test of each metric among the objectives: the mean over
    replicates, and bounds for the mean of new trainings.

    By Student's t: the noise of the replicates' mean and that of the new ones' together.

    Args:
        points: all of the run, whose replicates tell the noise.
        confidence: that a fair new value is within the interval, for each metric alone.
        runs: new trainings whose mean is to be held against it.

    Raises:
        UserError: the point has no replicates, or no point has two.
    """
    intervals = {}
    for objective in (each for each in objectives if each.is_metric):
        key = objective.key(TEST)
        values, samples = replicated(point, key), evidence_by_id(points, [key])
        noise = seed_noise(list(samples.values())) if values else None
        if noise is None:
            raise UserError(
                "retrain.confidence: expected points confirmed on two seeds or more, which tell "
                f"how much seeds move {key}, found none; confirm with confirm.replicates = 2 or "
                "more"
            )
        at = list(samples).index(point.id)
        variance, freedom = float(noise.within[at, 0, 0]), float(noise.freedom[at, 0])
        margin = stdtrit(freedom, (1 + confidence) / 2) * math.sqrt(
            variance * (1 / len(values) + 1 / runs)
        )
        mean = float(np.mean(values))
        intervals[objective] = Effect(mean, mean - margin, mean + margin)
    return intervals


def verdicts(
    intervals: Mapping[Objective, Effect], metrics: Mapping[str, float]
) -> tuple[list[str], list[str]]:
    """Sentences: which metrics (with split) are worse than their interval, and which are better."""
    lines: dict[str, list[str]] = {"worse": [], "better": [], "within": []}
    for objective, interval in intervals.items():
        value = metrics.get(objective.key(TEST), float("nan"))
        which = place(objective, interval, value)
        told = f"{value:.5f}, {which} than its prediction interval {interval_text(interval)}"
        lines[which].append(f"{objective.name} on test is {told}")
    return lines["worse"], lines["better"]


def place(objective: Objective, interval: Effect, value: float) -> str:
    """Whether a value is `worse` than the whole interval, or not known, or `better`, or `within`
    it.
    """
    least, most = sorted((objective.sign * interval.low, objective.sign * interval.high))
    own = objective.sign * value
    return "within" if least <= own <= most else "better" if own > most else "worse"


def interval_text(interval: Effect) -> str:
    """As sentences and the model card have it."""
    return f"{interval.value:.5f} ({interval.low:.5f} to {interval.high:.5f})"
