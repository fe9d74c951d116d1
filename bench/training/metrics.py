"""Metrics of predictions, per task and sample space; their names and directions are in `bench.objectives`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from bench.schema import Schema, Task
from bench.training.ranking import Ranking, grouped_auc

ECE_BINS = 15
_LEAST = float(np.finfo(np.float32).eps)  # probabilities are this far from 0 and 1 under a logarithm


def evaluate(
    labels: NDArray[Any],
    conditional: NDArray[Any],
    joint: NDArray[Any],
    group: NDArray[Any],
    tasks: tuple[Task, ...],
    prefix: str,
) -> dict[str, float]:
    """Every metric of every task that the rows define.

    A task without parent is measured on all rows, as `click.auc`. A binary task with a parent is measured twice: where
    its parent happened, by its conditional probability (`buy.cvr.auc`), and on all rows, by the joint probability
    against the product of labels along its chain (`buy.ctcvr.auc`; the product is 0 as soon as an ancestor is known
    not to have happened). A regression with a parent is measured where its parent happened. Rows whose label is
    unobserved are left out.

    A metric that its rows do not define is not in the result: all but log loss and ECE where only one class is there
    (PCOC needs a positive only), Spearman correlation where labels or predictions are constant, GAUC where no group
    has both classes or there are no groups, every metric where there are no rows.

    Args:
        labels: (N, T), 0 or 1 for binary tasks; NaN where unobserved.
        conditional: (N, T), probabilities given the parent; of a regression task the predicted value.
        joint: (N, T), probabilities of the task and all its ancestors.
        group: (N,), negative where there is none.
        tasks: in the order of the columns.
        prefix: before every name, as in `valid/`.

    Raises:
        FloatingPointError: a prediction is not finite; names the task.
    """
    schema = Schema((), (), tasks)
    results: dict[str, float] = {}
    for at, (task, parent) in enumerate(zip(tasks, schema.parents, strict=True)):
        own, name = labels[:, at], f"{prefix}{task.name}."
        for predictions in (conditional[:, at], joint[:, at]):
            if wrong := np.count_nonzero(~np.isfinite(predictions)):
                raise FloatingPointError(
                    f"{wrong} of {len(predictions)} predictions of task '{task.name}' are not finite"
                )
        happened = own if parent is None else np.where(labels[:, parent] == 1, own, np.nan)
        if task.kind == "regression":
            results |= _named(name, regression(happened, conditional[:, at]))
        elif parent is None:
            results |= _named(name, binary(own, conditional[:, at], group))
        else:
            product = _product(labels[:, schema.chain(at)])
            results |= _named(f"{name}cvr.", binary(happened, conditional[:, at], group))
            results |= _named(f"{name}ctcvr.", binary(product, joint[:, at], group))
    return results


def binary(labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any]) -> dict[str, float]:
    """Metrics of probabilities (N,) against labels 0, 1 or NaN (N,); undefined ones are left out.

    `auc`, `gauc` (see `ranking`); `logloss`; `ne`, log loss over the entropy of the base rate (He et al., ADKDD 2014);
    `pcoc`, mean prediction over mean label; `ece`, mean distance of the mean prediction from the mean label over 15
    bins of equal mass (Naeini et al., AAAI 2015), in which equal predictions share a bin.
    """
    labels, predictions, group = _observed(labels, predictions, group)
    if len(labels) == 0:
        return {}
    ranking = Ranking.of(predictions, labels)
    starts = ranking.bins(ECE_BINS)
    excess = np.add.reduceat(ranking.scores.astype(np.float64) - ranking.labels, starts)
    rate = float(np.mean(labels, dtype=np.float64))
    logloss = _logloss(labels, predictions)
    found = {
        "auc": ranking.auc(),
        "gauc": grouped_auc(predictions, labels, group),
        "logloss": logloss,
        "ne": logloss / -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)) if 0 < rate < 1 else None,
        "pcoc": float(np.mean(predictions, dtype=np.float64)) / rate if rate > 0 else None,
        "ece": float(np.abs(excess).sum()) / len(labels),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def regression(labels: NDArray[Any], predictions: NDArray[Any]) -> dict[str, float]:
    """`rmse` and `spearman` of values (N,) against labels or NaN (N,); undefined ones are left out."""
    labels, predictions = _observed(labels, predictions)
    if len(labels) == 0:
        return {}
    found = {"rmse": float(np.sqrt(np.mean((predictions.astype(np.float64) - labels) ** 2)))}
    if np.ptp(labels) > 0 and np.ptp(predictions) > 0:
        found["spearman"] = float(spearmanr(labels, predictions).statistic)
    return found


def _logloss(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    probabilities = predictions.astype(np.float64)
    of_label = np.where(labels != 0, probabilities, 1 - probabilities)
    return -float(np.mean(np.log(of_label.clip(_LEAST, 1 - _LEAST))))


def _observed(labels: NDArray[Any], *columns: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Labels and what belongs to them, without the rows whose label is NaN."""
    observed = ~np.isnan(labels)
    return (labels, *columns) if observed.all() else (labels[observed], *(column[observed] for column in columns))


def _product(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels (N, L) along a chain, root first -> (N,): whether all happened, NaN where that is not known."""
    product = labels[:, 0]
    for own in labels.T[1:]:
        product = np.where(product == 0, product, product * own)
    return product


def _named(prefix: str, metrics: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in metrics.items()}
