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
from bench.ledger.errors.seed_noise import seed_noise
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
        by_metric: by each metric alone, for tasks that are separate models.
    """

    epochs: float | None = None
    by_metric: dict[str, float] = field(default_factory=dict)

    def in_words(self, whole: float, separate: bool) -> str:
        """How long the pick is trained, and why.

        Args:
            whole: passes of the configuration, `optim.epochs`.
            separate: whether tasks are separate models, so that each has its own length.
        """
        if self.epochs is None:
            return (
                f"all {whole:.3g} passes of optim.epochs, as the search kept no evaluations of it"
            )
        lengths = f"{self.epochs:.3g}"
        if separate:
            by_metric = [f"{epochs:.3g} ({name})" for name, epochs in self.by_metric.items()]
            lengths = ", ".join(by_metric)
        return (
            f"{lengths} of {whole:.3g} passes in optim.epochs, where validation was best in the "
            "search"
        )


def length_of(point: Point, objectives: Sequence[Objective]) -> Length:
    """The length of a point, from the evaluations of the run that the search saw, up to where the
    point is.
    """
    until = math.inf if point.until is None else point.until
    curve = [evaluation for evaluation in point.curve if evaluation["samples"] <= until]
    metrics = [objective for objective in objectives if objective.is_metric]
    if not curve or not metrics:
        return Length()
    by_metric = {metric.name: _best(curve, [metric]) for metric in metrics}
    return Length(_best(curve, metrics), by_metric)


def _best(curve: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> float:
    """The epoch of the best mean, the first of equals; an undefined metric is the worst."""

    def merit(evaluation: Mapping[str, float]) -> float:
        total = 0.0
        for objective in objectives:
            total += objective.sign * evaluation.get(objective.key(SEARCH), math.nan)
        if math.isnan(total):
            return -math.inf
        return total

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
    for objective in objectives:
        if objective.is_metric:
            key = objective.key(TEST)
            intervals[objective] = _prediction_interval(point, points, key, confidence, runs)
    return intervals


def _prediction_interval(
    point: Point, points: Sequence[Point], key: str, confidence: float, runs: int
) -> Effect:
    """That of one metric."""
    values, evidence = replicated(point, key), evidence_by_id(points, [key])
    noise = None
    if values:
        noise = seed_noise(list(evidence.values()))
    if noise is None:
        raise UserError(
            "retrain.confidence: expected points confirmed on two seeds or more, which tell how "
            f"much seeds move {key}, found none; confirm with confirm.replicates = 2 or more"
        )
    row = list(evidence).index(point.id)
    variance, freedom = float(noise.within[row, 0, 0]), float(noise.freedom[row, 0])
    standard_error = math.sqrt(variance * (1 / len(values) + 1 / runs))
    margin = stdtrit(freedom, (1 + confidence) / 2) * standard_error
    mean = float(np.mean(values))
    return Effect(mean, mean - margin, mean + margin)


def verdicts(
    intervals: Mapping[Objective, Effect], metrics: Mapping[str, float]
) -> tuple[list[str], list[str]]:
    """Sentences: which metrics (with split) are worse than their interval, and which are better."""
    lines: dict[str, list[str]] = {"worse": [], "better": [], "within": []}
    for objective, interval in intervals.items():
        value = metrics.get(objective.key(TEST), float("nan"))
        place_of_value = place(objective, interval, value)
        lines[place_of_value].append(
            f"{objective.name} on test is {value:.5f}, {place_of_value} than its prediction "
            f"interval {interval_text(interval)}"
        )
    return lines["worse"], lines["better"]


def place(objective: Objective, interval: Effect, value: float) -> str:
    """Whether a value is `worse` than the whole interval, or not known, or `better`, or `within`
    it.
    """
    lowest, highest = sorted((objective.sign * interval.low, objective.sign * interval.high))
    merit = objective.sign * value
    if merit > highest:
        return "better"
    return "within" if merit >= lowest else "worse"


def interval_text(interval: Effect) -> str:
    """As sentences and the model card have it."""
    return f"{interval.value:.5f} ({interval.low:.5f} to {interval.high:.5f})"
