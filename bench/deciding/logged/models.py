"""Models of a log as candidates: joint predictions by split, today's score, and recalibrated
versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Singles
from bench.core.errors import UserError
from bench.core.formula import quoted
from bench.core.records import Role
from bench.core.rows import CONFIRM, TEST
from bench.core.schema import TaskKind
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.columns import Prediction, PredictionKind, prediction
from bench.deciding.logged.doubts import misplaced, no_value
from bench.deciding.logged.rows import Parted
from bench.ledger.ledger import ALL
from bench.ledger.served.measuring import Candidate
from bench.measure.heads.calibration import ECE_BINS, Deciles
from bench.measure.heads.order import auc, xauc
from bench.measure.platt import FIT_ROWS, platt
from bench.measure.spaces import Observed

SplitPlaces = Mapping[str, NDArray[np.int64]]
"""By split the places of its rows in the log."""
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
    values: NDArray[Any]


@dataclass(frozen=True)
class Model:
    """A model of a log.

    Attributes:
        seeds: of its predictions; empty of one training without a name.
        predictions: of each seed (N, T), joint, and before amounts.
        kinds: (T,), of predictions.
        events: (T,), what each prediction is, in the log's columns.
        amounts: by place of a task what its predictions are multiplied by.
    """

    name: str
    role: Role
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    predictions: tuple[Singles, ...]
    kinds: tuple[PredictionKind, ...]
    events: tuple[str, ...]
    amounts: Mapping[int, Amount]

    @property
    def terms(self) -> tuple[str, ...]:
        """(T,), what each prediction times its amount is, in the log's columns."""
        amounts = {at: quoted(amount.column) for at, amount in self.amounts.items()}
        return tuple(
            f"{amounts[at]} {term}" if at in amounts else term
            for at, term in enumerate(self.events)
        )

    def candidate(self, parts: SplitPlaces) -> Candidate:
        """Itself."""
        name = self.name
        return Candidate(
            name,
            name,
            name,
            self.role,
            self.seeds,
            lambda split, run: self.served(run, parts[split]),
        )

    def served(self, run: int, places: NDArray[np.int64]) -> Singles:
        """Predictions (n, T) of a seed on some rows, times their amounts."""
        found = self.predictions[run][places]
        for at, amount in self.amounts.items():
            found[:, at] *= amount.values[places]
        return found


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


def models_of(asked: Asked, of: Parted) -> tuple[list[Model], list[str]]:
    """The models, and sentences on how their columns were read and what does not fit in them,
    doubts first.

    Raises UserError if predictions are the label, alike or odd.
    """
    models = []
    notes: Notes = {}
    amounts = {}
    for task, column in asked.amounts.items():
        amounts[asked.labels.index(task)] = Amount(column, of.log.numbers[column])
    for name, runs in asked.named.items():
        of_seeds, of_terms, of_kinds = [], [], []
        for _, columns in runs:
            read = [_read(asked, of, column, at, notes) for at, column in enumerate(columns)]
            predictions = np.stack([column.values for column in read], axis=1)
            terms, kinds = [column.term for column in read], [column.kind for column in read]
            notes |= dict.fromkeys(misplaced(name, columns, predictions, of.events, asked), True)
            given = _given(asked, of, predictions, kinds, name, notes)
            for task in TopologicalSorter(
                {task: [parent] for task, parent in asked.parents.items()}
            ).static_order():
                if (at := asked.labels.index(task)) in given:
                    above = asked.labels.index(asked.parents[task])
                    predictions[:, at] *= predictions[:, above]
                    terms[at] = f"{terms[above]} {terms[at]}"
            of_seeds.append(predictions)
            of_terms.append(tuple(terms))
            of_kinds.append(tuple(kinds))
        kinds_alike: list[PredictionKind] = []
        for kinds_of_task in zip(*of_kinds, strict=True):
            kinds_alike.append(kinds_of_task[0] if len({*kinds_of_task}) == 1 else "order")
        seeds = tuple(seed for seed, _ in runs if seed is not None) if len(runs) > 1 else ()
        role: Role = "baseline" if name in asked.baselines else "trial"
        models.append(
            Model(
                name,
                role,
                seeds,
                tuple(runs[0][1]),
                tuple(of_seeds),
                tuple(kinds_alike),
                of_terms[0],
                amounts,
            )
        )
    return models, sorted(notes, key=notes.__getitem__, reverse=True)


def _read(asked: Asked, of: Parted, column: str, at: int, notes: Notes) -> Prediction:
    """A column of predictions of a task; adds sentences to `notes`."""
    task, events, values = asked.labels[at], of.events[:, at], of.log.numbers[column]
    _check(values, events, column, task)
    found = prediction(column, values, asked.kinds.get(column), of.kinds[at], of.log.place)
    said = found.note
    if said and found.kind == "order" and task in asked.amounts:
        amount = asked.amounts[task]
        said += (
            f" It is multiplied by '{amount}': if it has that in it, leave --amount "
            f"{task}={amount} out."
        )
    if of.kinds[at] == "regression" and found.kind == "value" and column not in asked.kinds:
        said = said or no_value(column, found.values, task, events) or ""
    notes |= {said: True} if said else {}
    return found


def _check(values: NDArray[Any], events: Singles, column: str, task: str) -> None:
    known = np.isfinite(events)
    if np.array_equal(values[known], events[known]):
        raise UserError(f"expected predictions in '{column}', found the label '{task}' itself")
    if values.min() == values.max():
        raise UserError(
            f"expected predictions in '{column}' that differ, found {values[0]:g} in all rows"
        )


def _given(
    asked: Asked,
    of: Parted,
    predictions: Singles,
    kinds: Sequence[PredictionKind],
    model: str,
    notes: Notes,
) -> list[int]:
    """Places of tasks whose predictions are given their parent: as said, else as calibration
    tells.
    """
    places = []
    for task, parent in asked.parents.items():
        at, above = asked.labels.index(task), asked.labels.index(parent)
        if task in asked.given:
            places.append(at)
        elif task in asked.joint:
            continue
        elif kinds[above] in PROBABILITIES and kinds[at] in (*PROBABILITIES, "value"):
            known = np.isfinite(of.events[:, at])
            mean, joint = float(of.events[known, at].mean()), float(predictions[known, at].mean())
            times = float((predictions[known, at] * predictions[known, above]).mean())
            if not mean:
                continue
            off_joint, off_times = (abs(np.log(max(said, 1e-12) / mean)) for said in (joint, times))
            given = off_times < off_joint
            if given:
                places.append(at)
            what = f"given {parent}" if given else f"with {parent}"
            unsure = "" if abs(off_joint - off_times) > np.log(CLEAR) else ", which is not clear"
            if of.kinds[at] == "binary":
                happens = f"{task} happens in {mean:.2%} of rows"
                found = f"{happens}, and is predicted in {joint:.2%} with {parent}, or {times:.2%}"
            else:
                found = (
                    f"the mean {task} is {mean:.3g}, and predicted as {joint:.3g} with "
                    f"{parent}, or {times:.3g}"
                )
            notes[
                f"{model} is read to predict {task} {what}{unsure}: {found} given it "
                f"(--joint or --given {task} says it)."
            ] = bool(unsure)
        else:
            taken = (
                f"{model}: predictions of {task} are taken to be with {parent} (--given {task} "
                "says otherwise)."
            )
            notes[taken] = False
    return places


def recalibrated(model: Model, of: Parted) -> Model | None:
    """A model whose log odds of each task are moved and stretched so that they fit the rows that
    choose (Platt 1999).

    No head's order changes, but in a sum each then counts for what it is. None where nothing is
    surely off.
    """
    chosen, weights = of.parts[CONFIRM], of.rows[CONFIRM].weights
    terms, runs = list(model.events), []
    for own in model.predictions:
        new = own.copy()
        for at, kind in enumerate(model.kinds):
            if kind not in PROBABILITIES or of.kinds[at] != "binary":
                continue
            fit = platt(own[chosen, at], of.events[chosen, at], weights)
            if fit is not None and fit.gain > SURE_GAIN and fit.slope > 0:
                fit = fit.rounded  # so that the model is what its formula says
                new[:, at] = fit.apply(own[:, at])
                terms[at] = f"sigmoid({fit.offset:g} + {fit.slope:g} logit({model.events[at]}))"
        runs.append(new)
    if tuple(terms) == model.events:
        return None
    return replace(
        model, name=f"{model.name}, {RECALIBRATED}", predictions=tuple(runs), events=tuple(terms)
    )


def calibrations(models: Sequence[Model], of: Parted) -> list[CalibrationQuality]:
    """Of each model and task on the rows that judge, and by segment, before amounts; means over
    seeds.
    """
    rows, places = of.rows[TEST], of.parts[TEST]
    weights = np.ones(len(places)) if rows.weights is None else rows.weights.astype(np.float64)
    slices = {ALL: np.ones(len(places), dtype=bool)}
    for at, (name, values) in enumerate(rows.segments.items()):
        slices |= {
            f"{name}={value}": rows.codes[:, at] == code for code, value in enumerate(values)
        }
    qualities = []
    for model in models:
        for at, task in enumerate(rows.tasks):
            said = np.mean([own[places, at] for own in model.predictions], axis=0)
            events = of.events[places, at]
            for part, inside in slices.items():
                own = inside & np.isfinite(events)
                y, p, w = events[own], said[own], weights[own]
                if w @ y > 0:
                    fits = (
                        _fits(y, p, w, of.kinds[at])
                        if model.kinds[at] != "order"
                        else (np.nan, np.nan)
                    )
                    qualities.append(
                        CalibrationQuality(
                            model.name, task, part, _order(y, p, of.kinds[at]), *fits
                        )
                    )
    return qualities


def _order(labels: Singles, predictions: Singles, kind: TaskKind) -> float:
    """The share of pairs of rows that is in order: of a binary task the area under the curve."""
    some = slice(None, None, 1 + len(labels) // FIT_ROWS)
    measure = auc if kind == "binary" else xauc
    rows = Observed(labels[some], np.empty(0), predictions=predictions[some])
    return measure.prepare(rows)(np.ones(len(labels[some])))


def _fits(
    labels: Singles, predictions: Singles, weights: Floats, kind: TaskKind
) -> tuple[float, float]:
    """Predicted over happened, and the calibration error, which for values is a share of their
    sum.
    """
    happened = float(weights @ labels)
    distance = Deciles(labels, predictions, weights, ECE_BINS).distance(weights)
    whole = float(weights.sum()) if kind == "binary" else happened
    return float(weights @ predictions) / happened, distance / whole


def suspicion(fits: Sequence[CalibrationQuality]) -> list[str]:
    """Sentences on predictions that tell a task almost fully: they may be made of what happens only
    afterwards.
    """
    return [
        (
            f"{each.model} tells {each.task} almost fully (AUC {each.auc:.3f}): check that it "
            "predicts before it happens."
        )
        for each in fits
        if each.slice == ALL and each.auc > SUSPECT
    ]
