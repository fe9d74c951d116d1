"""Evaluates the served ranking and each prediction on labelled rows, and compares two models.

The card's units (by default its groups) are resampled as a whole, since rows of one user are not
independent; see `bench.measure.resamples`. Two models share the resamples, so that variation common
to both cancels out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, listed, missing, unknown
from bench.core.objectives import METRICS, default_outcomes
from bench.core.schema import SCORE, Schema, TaskKind
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.preparation import rows_of
from bench.data.spill import arrays_of
from bench.data.splits import SPLITS
from bench.deciding.score import prediction_names
from bench.ledger.comparison.significance import CANNOT_TELL, against
from bench.ledger.effect import LEVEL, Effect
from bench.measure.heads import Weighted, heads_of
from bench.measure.outcomes import Measure
from bench.measure.resamples import drawn_of, few_units, one_by_one, units_of
from bench.measure.spaces import Labelled, Predicted, joint_labels, sample_spaces
from bench.serve.kept_history import kept_of_card
from bench.serve.scorer import Scorer, made_for


@dataclass(frozen=True)
class Judged:
    """N rows with predictions.

    Attributes:
        labels: (N, T) of the model's tasks, NaN where unobserved.
        predictions: for each model name -> predictions (N,); of a logged score only `score`.
        group: (N,); negative for a row without one.
        weights: (N,), the number of rows that a row stands for; None for one each. `plain`: without
            the row weight.
        together: (N,), rows with the same number are resampled together, negative for single rows;
            None uses groups.
        unscored: share of the rows without the logged score.
    """

    labels: NDArray[np.float32]
    predictions: tuple[Mapping[str, Floats], ...]
    group: NDArray[np.int64]
    weights: Floats | None = None
    plain: Floats | None = None
    together: NDArray[np.int32] | None = None
    unscored: float = 0.0


def judge(
    card: Card,
    home: Path,
    raw: Path | None,
    split: str | None,
    scorers: Sequence[Scorer],
    progress: Progress,
    column: str | None = None,
) -> Judged:
    """Predicts a card's rows with models: those of a split, or all if it is None.

    A logged score of the card, `column`, is added as a last model; rows without it rank last.
    Raises UserError for an unknown split, no rows, or a file that is missing or does not fit. So it
    does for a task that the card lacks, a prediction of the first model that another lacks, and a
    column that is no logged score or is empty.
    """
    if split is not None and split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if column is not None and column not in card.logged:
        known = ", ".join(card.logged) or "none"
        raise UserError(
            f"--against: expected a column under 'logged' of {card.key} ({known}), found '{column}'"
        )
    names = [rule.name for rule in card.task_rules]
    first = scorers[0]
    with made_for(first.dataset, card.key):
        if lacks := [task.name for task in first.schema.tasks if task.name not in names]:
            raise UserError(
                f"{card.key}: {unknown('task', lacks[0], names)}, which the model predicts"
            )
    for other in scorers[1:]:
        with made_for(other.dataset, first.dataset):
            if lacks := [name for name in first.names if name not in other.names]:
                raise UserError(f"--against: {missing('prediction', lacks[0], other.names)}")
    parts: list[tuple[Any, ...]] = []
    history = None if card.history is None else kept_of_card(card, home, raw, progress)
    for rows in rows_of(card, home, raw, progress):
        chosen = (
            np.ones(len(rows.split), bool) if split is None else rows.split == SPLITS.index(split)
        )
        if not chosen.any():
            continue
        table = rows.table.filter(pa.array(chosen))
        table = table if history is None else history.beside(table)
        said = []
        for scorer in scorers:
            with made_for(scorer.dataset, card.key):
                fitting = scorer.rows.checked(table, lambda row: f"row {row + 1} of a part")
            said.append(scorer.predict_table(fitting))
        if column is not None:
            said.append(
                {
                    SCORE: arrays_of(card, rows)["logged"][
                        chosen, card.logged.index(column)
                    ].astype(np.float64)
                }
            )
        units = rows.group if rows.units is None else rows.units
        beside = rows.labels, rows.group, rows.weights.astype(np.float64), units
        parts.append((*(each[chosen] for each in beside), *said))
    if not parts:
        raise UserError(
            f"{card.key}: expected rows to judge by, found none{f' in {split}' if split else ''}"
        )
    labels, group, weights, together, *predicted = zip(*parts, strict=True)
    predictions = tuple(
        {name: np.concatenate([part[name] for part in each]) for name in each[0]}
        for each in predicted
    )
    lacking = np.isnan(predictions[-1][SCORE])  # only a logged score has gaps
    if lacking.all():
        raise UserError(
            f"--against: expected numbers in column '{column}', found none in {len(lacking):,} rows"
        )
    predictions[-1][SCORE][lacking] = np.finfo(
        np.float64
    ).min  # a row without a score was ranked last
    of_rows, resampled = np.concatenate(weights), np.concatenate(together)
    if few := few_units(units_of(resampled, 0), card.key):
        progress.note(few)
    return Judged(
        np.concatenate(labels)[:, [names.index(task.name) for task in first.schema.tasks]],
        predictions,
        np.concatenate(group).astype(np.int64),
        of_rows.prod(axis=1) if of_rows.shape[1] else None,
        of_rows[:, 1:].prod(axis=1) if card.weight else None,
        resampled,
        float(lacking.mean()),
    )


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
        if self.difference is None or self.other is None or not abs(self.other.value) > 0:
            return None
        return Effect(*(each / self.other.value for each in self.difference.to_json().values()))

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `cannot tell` if the difference's interval contains 0; empty
        without another.
        """
        if self.difference is None or self.better is None:
            return ""
        word = against(0.0, self.difference.low, self.difference.high)
        if word != CANNOT_TELL:
            return "better" if (word == "yes") == (self.better == "larger") else "worse"
        return word


def served(
    judged: Judged,
    schema: Schema,
    outcomes: Sequence[str],
    resamples: int = RESAMPLES,
    confidence: float = LEVEL,
    seed: int = 0,
    more: Sequence[str] = (),
) -> list[Judgement]:
    """Outcomes of the first model's ranking by `score`, compared with the second's if there is one.

    Measures `outcomes`, or else `default_outcomes`, and `more`. Raises UserError for an outcome of
    no task or no ranking.
    """
    units = _units(judged)
    outcomes = tuple(
        dict.fromkeys((*(outcomes or default_outcomes(schema.tasks, judged.group)), *more))
    )
    try:
        rows = Labelled(joint_labels(judged.labels, schema), judged.group, judged.weights, units)
        measure = Measure(
            schema.tasks,
            outcomes,
            rows,
            drawn=drawn_of(rows, RESAMPLE_NAME.format(seed), resamples),
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    drawn = np.array(
        [measure.resampled(predictions[SCORE])[:, 0] for predictions in judged.predictions]
    )  # (K, 1 + B, M)
    return [
        _judgement(name, "larger", drawn[..., at], confidence)
        for at, name in enumerate(measure.names)
    ]


def judgements(
    judged: Judged,
    schema: Schema,
    resamples: int = RESAMPLES,
    confidence: float = LEVEL,
    seed: int = 0,
) -> list[Judgement]:
    """Every metric of the first model's predictions, compared with the second's if there is one.

    If rows have a weight, metrics without it are added: `click.plain_auc`. Raises UserError for a
    single unit.
    """
    units = _units(judged)
    measures = [dict(_measures(schema, judged, predictions)) for predictions in judged.predictions]
    drawn = {name: np.empty((len(measures), 1 + resamples)) for name in measures[0]}
    drawn_times = one_by_one(units, RESAMPLE_NAME.format(seed), resamples)
    for at, times in enumerate(chain([np.ones(len(units))], drawn_times)):
        for name, own in drawn.items():
            own[:, at] = [of[name][1](times) for of in measures]
    return [_judgement(name, measures[0][name][0], own, confidence) for name, own in drawn.items()]


def sentence(judgements: Sequence[Judgement], model: str, other: str) -> str:
    """The effect of replacing `other` by `model`, in one sentence: outcomes that gain, lose, and
    stay equal.

    As in `shop@challenger against shop@champion: like.recall@10% +1.2% (+0.7 to +1.7), at equal
    click.recall@10% -0.1% (-0.2 to +0.1)`. An outcome is called equal if it is certainly unchanged.
    """
    of: dict[str, list[str]] = {"better": [], "worse": [], "equal": [], CANNOT_TELL: []}
    for each in judgements:
        gain = each.gain if each.gain and np.isfinite(each.gain.low) else None
        word = CANNOT_TELL if gain is None else "equal" if gain.unchanged else each.verdict
        of[word].append(f"{each.metric} {gain or '(undefined)'}")
    before = {
        "worse": "but " if of["better"] else "",
        "equal": "at equal ",
        CANNOT_TELL: "cannot tell for ",
    }
    clauses = [f"{before.get(word, '')}{listed(own)}" for word, own in of.items() if own]
    return f"{model} against {other}: {', '.join(clauses)}"


def _units(judged: Judged) -> NDArray[np.uint64]:
    """Units to resample (N,); raises UserError for a single one."""
    units = units_of(judged.group if judged.together is None else judged.together, 0)
    if not (units != units[0]).any():
        raise UserError(
            "expected two groups of rows or more to draw from, found one: nothing says how sure "
            "this is"
        )
    return units


def _judgement(
    name: str, better: str | None, drawn: NDArray[np.float64], confidence: float
) -> Judgement:
    own, *others = (effect_of(each, confidence) for each in drawn)
    gap = (effect_of(drawn[0] - drawn[1], confidence),) if others else ()
    return Judgement(name, better, own, *others, *gap)


def effect_of(drawn: NDArray[np.float64], confidence: float = LEVEL) -> Effect:
    """A value with the percentile interval of its resamples (1 + B,); undefined ones (one class
    only) are left out.
    """
    known = drawn[1:][np.isfinite(drawn[1:])]
    ends = (
        np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
        if len(known)
        else ()
    )
    return Effect(float(drawn[0]), *ends)


def _measures(
    schema: Schema, judged: Judged, predictions: Mapping[str, Floats]
) -> Iterator[tuple[str, tuple[str | None, Weighted]]]:
    """Metric -> the better direction, and the metric as a function of row multiplicities."""
    names = [prediction_names(task) for task in schema.tasks]
    conditional, joint = (
        np.stack([predictions[each[at]] for each in names], axis=1) for at in (0, -1)
    )
    every = Predicted(judged.labels, judged.group, conditional=conditional, joint=joint)
    for name, kind, own in sample_spaces(schema, every):
        known = ~np.isnan(own.labels)
        rows = replace(own.known, labels=own.labels[known].astype(np.float64))
        for metric in REPORTED[kind]:
            better, measure = (
                WAYS[METRICS[kind][metric].direction],
                heads_of(kind)[metric].prepare(rows),
            )
            for prefix, weights in {"": judged.weights, "plain_": judged.plain}.items():
                if not prefix or weights is not None:
                    yield f"{name}.{prefix}{metric}", (better, _drawn(measure, known, weights))


def _drawn(measure: Weighted, known: NDArray[np.bool_], own: Floats | None) -> Weighted:
    """A measure of the known rows, as a function of the multiplicities of all rows, times their own
    weights.
    """
    return lambda times: measure((times if own is None else times * own)[known])


REPORTED: dict[TaskKind, tuple[str, ...]] = {
    "binary": ("auc", "logloss", "pcoc"),
    "regression": ("rmse", "decile_error"),
}
"""Reported metrics of each prediction."""
WAYS = {"maximize": "larger", "minimize": "smaller", None: None}
