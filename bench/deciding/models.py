"""Models of a log as candidates: joint predictions by split, today's score, and recalibrated versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bench.core.arrays import Singles
from bench.core.errors import UserError
from bench.core.formula import NO_FACTORS, Expression, Monomial, columns_of, computed, multiplied_out, quoted, read
from bench.core.records import Role
from bench.core.rows import CONFIRM, TEST
from bench.deciding.asked import Asked
from bench.deciding.log import LoggedRows
from bench.measure.heads.areas import auc
from bench.measure.heads.calibration import ECE_BINS, Deciles
from bench.measure.platt import FIT_ROWS, platt
from bench.measure.predictions import KeptRows
from bench.measure.spaces import Observed
from bench.results.fusion import FusionKind
from bench.results.ledger import ALL
from bench.results.served.measuring import Candidate

SplitPlaces = Mapping[str, NDArray[np.int64]]
"""By split the places of its rows in the log."""
RECALIBRATED = "recalibrated"
SURE_GAIN = 4.605
"""Gain in log likelihood from which on a recalibration is no noise: half of chi-squared's 1%, two parameters."""
SUSPECT = 0.99
CLEAR = 1.5
"""By which factor one reading of a child's predictions has to fit better than the other."""


@dataclass(frozen=True)
class Model:
    """A model of a log.

    Attributes:
        seeds: of its predictions; empty of one training without a name.
        predictions: of each seed (N, T), joint and at least 0.
        probabilities: (T,), whether a task's predictions are within 0 and 1.
        terms: (T,), what each prediction is, in the log's columns.
    """

    name: str
    role: Role
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    predictions: tuple[Singles, ...]
    probabilities: tuple[bool, ...]
    terms: tuple[str, ...]

    def candidate(self, parts: SplitPlaces) -> Candidate:
        """Itself."""
        name, own = self.name, self.predictions
        return Candidate(name, name, name, self.role, self.seeds, lambda split, run: own[run][parts[split]])


class CalibrationQuality(NamedTuple):
    """How a model's predictions of a task fit what happened, on a slice of the rows that judge.

    Attributes:
        auc: area under the curve, of `FIT_ROWS` rows about, as `ece`.
        pcoc: predicted over happened; NaN of what is no probability, as `ece`.
        ece: mean distance of predicted and happened over bins of equal mass.
    """

    model: str
    task: str
    slice: str
    auc: float
    pcoc: float
    ece: float


def models_of(asked: Asked, log: LoggedRows, labels: Singles) -> tuple[list[Model], list[str]]:
    """The models, and sentences on how their columns were read; raises UserError if predictions are the label or alike.

    Args:
        labels: (N, T), joint.
    """
    models, notes, tasks = [], dict[str, None](), asked.labels
    for name, runs in asked.named.items():
        of_seeds, of_terms, kinds = [], [], np.ones(len(tasks), dtype=bool)
        for _, columns in runs:
            terms = [quoted(column) for column in columns]
            own = np.stack([log.numbers[column] for column in columns], axis=1).astype(np.float32)
            for at, column in enumerate(columns):
                _check(own[:, at], labels[:, at], column, tasks[at])
                if own[:, at].min() < 0:
                    own[:, at] = expit(own[:, at])
                    terms[at] = f"sigmoid({quoted(column)})"
                    notes[f"'{column}' has values below 0: they are taken as log odds."] = None
                elif own[:, at].max() > 1:
                    kinds[at] = False
                    notes[f"'{column}' has values above 1: its order is used, as it is no probability."] = None
            given = _given(asked, own, labels, kinds, name, notes)
            for task in TopologicalSorter({task: [parent] for task, parent in asked.parents.items()}).static_order():
                if (at := tasks.index(task)) in given:
                    above = tasks.index(asked.parents[task])
                    own[:, at] *= own[:, above]
                    terms[at] = f"{terms[above]} {terms[at]}"
            for task, amount in asked.amounts.items():
                at = tasks.index(task)
                own[:, at] *= log.numbers[amount]
                terms[at], kinds[at] = f"{quoted(amount)} {terms[at]}", False
            of_seeds.append(own)
            of_terms.append(tuple(terms))
        seeds = tuple(seed for seed, _ in runs if seed is not None) if len(runs) > 1 else ()
        role: Role = "baseline" if name in asked.baselines else "trial"
        models.append(Model(name, role, seeds, tuple(runs[0][1]), tuple(of_seeds), tuple(kinds.tolist()), of_terms[0]))
    return models, list(notes)


def _check(values: Singles, labels: Singles, column: str, task: str) -> None:
    known = np.isfinite(labels)
    if np.array_equal(values[known], labels[known]):
        raise UserError(f"expected predictions in '{column}', found the label '{task}' itself")
    if values.min() == values.max():
        raise UserError(f"expected predictions in '{column}' that differ, found {values[0]:g} in all rows")


def _given(
    asked: Asked, own: Singles, labels: Singles, kinds: NDArray[np.bool_], model: str, notes: dict[str, None]
) -> list[int]:
    """Places of tasks whose predictions are given their parent: as said, else as calibration tells."""
    places = []
    for task, parent in asked.parents.items():
        at, above = asked.labels.index(task), asked.labels.index(parent)
        if task in asked.given:
            places.append(at)
        elif task not in (*asked.joint, *asked.amounts) and kinds[at] and kinds[above]:
            known = np.isfinite(labels[:, at])
            rate, joint = float(labels[known, at].mean()), float(own[known, at].mean())
            times = float((own[known, at] * own[known, above]).mean())
            if not rate:
                continue
            off = [abs(np.log(max(each, 1e-12) / rate)) for each in (joint, times)]
            if off[1] < off[0]:
                places.append(at)
            what = f"given {parent}" if off[1] < off[0] else f"with {parent}"
            unsure = "" if max(off) > min(off) + np.log(CLEAR) else ", which is not clear"
            notes[
                f"{model} is read to predict {task} {what}{unsure}: {task} happens in {rate:.2%} of rows, and is "
                f"predicted in {joint:.2%} with {parent}, or {times:.2%} given it (--joint or --given {task} says it)."
            ] = None
        elif task not in asked.joint:
            notes[f"{model}: predictions of {task} are taken to be with {parent} (--given {task} says otherwise)."] = (
                None
            )
    return places


def weights_of(formula: Expression, model: Model) -> tuple[FusionKind, list[float]] | None:
    """The fusion of a model's predictions that a formula is, with its weights (T,); None where it is none."""
    predictions = [multiplied_out(read(term, "--model")) for term in model.terms]
    if any([*prediction.values()] != [1.0] for prediction in predictions):
        return None
    products = [next(iter(prediction)) for prediction in predictions]
    if len(set(products)) < len(products):
        return None
    wanted = multiplied_out(formula)
    wanted.pop(NO_FACTORS, None)
    if not wanted or min(wanted.values()) < 0 or max(wanted.values()) == 0:
        return None
    if wanted.keys() <= set(products):
        return "sum", [wanted.get(product, 0.0) for product in products]
    weights = exponents_of(next(iter(wanted)), products) if len(wanted) == 1 else None
    return None if weights is None else ("power", weights)


def exponents_of(wanted: Monomial, products: Sequence[Monomial]) -> list[float] | None:
    """The powers, at least 0, of products whose product is the wanted one; None where there are none."""
    factors = [*{factor: None for product in (wanted, *products) for factor, _ in product}]
    exponents = np.array([[dict(product).get(factor, 0.0) for product in products] for factor in factors])
    aim = np.array([dict(wanted).get(factor, 0.0) for factor in factors])
    weights = np.linalg.lstsq(exponents, aim, rcond=None)[0].round(12)
    if (weights < 0).any() or not np.allclose(exponents @ weights, aim, rtol=0, atol=1e-9):
        return None
    return [float(weight) for weight in weights]


def score_of(formula: Expression, log: LoggedRows) -> NDArray[np.float64]:
    """(N,), a formula's score of each row."""
    score = computed(formula, {name: log.numbers[name] for name in columns_of(formula)}, "--weights")
    if score.min() == score.max():
        raise UserError(f"--weights: expected a score that differs, found {score[0]:g} in all rows")
    return score


def recalibrated(model: Model, parts: SplitPlaces, rows: Mapping[str, KeptRows], tasks: Sequence[str]) -> Model | None:
    """A model whose log odds of each task are moved and stretched so that they fit the rows that choose (Platt 1999).

    No head's order changes, but in a sum each then counts for what it is. None where nothing is surely off.
    """
    chosen, of = parts[CONFIRM], rows[CONFIRM]
    terms, runs = list(model.terms), []
    for own in model.predictions:
        new = own.copy()
        for at, (known, kind) in enumerate(zip(model.probabilities, of.kinds, strict=True)):
            fit = platt(own[chosen, at], of.labels[:, at], of.weights) if known and kind == "binary" else None
            if fit is not None and fit.gain > SURE_GAIN and fit.slope > 0:
                new[:, at] = fit.apply(own[:, at])
                terms[at] = f"sigmoid({fit.offset:.3g} + {fit.slope:.3g} logit({model.terms[at]}))"
        runs.append(new)
    if tuple(terms) == model.terms:
        return None
    return replace(model, name=f"{model.name}, {RECALIBRATED}", predictions=tuple(runs), terms=tuple(terms))


def calibrations(models: Sequence[Model], parts: SplitPlaces, rows: Mapping[str, KeptRows]) -> list[CalibrationQuality]:
    """Of each model and task on the rows that judge, and by segment; means over seeds."""
    of, places = rows[TEST], parts[TEST]
    weights = np.ones(len(places)) if of.weights is None else of.weights.astype(np.float64)
    slices = {ALL: np.ones(len(places), dtype=bool)}
    for at, (name, values) in enumerate(of.segments.items()):
        slices |= {f"{name}={value}": of.codes[:, at] == code for code, value in enumerate(values)}
    qualities = []
    for model in models:
        for at, task in enumerate(of.tasks):
            said = np.mean([own[places, at] for own in model.predictions], axis=0)
            for part, inside in slices.items():
                own = inside & np.isfinite(of.labels[:, at])
                y, p, w = of.labels[own, at], said[own], weights[own]
                happened = float(w @ y)
                if happened > 0:
                    fits, some = (np.nan, np.nan), slice(None, None, 1 + len(y) // FIT_ROWS)
                    rows_of = Observed(y[some], np.empty(0), predictions=p[some])
                    area = auc.prepare(rows_of)(np.ones(len(y[some])))
                    if model.probabilities[at]:
                        error = Deciles(y[some], p[some], w[some], ECE_BINS).distance(w[some]) / float(w[some].sum())
                        fits = float(w @ p) / happened, error
                    qualities.append(CalibrationQuality(model.name, task, part, area, *fits))
    return qualities


def suspicion(fits: Sequence[CalibrationQuality]) -> list[str]:
    """Sentences on predictions that tell a task almost fully: they may be made of what happens only afterwards."""
    return [
        f"{each.model} tells {each.task} almost fully (AUC {each.auc:.3f}): check that it predicts before it happens."
        for each in fits
        if each.slice == ALL and each.auc > SUSPECT
    ]
