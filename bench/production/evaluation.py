"""Evaluates the served ranking and each prediction on labelled rows, and compares two models.

Groups (users, where rows are ranked by user) are resampled as a whole, since rows of one user are not independent; see
`bench.measure.resamples`. Two models are compared on the same resamples, so that what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.preparation import rows_of
from bench.data.splits import SPLITS
from bench.errors import UserError, listed, missing, unknown
from bench.frontier.comparison.verdict import CANNOT_TELL, against
from bench.frontier.score import prediction_names
from bench.frontier.statistics import LEVEL
from bench.labelled import Labelled
from bench.measure.heads import Weighted, heads_of
from bench.measure.outcomes import Measure, default_outcomes
from bench.measure.resamples import counts, drawn_of, units_of
from bench.measure.spaces import Predicted, joint_labels, sample_spaces
from bench.objectives import METRICS
from bench.production.history import kept_of_card
from bench.production.scorer import Scorer, Values, made_for
from bench.progress import Progress
from bench.schema import SCORE, Schema, TaskKind


@dataclass(frozen=True)
class Judged:
    """N rows.

    Attributes:
        labels: (N, T) of the model's tasks, NaN where unobserved.
        predictions: for each model name -> predictions (N,).
        group: (N,) of a row; negative where it has none.
        weights: (N,), how many rows a row stands for; None for one each.
        plain: the same without the card's row weight, where it has one.
    """

    labels: NDArray[np.float32]
    predictions: tuple[Mapping[str, Values], ...]
    group: NDArray[np.int64]
    weights: Values | None = None
    plain: Values | None = None


def judge(
    card: Card, home: Path, raw: Path | None, split: str | None, scorers: Sequence[Scorer], progress: Progress
) -> Judged:
    """What models say of a card's rows: of a split, or of all where it is None.

    Raises:
        UserError: an unknown split, a file that is not there or does not fit, a task that the card lacks, a prediction
            of the first model that another lacks, no rows.
    """
    if split is not None and split not in SPLITS:
        raise unknown("split", split, SPLITS)
    names = [rule.name for rule in card.task_rules]
    first = scorers[0]
    with made_for(first.dataset, card.key):
        for task in first.schema.tasks:
            if task.name not in names:
                raise UserError(f"{card.key}: {unknown('task', task.name, names)}, which the model predicts")
    for other in scorers[1:]:
        with made_for(other.dataset, first.dataset):
            if lacks := [name for name in first.names if name not in other.names]:
                raise UserError(f"--against: {missing('prediction', lacks[0], other.names)}")
    labels: list[Any] = []
    groups: list[Any] = []
    weights: list[Any] = []
    predictions: list[list[dict[str, Values]]] = [[] for _ in scorers]
    history = None if card.history is None else kept_of_card(card, home, raw, progress)
    for rows in rows_of(card, home, raw, progress):
        chosen = np.ones(len(rows.split), bool) if split is None else rows.split == SPLITS.index(split)
        if not chosen.any():
            continue
        table = rows.table.filter(pa.array(chosen))
        if history is not None:
            table = history.beside(table)
        for scorer, found_by in zip(scorers, predictions, strict=True):
            with made_for(scorer.dataset, card.key):
                fitting = scorer.rows.checked(table, lambda row: f"row {row + 1} of a part")
            found_by.append(scorer.predict_table(fitting))
        labels.append(rows.labels[chosen])
        groups.append(rows.group[chosen])
        weights.append(rows.weights[chosen].astype(np.float64))
    if not labels:
        raise UserError(f"{card.key}: expected rows to judge by, found none{f' in {split}' if split else ''}")
    whole, group = np.concatenate(labels), np.concatenate(groups).astype(np.int64)
    of_rows = np.concatenate(weights)
    return Judged(
        whole[:, [names.index(task.name) for task in first.schema.tasks]],
        tuple({name: np.concatenate([part[name] for part in each]) for name in each[0]} for each in predictions),
        group,
        of_rows.prod(axis=1) if of_rows.shape[1] else None,
        of_rows[:, 1:].prod(axis=1) if card.weight else None,
    )


RESAMPLES = 500
AT_ONCE = 8
"""Resamples whose counts are held, a multiple of 4."""
EQUAL = 0.005
"""Outcomes that differ for sure by less than this fraction are equal."""


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judgement:
    """One metric of a model, and of the other model if there is one.

    Attributes:
        metric: `like.recall@10%` of the ranking by `score`, or `like.auc` of a prediction.
        better: whether larger values are better; None where neither is (`pcoc`, best at 1).
        difference: the model's less the other's.
    """

    metric: str
    better: str | None
    estimate: Estimate
    other: Estimate | None = None
    difference: Estimate | None = None

    @property
    def gain(self) -> Estimate | None:
        """The difference as a fraction of the other's value; None without another, or where that is 0."""
        if self.difference is None or self.other is None or not abs(self.other.value) > 0:
            return None
        ends = (self.difference.value, self.difference.low, self.difference.high)
        return Estimate(*(each / self.other.value for each in ends))

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `cannot tell` where the interval of the difference holds 0; empty without another."""
        if self.difference is None or self.better is None:
            return ""
        low, high = self.difference.low, self.difference.high
        if (word := against(0.0, low, high)) == CANNOT_TELL:
            return word
        return "better" if (word == "yes") == (self.better == "larger") else "worse"


def served(
    judged: Judged,
    schema: Schema,
    outcomes: Sequence[str],
    resamples: int = RESAMPLES,
    confidence: float = LEVEL,
    seed: int = 0,
) -> list[Judgement]:
    """Outcomes of the ranking by `score` of the first model, against the second where there is one.

    Args:
        outcomes: none takes those of `default_outcomes`.

    Raises:
        UserError: an outcome of no task, or of no ranking.
    """
    _check(judged)
    labels = joint_labels(judged.labels, schema)
    outcomes = outcomes or default_outcomes(schema.tasks, judged.group)
    try:
        rows = Labelled(labels, judged.group, judged.weights)
        measure = Measure(schema.tasks, outcomes, rows, drawn=drawn_of(rows, _draws(seed), resamples))
    except ValueError as error:
        raise UserError(str(error)) from None
    found = [measure.resampled(predictions[SCORE])[:, 0] for predictions in judged.predictions]
    return [
        _judgement(name, "larger", [of[0, at] for of in found], [of[1:, at] for of in found], confidence)
        for at, name in enumerate(measure.names)
    ]


def judgements(
    judged: Judged, schema: Schema, resamples: int = RESAMPLES, confidence: float = LEVEL, seed: int = 0
) -> list[Judgement]:
    """Every metric of each prediction of the first model, against the second where there is one.

    Where rows have a weight, metrics without it stand beside: `click.plain_auc`.

    Raises:
        UserError: nothing to resample.
    """
    units = _check(judged)
    measures = [dict(_measures(schema, judged, predictions)) for predictions in judged.predictions]
    values = {name: [of[name][1](np.ones(len(units))) for of in measures] for name in measures[0]}
    draws = {name: np.empty((len(measures), resamples)) for name in measures[0]}
    for first in range(0, resamples, AT_ONCE):
        drawn = counts(units, _draws(seed), min(AT_ONCE, resamples - first), first).astype(np.float64)
        for name, own in draws.items():
            for at, weights in enumerate(drawn.T, start=first):
                own[:, at] = [of[name][1](weights) for of in measures]
    return [
        _judgement(name, measures[0][name][0], value, list(draws[name]), confidence) for name, value in values.items()
    ]


def sentence(found: Sequence[Judgement], model: str, other: str) -> str:
    """The effect of replacing `other` by `model`, in one sentence: outcomes that gain, that lose, and that do neither.

    As in `shop@challenger against shop@champion: like.recall@10% +1.2% (+0.7% to +1.7%), at equal click.recall@10%
    (-0.2% to +0.1%)`. An outcome is called equal where its whole interval is within `EQUAL`.
    """
    of: dict[str, list[str]] = {"better": [], "worse": [], "equal": [], CANNOT_TELL: []}
    for each in found:
        gain = each.gain
        if gain is None or not np.isfinite(gain.low):
            of[CANNOT_TELL].append(f"{each.metric} (undefined)")
            continue
        ends = f"({gain.low:+.1%} to {gain.high:+.1%})"
        if max(abs(gain.low), abs(gain.high)) < EQUAL:
            of["equal"].append(f"{each.metric} {ends}")
        elif each.verdict == CANNOT_TELL:
            of[CANNOT_TELL].append(f"{each.metric} {ends}")
        else:
            of[each.verdict].append(f"{each.metric} {gain.value:+.1%} {ends}")
    parts = [listed(of["better"])] if of["better"] else []
    parts += [f"{'but ' if parts else ''}{listed(of['worse'])}"] if of["worse"] else []
    parts += [f"at equal {listed(of['equal'])}"] if of["equal"] else []
    parts += [f"cannot tell for {listed(of[CANNOT_TELL])}"] if of[CANNOT_TELL] else []
    return f"{model} against {other}: {', '.join(parts)}"


def _check(judged: Judged) -> NDArray[np.uint64]:
    """What is resampled (N,).

    Raises:
        UserError: one group alone.
    """
    units = units_of(judged.group, 0)
    if not (units != units[0]).any():
        raise UserError("expected two groups of rows or more to draw from, found one: nothing says how sure this is")
    return units


def _draws(seed: int) -> str:
    return f"evaluate {seed}"


def _judgement(
    name: str,
    better: str | None,
    values: Sequence[float],
    drawn: Sequence[NDArray[np.float64]],
    confidence: float,
) -> Judgement:
    """Of one or two models' values and resampled values (B,)."""
    own, *others = (_estimate(float(value), each, confidence) for value, each in zip(values, drawn, strict=True))
    if not others:
        return Judgement(name, better, own)
    gap = _estimate(float(values[0] - values[1]), drawn[0] - drawn[1], confidence)
    return Judgement(name, better, own, others[0], gap)


def _estimate(value: float, drawn: NDArray[np.float64], confidence: float) -> Estimate:
    """Percentiles; draws in which the metric is undefined (one class only) are left out."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


def _measures(
    schema: Schema, judged: Judged, predictions: Mapping[str, Values]
) -> Iterator[tuple[str, tuple[str | None, Weighted]]]:
    """Metric -> which way is better, and the metric as a function of how often each row is drawn."""
    names = [prediction_names(task) for task in schema.tasks]
    conditional, joint = (np.stack([predictions[each[at]] for each in names], axis=1) for at in (0, -1))
    every = Predicted(judged.labels, judged.group, conditional=conditional, joint=joint)
    for name, kind, own in sample_spaces(schema, every):
        known = ~np.isnan(own.labels)
        rows = replace(own.known, labels=own.labels[known].astype(np.float64))
        for metric in TOLD[kind]:
            better, measure = WAYS[METRICS[kind][metric].direction], heads_of(kind)[metric].prepare(rows)
            yield f"{name}.{metric}", (better, _drawn(measure, known, judged.weights))
            if judged.plain is not None:
                yield f"{name}.plain_{metric}", (better, _drawn(measure, known, judged.plain))


def _drawn(measure: Weighted, known: NDArray[np.bool_], own: Values | None) -> Weighted:
    """A measure of the known rows, as a function of how often each of all rows is drawn, beside its own weight."""
    return lambda times: measure((times if own is None else times * own)[known])


TOLD: dict[TaskKind, tuple[str, ...]] = {"binary": ("auc", "logloss", "pcoc"), "regression": ("rmse", "decile_error")}
"""The metrics of each prediction that are told."""
WAYS = {"maximize": "larger", "minimize": "smaller", None: None}
