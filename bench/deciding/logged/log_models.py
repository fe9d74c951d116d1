"""Models of a log: their joint predictions, recalibrated versions, and how well they fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import NamedTuple

import numpy as np

from bench.core.arrays import Floats, Ints, Mask, Singles
from bench.core.errors import UserError
from bench.core.formula import quoted
from bench.core.records import Role
from bench.core.rows import CONFIRM, TEST
from bench.core.schema import TaskKind
from bench.deciding.logged.asked import Asked, SeedColumns
from bench.deciding.logged.columns import Numbers, Prediction, PredictionKind, prediction
from bench.deciding.logged.doubts import misplaced, no_value
from bench.deciding.logged.split_log import SplitLog
from bench.ledger.ledger import ALL
from bench.ledger.served.measuring import Candidate
from bench.measure.heads.calibration import ECE_BINS, Deciles
from bench.measure.heads.order import auc, xauc
from bench.measure.platt import FIT_ROWS, platt
from bench.measure.predictions import KeptRows
from bench.measure.spaces import Observed

RECALIBRATED = "recalibrated"
PROBABILITIES: tuple[PredictionKind, ...] = ("probability", "log-odds")
"""Kinds of predictions that say how often something happens."""
SURE_GAIN = 4.605
"""Gain in log likelihood from which on a recalibration is no noise: half of chi-squared's 1%, two
parameters.
"""
SUSPECT = 0.99
CLEAR = 1.5
"""By which factor one reading of a child's predictions has to fit better than the other."""


class Amount(NamedTuple):
    """A column of amounts and its values (N,)."""

    column: str
    values: Numbers


@dataclass(frozen=True)
class Model:
    """A model of a log.

    Attributes:
        seeds: of its predictions; empty of one training without a name.
        predictions: of each seed (N, T), joint, and before amounts.
        kinds: (T,), of predictions.
        event_terms: (T,), what each prediction is, in the log's columns.
        amounts: by column of predictions what it is multiplied by.
    """

    name: str
    role: Role
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    predictions: tuple[Singles, ...]
    kinds: tuple[PredictionKind, ...]
    event_terms: tuple[str, ...]
    amounts: Mapping[int, Amount]

    @property
    def terms(self) -> tuple[str, ...]:
        """(T,), what each prediction times its amount is, in the log's columns."""
        terms = list(self.event_terms)
        for column, amount in self.amounts.items():
            terms[column] = f"{quoted(amount.column)} {terms[column]}"
        return tuple(terms)

    def candidate(self, places: Mapping[str, Ints]) -> Candidate:
        """Itself, on rows by split."""
        name = self.name
        return Candidate(
            name,
            name,
            name,
            self.role,
            self.seeds,
            lambda split, replicate: self.served(replicate, places[split]),
        )

    def served(self, replicate: int, places: Ints) -> Singles:
        """Predictions (n, T) of a seed on some rows, times their amounts."""
        predictions = self.predictions[replicate][places]
        for column, amount in self.amounts.items():
            predictions[:, column] *= amount.values[places]
        return predictions


class CalibrationQuality(NamedTuple):
    """How a model's predictions of a task fit what happened, on a slice of the rows that judge.

    Attributes:
        auc: area under the curve, of values the share of pairs in order; of `FIT_ROWS` rows about.
        pcoc: predicted over happened; NaN of what is an order, as `ece`.
        ece: mean distance of predicted and happened over bins of equal mass; of values over the
            mean value.
    """

    model: str
    task: str
    slice: str
    auc: float
    pcoc: float
    ece: float


Notes = dict[str, bool]
"""Sentences on how columns are read, and whether each is a doubt."""


def models_of(asked: Asked, log: SplitLog) -> tuple[list[Model], list[str]]:
    """The models, and sentences on how their columns were read and what does not fit in them,
    doubts first.

    Raises UserError if predictions are the label, alike or odd.
    """
    notes: Notes = {}
    amounts = {}
    for task, column in asked.amounts.items():
        amounts[asked.labels.index(task)] = Amount(column, log.log.numbers[column])
    models = []
    for name, columns_by_seed in asked.trainings.items():
        trainings = []
        for _, columns in columns_by_seed:
            trainings.append(_read_training(asked, log, name, columns, notes))
        model = Model(
            name,
            role="baseline" if name in asked.baselines else "trial",
            seeds=_seeds(columns_by_seed),
            columns=tuple(columns_by_seed[0].columns),
            predictions=tuple(training.predictions for training in trainings),
            kinds=_common_kinds(trainings),
            event_terms=tuple(trainings[0].terms),
            amounts=amounts,
        )
        models.append(model)
    return models, sorted(notes, key=notes.__getitem__, reverse=True)


@dataclass
class Training:
    """Predictions of one seed of a model.

    Attributes:
        predictions: (N, T), joint once `make_joint` was called.
        kinds: (T,).
        terms: (T,), what each prediction is, in the log's columns.
    """

    predictions: Singles
    kinds: list[PredictionKind]
    terms: list[str]

    def make_joint(self, child: int, parent: int) -> None:
        """Multiplies predictions that are given their parent by the parent's."""
        self.predictions[:, child] *= self.predictions[:, parent]
        self.terms[child] = f"{self.terms[parent]} {self.terms[child]}"


def _read_training(
    asked: Asked, log: SplitLog, model: str, columns: Sequence[str], notes: Notes
) -> Training:
    """The joint predictions of a model's seed; adds sentences to `notes`."""
    read = [_read(asked, log, column, number, notes) for number, column in enumerate(columns)]
    values, kinds, terms, _ = zip(*read, strict=True)
    training = Training(np.stack(values, axis=1), list(kinds), list(terms))
    doubts = misplaced(model, columns, training.predictions, log.events, asked)
    notes |= dict.fromkeys(doubts, True)

    tasks_given_parent = _tasks_given_parent(asked, log, training, model, notes)
    down_the_chains = TopologicalSorter({task: [asked.parents[task]] for task in asked.parents})
    for task in down_the_chains.static_order():
        if task in tasks_given_parent:
            parent = asked.parents[task]
            training.make_joint(asked.labels.index(task), asked.labels.index(parent))
    return training


def _seeds(trainings: Sequence[SeedColumns]) -> tuple[int, ...]:
    if len(trainings) == 1:
        return ()
    return tuple(training.seed for training in trainings if training.seed is not None)


def _common_kinds(trainings: Sequence[Training]) -> tuple[PredictionKind, ...]:
    """(T,), the kind that all seeds have; an order where they differ."""
    common_kinds = list(trainings[0].kinds)
    for training in trainings[1:]:
        for column, kind in enumerate(training.kinds):
            if kind != common_kinds[column]:
                common_kinds[column] = "order"
    return tuple(common_kinds)


def _read(asked: Asked, log: SplitLog, column: str, number: int, notes: Notes) -> Prediction:
    """A column of predictions of a task by its number; adds a sentence to `notes`."""
    task = asked.labels[number]
    kind = log.kinds[number]
    events = log.events[:, number]
    values = log.log.numbers[column]
    _check_predictions(values, events, column, task)
    read = prediction(column, values, asked.kinds.get(column), kind, log.log.place)

    note = read.note
    if note and read.kind == "order" and task in asked.amounts:
        amount = asked.amounts[task]
        note += (
            f" It is multiplied by '{amount}': if it has that in it, leave --amount "
            f"{task}={amount} out."
        )
    is_value = kind == "regression" and read.kind == "value"
    if not note and is_value and column not in asked.kinds:
        note = no_value(column, read.values, task, events) or ""
    if note:
        notes[note] = True
    return read


def _check_predictions(values: Numbers, events: Singles, column: str, task: str) -> None:
    is_labelled = np.isfinite(events)
    if np.array_equal(values[is_labelled], events[is_labelled]):
        raise UserError(f"expected predictions in '{column}', found the label '{task}' itself")
    if values.min() == values.max():
        raise UserError(
            f"expected predictions in '{column}' that differ, found {values[0]:g} in all rows"
        )


def _tasks_given_parent(
    asked: Asked, log: SplitLog, training: Training, model: str, notes: Notes
) -> list[str]:
    """Tasks whose predictions are given their parent: as asked, else as calibration shows. Adds
    sentences to `notes`.
    """
    given = []
    for task, parent in asked.parents.items():
        if task in asked.given:
            given.append(task)
            continue
        if task in asked.joint or model in asked.packages:  # a package says both
            continue

        child_column = asked.labels.index(task)
        parent_column = asked.labels.index(parent)
        child_kind = training.kinds[child_column]
        if training.kinds[parent_column] not in PROBABILITIES or child_kind == "order":
            note = (
                f"{model}: predictions of {task} are taken to be with {parent} (--given {task} "
                "says otherwise)."
            )
            notes[note] = False
            continue

        means = _child_means(log.events, training.predictions, child_column, parent_column)
        if not means.label:
            continue
        if means.lead_of_given > 0:
            given.append(task)
        note = _child_note(model, task, parent, means, log.kinds[child_column])
        notes[note] = not means.is_clear
    return given


class ChildMeans(NamedTuple):
    """Means of a task with a parent: of its label, of its predictions, and of these times the
    parent's.
    """

    label: float
    with_parent: float
    given_parent: float

    @property
    def lead_of_given(self) -> float:
        """How much closer the label's mean is if predictions are given the parent, in logs."""
        return self._distance(self.with_parent) - self._distance(self.given_parent)

    def _distance(self, mean: float) -> float:
        """From the label's mean, in logs."""
        return abs(math.log(max(mean, 1e-12) / self.label))

    @property
    def is_clear(self) -> bool:
        """Whether one reading fits clearly better than the other."""
        return abs(self.lead_of_given) > math.log(CLEAR)


def _child_means(events: Singles, predictions: Singles, child: int, parent: int) -> ChildMeans:
    is_labelled = np.isfinite(events[:, child])
    predicted = predictions[is_labelled, child]
    products = predicted * predictions[is_labelled, parent]
    return ChildMeans(
        label=float(events[is_labelled, child].mean()),
        with_parent=float(predicted.mean()),
        given_parent=float(products.mean()),
    )


def _child_note(model: str, task: str, parent: str, means: ChildMeans, kind: TaskKind) -> str:
    reading = f"given {parent}" if means.lead_of_given > 0 else f"with {parent}"
    if not means.is_clear:
        reading += ", which is not clear"
    if kind == "binary":
        evidence = (
            f"{task} happens in {means.label:.2%} of rows, and is predicted in "
            f"{means.with_parent:.2%} with {parent}, or {means.given_parent:.2%}"
        )
    else:
        evidence = (
            f"the mean {task} is {means.label:.3g}, and predicted as {means.with_parent:.3g} with "
            f"{parent}, or {means.given_parent:.3g}"
        )
    return (
        f"{model} is read to predict {task} {reading}: {evidence} given it (--joint or --given "
        f"{task} says it)."
    )


def recalibrated(model: Model, log: SplitLog) -> Model | None:
    """A model whose log odds of each task are moved and stretched so that they fit the rows that
    choose (Platt 1999).

    No head's order changes, but in a sum each then counts for what it is. None where nothing is
    surely off.
    """
    choosing, weights = log.places[CONFIRM], log.rows[CONFIRM].weights
    terms = list(model.event_terms)
    fitted_seeds = []
    for predictions in model.predictions:
        fitted = predictions.copy()
        for column, kind in enumerate(model.kinds):
            if kind not in PROBABILITIES or log.kinds[column] != "binary":
                continue
            fit = platt(predictions[choosing, column], log.events[choosing, column], weights)
            if fit is not None and fit.gain > SURE_GAIN and fit.slope > 0:
                fit = fit.rounded  # the model is exactly what its formula says
                fitted[:, column] = fit.apply(predictions[:, column])
                term = model.event_terms[column]
                terms[column] = f"sigmoid({fit.offset:g} + {fit.slope:g} logit({term}))"
        fitted_seeds.append(fitted)
    if tuple(terms) == model.event_terms:
        return None
    return replace(
        model,
        name=f"{model.name}, {RECALIBRATED}",
        predictions=tuple(fitted_seeds),
        event_terms=tuple(terms),
    )


def calibrations(models: Sequence[Model], log: SplitLog) -> list[CalibrationQuality]:
    """Of each model and task on the rows that judge, and by segment, before amounts; means over
    seeds.
    """
    slices = _slices(log.rows[TEST])
    qualities = []
    for model in models:
        for column in range(len(log.kinds)):
            qualities += _calibration(model, column, log, slices)
    return qualities


def _slices(rows: KeptRows) -> dict[str, Mask]:
    """All rows, and those of each value of a segment."""
    slices = {ALL: np.ones(len(rows.codes), dtype=bool)}
    for number, (name, values) in enumerate(rows.segments.items()):
        for code, value in enumerate(values):
            slices[f"{name}={value}"] = rows.codes[:, number] == code
    return slices


def _calibration(
    model: Model, column: int, log: SplitLog, slices: Mapping[str, Mask]
) -> list[CalibrationQuality]:
    rows = log.rows[TEST]
    places = log.places[TEST]
    kind = log.kinds[column]
    weights = np.ones(len(places))
    if rows.weights is not None:
        weights = rows.weights.astype(np.float64)
    mean = np.mean([predictions[places, column] for predictions in model.predictions], axis=0)
    events = log.events[places, column]
    qualities = []
    for name, in_slice in slices.items():
        in_slice = in_slice & np.isfinite(events)
        y, p, w = events[in_slice], mean[in_slice], weights[in_slice]
        if w @ y <= 0:
            continue
        pcoc = ece = np.nan
        if model.kinds[column] != "order":
            pcoc, ece = _fit(y, p, w, kind)
        in_order = _share_in_order(y, p, kind)
        task = rows.tasks[column]
        qualities.append(CalibrationQuality(model.name, task, name, in_order, pcoc, ece))
    return qualities


def _share_in_order(labels: Singles, predictions: Singles, kind: TaskKind) -> float:
    """The share of pairs of rows that is in order: of a binary task the area under the curve."""
    sample = slice(None, None, 1 + len(labels) // FIT_ROWS)
    measure = auc if kind == "binary" else xauc
    rows = Observed(labels[sample], np.empty(0), predictions=predictions[sample])
    return measure.prepare(rows)(np.ones(len(labels[sample])))


def _fit(
    labels: Singles, predictions: Singles, weights: Floats, kind: TaskKind
) -> tuple[float, float]:
    """Predicted over happened, and the calibration error, which for values is a share of their
    sum.
    """
    happened = float(weights @ labels)
    predicted = float(weights @ predictions)
    distance = Deciles(labels, predictions, weights, ECE_BINS).distance(weights)
    total = float(weights.sum()) if kind == "binary" else happened
    return predicted / happened, distance / total


def suspicion(qualities: Sequence[CalibrationQuality]) -> list[str]:
    """Sentences on predictions that nearly equal a task: they may be made of what happens only
    afterwards.
    """
    sentences = []
    for quality in qualities:
        if quality.slice == ALL and quality.auc > SUSPECT:
            sentences.append(
                f"{quality.model} tells {quality.task} almost fully (AUC {quality.auc:.3f}): check "
                "that it predicts before it happens."
            )
    return sentences
