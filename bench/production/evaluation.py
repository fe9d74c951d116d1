"""How good predictions are and how sure that is; and whether one model's are better than another's.

Groups (users, where rows are ranked by user) are drawn again as a whole, since rows of one user are not independent:
each gets a weight from Poisson(1), which is the bootstrap of large data (Chamandy et al., Estimating Uncertainty for
Massive Data Streams, 2012). Two models are compared on the same draws, so that what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.frontier.comparison.verdict import CANNOT_TELL, against
from bench.frontier.intervals import LEVEL
from bench.frontier.score import prediction_names
from bench.production.labelled import Judged
from bench.production.scorer import Values
from bench.schema import Schema
from bench.seeds import derive
from bench.training.metrics import given_parent, product

RESAMPLES = 500
Measure = Callable[[NDArray[np.float64]], float]
"""Weights of rows (N,) -> the metric; NaN where it is undefined."""


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judgement:
    """One metric of a model, and of another where there is one to compare with.

    Attributes:
        better: whether larger values are better; None where neither is (`pcoc`, best at 1).
        difference: the model's less the other's.
    """

    metric: str
    better: str | None
    estimate: Estimate
    other: Estimate | None = None
    difference: Estimate | None = None

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `cannot tell` where the interval of the difference holds 0; empty without another."""
        if self.difference is None or self.better is None:
            return ""
        low, high = self.difference.low, self.difference.high
        if (word := against(0.0, low, high)) == CANNOT_TELL:
            return word
        return "better" if (word == "yes") == (self.better == "larger") else "worse"


def judgements(
    judged: Judged, schema: Schema, resamples: int = RESAMPLES, confidence: float = LEVEL, seed: int = 0
) -> list[Judgement]:
    """Every metric of the first model of `judged`, against the second where there is one."""
    units = np.unique(judged.unit, return_inverse=True)[1]
    many = int(units.max()) + 1
    if many < 2:
        raise UserError("expected two groups of rows or more to draw from, found one: nothing says how sure this is")
    measures = [dict(_measures(schema, judged.labels, said)) for said in judged.said]
    values = {name: [of[name][1](np.ones(len(units))) for of in measures] for name in measures[0]}
    draws = {name: np.empty((resamples, len(measures))) for name in measures[0]}
    rng = np.random.default_rng(derive(seed, "evaluate"))
    for at in range(resamples):
        weights = rng.poisson(1.0, many).astype(np.float64)[units]
        for name, drawn in draws.items():
            drawn[at] = [of[name][1](weights) for of in measures]
    found = []
    for name, value in values.items():
        own, *others = (_estimate(v, draws[name][:, i], confidence) for i, v in enumerate(value))
        other = others[0] if others else None
        gap = _estimate(value[0] - value[1], draws[name][:, 0] - draws[name][:, 1], confidence) if others else None
        found.append(Judgement(name, measures[0][name][0], own, other, gap))
    return found


def _estimate(value: float, drawn: NDArray[np.float64], confidence: float) -> Estimate:
    """Percentiles; draws in which the metric is undefined (one class only) are left out."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


def _measures(
    schema: Schema, labels: NDArray[Any], said: Mapping[str, Values]
) -> Iterator[tuple[str, tuple[str | None, Measure]]]:
    """Metric -> which way is better, and the metric as a function of weights."""
    for at, (task, parent) in enumerate(zip(schema.tasks, schema.parents, strict=True)):
        own = given_parent(labels, at, parent)
        if task.kind == "regression":
            yield f"{task.name}.rmse", ("smaller", rmse(own, said[task.name]))
            continue
        spaces = (own, product(labels[:, schema.chain(at)]))
        for name, of_space in zip(prediction_names(task), spaces, strict=False):
            yield f"{name}.auc", ("larger", auc(of_space, said[name]))
            yield f"{name}.logloss", ("smaller", logloss(of_space, said[name]))
            yield f"{name}.pcoc", (None, pcoc(of_space, said[name]))


def auc(labels: NDArray[Any], said: Values) -> Measure:
    """Area under the ROC curve; ties count one half."""
    known = ~np.isnan(labels)
    positive = labels[known] == 1
    _, rank = np.unique(said[known], return_inverse=True)
    size = int(rank.max(initial=0)) + 1

    def measure(weights: NDArray[np.float64]) -> float:
        own = weights[known]
        up = np.bincount(rank, own * positive, size)
        down = np.bincount(rank, own * ~positive, size)
        below = np.cumsum(down) - down / 2
        total = up.sum() * down.sum()
        return float(up @ below / total) if total else np.nan

    return measure


def logloss(labels: NDArray[Any], said: Values) -> Measure:
    """Mean log loss."""
    known = ~np.isnan(labels)
    p = np.clip(said[known], 1e-7, 1 - 1e-7)
    loss = -np.where(labels[known] == 1, np.log(p), np.log1p(-p))
    return _mean(known, loss)


def pcoc(labels: NDArray[Any], said: Values) -> Measure:
    """Predicted over observed positives."""
    known = ~np.isnan(labels)
    predicted, observed = said[known], labels[known]

    def measure(weights: NDArray[np.float64]) -> float:
        total = float(weights[known] @ observed)
        return float(weights[known] @ predicted) / total if total else np.nan

    return measure


def rmse(labels: NDArray[Any], said: Values) -> Measure:
    """Root of the mean squared error."""
    known = ~np.isnan(labels)
    squares = _mean(known, (said[known] - labels[known].astype(np.float64)) ** 2)
    return lambda weights: float(np.sqrt(squares(weights)))


def _mean(known: NDArray[np.bool_], values: NDArray[np.float64]) -> Measure:
    def measure(weights: NDArray[np.float64]) -> float:
        own = weights[known]
        total = float(own.sum())
        return float(own @ values) / total if total else np.nan

    return measure
