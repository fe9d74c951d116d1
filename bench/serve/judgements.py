"""Measures a ranking and each prediction of one model or two on the same resampled rows.

The card's units (by default its groups) are resampled as a whole, since rows of one user are not
independent; see `bench.measure.resamples`. Two models share the resamples, so that variation common
to both cancels out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints, Mask, Singles
from bench.core.errors import UserError, listed, missing, unknown
from bench.core.objectives import METRICS, default_outcomes
from bench.core.records import SplitName
from bench.core.schema import SCORE, Schema, TaskKind
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.preparation import rows_of
from bench.data.splits import SPLITS
from bench.deciding.score import prediction_names
from bench.ledger.comparison.significance import CANNOT_TELL, against
from bench.ledger.effect import LEVEL, Effect
from bench.measure.heads import Weighted, heads_of
from bench.measure.outcomes import Measure
from bench.measure.resamples import Units, drawn_of, few_units, one_by_one, units_of
from bench.measure.spaces import Labelled, Predicted, joint_labels, sample_spaces
from bench.serve.kept_history import kept_of_card
from bench.serve.scorer import Scorer, made_for


@dataclass(frozen=True)
class Judged:
    """N rows with predictions.

    Attributes:
        labels: (N, T) of the model's tasks, NaN where unobserved.
        predictions: for each model name -> predictions (N,).
        group: (N,); negative for a row without one.
        weights: (N,), the number of rows that a row stands for; None for one each.
        units: (N,), rows of one unit are resampled together.
    """

    labels: Singles
    predictions: tuple[Mapping[str, Floats], ...]
    group: Ints
    weights: Floats | None = None
    units: Units | None = None


class _Part(NamedTuple):
    """Some of the rows, as in `Judged`; weights by column."""

    labels: Singles
    group: Ints
    weights: Floats
    together: NDArray[np.int32]
    predictions: list[dict[str, Floats]]


def judge(
    card: Card,
    home: Path,
    raw: Path | None,
    split: SplitName,
    scorers: Sequence[Scorer],
    progress: Progress,
) -> Judged:
    """Predicts the rows of a card's split with models.

    Raises UserError for no rows, or a file that is missing or does not fit. So it does for a task
    that the card lacks, and a prediction of the first model that another lacks.
    """
    columns = _columns_of_tasks(card, scorers)
    parts = []
    history = None if card.history is None else kept_of_card(card, home, raw, progress)
    for rows in rows_of(card, home, raw, progress):
        chosen = rows.split == SPLITS.index(split)
        if not chosen.any():
            continue
        table = rows.table.filter(pa.array(chosen))
        if history is not None:
            table = history.with_history(table)
        predictions = [_predicted(scorer, table, card.key) for scorer in scorers]
        together = rows.group if rows.units is None else rows.units
        parts.append(
            _Part(
                rows.labels[chosen][:, columns],
                rows.group[chosen].astype(np.int64),
                rows.weights[chosen].astype(np.float64),
                together[chosen],
                predictions,
            )
        )
    if not parts:
        raise UserError(f"{card.key}: expected rows to judge by, found none in {split}")
    *arrays, predictions_by_part = zip(*parts, strict=True)
    labels, group, weights, together = map(np.concatenate, arrays)
    predictions_by_model = tuple(map(_concatenated, zip(*predictions_by_part, strict=True)))
    units = units_of(together, 0)
    warning = few_units(units, card.key)
    if warning:
        progress.note(warning)
    return Judged(
        labels,
        predictions_by_model,
        group,
        weights.prod(axis=1) if weights.shape[1] else None,
        units,
    )


def _columns_of_tasks(card: Card, scorers: Sequence[Scorer]) -> list[int]:
    """Columns of the card's labels of the first model's tasks, which all other models have."""
    first = scorers[0]
    names = [rule.name for rule in card.task_rules]
    tasks = [task.name for task in first.schema.tasks]
    with made_for(first.dataset, card.key):
        for task in tasks:
            if task not in names:
                raise UserError(
                    f"{card.key}: {unknown('task', task, names)}, which the model predicts"
                )
    for scorer in scorers[1:]:
        with made_for(scorer.dataset, first.dataset):
            for name in first.names:
                if name not in scorer.names:
                    raise UserError(f"--against: {missing('prediction', name, scorer.names)}")
    return list(map(names.index, tasks))


def _predicted(scorer: Scorer, table: pa.Table, dataset: str) -> dict[str, Floats]:
    with made_for(scorer.dataset, dataset):
        checked = scorer.rows.checked(table, lambda row: f"row {row + 1} of a part")
    return scorer.predict_table(checked)


def _concatenated(parts: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    named = {}
    for name in parts[0]:
        named[name] = np.concatenate([part[name] for part in parts])
    return named


RESAMPLES = 500
RESAMPLE_NAME = "evaluate {}"
"""Name of the resamples of a seed."""


@dataclass(frozen=True)
class Judgement:
    """One metric of a model, and of the other model if there is one, with intervals at the
    requested confidence.

    Attributes:
        metric: `like.recall@10%` of the ranking by `score`, or `like.auc` of a prediction.
        better: whether `larger` or `smaller` values are better; None for neither (`pcoc`, best at
            1).
        difference: the model's minus the other's.
    """

    metric: str
    better: str | None
    estimate: Effect
    other: Effect | None = None
    difference: Effect | None = None

    @property
    def gain(self) -> Effect | None:
        """The difference as a fraction of the other's value; None without another, or if that is
        0.
        """
        if self.difference is None or self.other is None:
            return None
        if not abs(self.other.value) > 0:
            return None
        return self.difference.relative_to(self.other.value)

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `cannot tell` if the difference's interval contains 0; empty
        without another.
        """
        if self.difference is None or self.better is None:
            return ""
        word = against(0.0, self.difference.low, self.difference.high)
        if word == CANNOT_TELL:
            return word
        is_larger = word == "yes"
        return "better" if is_larger == (self.better == "larger") else "worse"


def served(
    judged: Judged,
    schema: Schema,
    outcomes: Sequence[str],
    resamples: int = RESAMPLES,
    confidence: float = LEVEL,
    seed: int = 0,
) -> list[Judgement]:
    """Outcomes of the first model's ranking by `score`, compared with the second's if there is one.

    Measures `outcomes`, or else `default_outcomes`. Raises UserError for an outcome of no task or
    no ranking.
    """
    units = _units(judged)
    names = tuple(outcomes) or default_outcomes(schema.tasks, judged.group)
    try:
        labels = joint_labels(judged.labels, schema)
        rows = Labelled(labels, judged.group, judged.weights, units)
        drawn = drawn_of(rows, RESAMPLE_NAME.format(seed), resamples)
        measure = Measure(schema.tasks, names, rows, drawn=drawn)
    except ValueError as error:
        raise UserError(str(error)) from None
    values_by_model = []
    for predictions in judged.predictions:
        values_by_model.append(measure.resampled(predictions[SCORE])[:, 0])
    values = np.array(values_by_model)  # (K, 1 + B, M)
    judgements = []
    for column, name in enumerate(measure.names):
        judgements.append(judgement_of(name, "larger", values[..., column], confidence))
    return judgements


def judgements(
    judged: Judged,
    schema: Schema,
    resamples: int = RESAMPLES,
    confidence: float = LEVEL,
    seed: int = 0,
) -> list[Judgement]:
    """Every metric of the first model's predictions, compared with the second's if there is one.

    Raises UserError for a single unit.
    """
    units = _units(judged)
    metrics_by_model = [_metrics(schema, judged, named) for named in judged.predictions]
    first = metrics_by_model[0]
    shape = len(metrics_by_model), 1 + resamples
    values = {name: np.empty(shape) for name in first}
    resampled_counts = one_by_one(units, RESAMPLE_NAME.format(seed), resamples)
    for draw, counts in enumerate(chain([np.ones(len(units))], resampled_counts)):
        for name, values_of_metric in values.items():
            for model, metrics in enumerate(metrics_by_model):
                values_of_metric[model, draw] = metrics[name].value(counts)
    judgements = []
    for name, metric in first.items():
        judgements.append(judgement_of(name, metric.better, values[name], confidence))
    return judgements


def sentence(judgements: Sequence[Judgement], model: str, other: str) -> str:
    """The effect of replacing `other` by `model`, in one sentence: outcomes that gain, lose, and
    stay equal.

    As in `shop@challenger against shop@champion: like.recall@10% +1.2% (+0.7 to +1.7), at equal
    click.recall@10% -0.1% (-0.2 to +0.1)`. An outcome is called equal if it is certainly unchanged.
    """
    by_word: dict[str, list[str]] = {"better": [], "worse": [], "equal": [], CANNOT_TELL: []}
    for judgement in judgements:
        gain = judgement.gain
        word = judgement.verdict
        if gain is None or not np.isfinite(gain.low):
            by_word[CANNOT_TELL].append(f"{judgement.metric} (undefined)")
            continue
        if gain.unchanged:
            word = "equal"
        by_word[word].append(f"{judgement.metric} {gain}")

    prefixes = {"equal": "at equal ", CANNOT_TELL: "cannot tell for "}
    if by_word["better"]:
        prefixes["worse"] = "but "
    clauses = []
    for word, outcomes in by_word.items():
        if outcomes:
            clauses.append(f"{prefixes.get(word, '')}{listed(outcomes)}")
    return f"{model} against {other}: {', '.join(clauses)}"


def _units(judged: Judged) -> Units:
    """Units to resample (N,), by default the groups; raises UserError for a single one."""
    units = units_of(judged.group, 0) if judged.units is None else judged.units
    if not (units != units[0]).any():
        raise UserError(
            "expected two groups of rows or more to draw from, found one: nothing says how sure "
            "this is"
        )
    return units


def judgement_of(name: str, better: str | None, values: Floats, confidence: float) -> Judgement:
    """A metric of one model or two, of its values (K, 1 + B) on the rows and their resamples."""
    estimate = effect_of(values[0], confidence)
    if len(values) == 1:
        return Judgement(name, better, estimate)
    other = effect_of(values[1], confidence)
    difference = effect_of(values[0] - values[1], confidence)
    return Judgement(name, better, estimate, other, difference)


def effect_of(values: Floats, confidence: float = LEVEL) -> Effect:
    """A value with the percentile interval of its resamples (1 + B,); undefined ones (one class
    only) are left out.
    """
    value = float(values[0])
    resampled = values[1:][np.isfinite(values[1:])]
    if not len(resampled):
        return Effect(value)
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    return Effect(value, *np.quantile(resampled, ends).tolist())


@dataclass(frozen=True)
class _Metric:
    """A metric of one model's predictions, of rows (N,) that have a label."""

    better: str | None
    measure: Weighted
    has_label: Mask
    weights: Floats | None

    def value(self, counts: Floats) -> float:
        """The metric where row n is there `counts[n]` times."""
        weights = counts if self.weights is None else counts * self.weights
        return self.measure(weights[self.has_label])


def _metrics(
    schema: Schema, judged: Judged, predictions: Mapping[str, Floats]
) -> dict[str, _Metric]:
    conditional, joint = [], []
    for task in schema.tasks:
        names = prediction_names(task)
        conditional.append(predictions[names[0]])
        joint.append(predictions[names[-1]])
    rows = Predicted(
        judged.labels,
        judged.group,
        conditional=np.stack(conditional, axis=1),
        joint=np.stack(joint, axis=1),
    )
    metrics = {}
    for name, kind, observed in sample_spaces(schema, rows):
        has_label = ~np.isnan(observed.labels)
        labels = observed.labels[has_label].astype(np.float64)
        labelled = replace(observed.known, labels=labels)
        for metric in REPORTED[kind]:
            better = WAYS[METRICS[kind][metric].direction]
            measure = heads_of(kind)[metric].prepare(labelled)
            metrics[f"{name}.{metric}"] = _Metric(better, measure, has_label, judged.weights)
    return metrics


REPORTED: dict[TaskKind, tuple[str, ...]] = {
    "binary": ("auc", "logloss", "pcoc"),
    "regression": ("rmse", "decile_error"),
}
"""Reported metrics of each prediction."""
WAYS = {"maximize": "larger", "minimize": "smaller", None: None}
