"""Outcomes of serving points with the noise of labels taken out; `pick_labels.py` tells what a pick gains by them.

The best of many weights on some rows is partly the luckiest. How an outcome changes with the weights can also be told
from a candidate's own predictions, which have far less noise:

* `expected`: the chance of each label, by a regression of labels on the predictions of all tasks. So a head that is
  too sure of itself is toned down, and one that knows nothing of its task counts for nothing.
* `outcomes_redrawn`: labels drawn from these chances a few times. The mean of an outcome over the draws tells how
  it changes with the weights, and their spread how much of a measured change is noise.
* `smoothed`: both together. Labels set the level of an outcome over a candidate's front. Of what they say about the
  change beyond that, only the part stays that noise does not explain. With many rows that is all of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from bench.frontier.score import Fusion, fused
from bench.frontier.served.measuring import Candidate
from bench.outcomes.measure import Measure
from bench.predictions import Rows
from bench.schema import Task
from bench.seeds import derive

Floats = NDArray[np.float64]

DRAWS = 8
FAR = 3.0
"""Standard deviations at which predictions are cut off in products, so that a few rows do not bend the fit."""
NEAR = 50
"""Rows on either side, in the order of expected values, whose labels stand for those of a row of a regression."""


def expected(predictions: NDArray[Any], rows: Rows) -> Floats:
    """(N, T) chances of each joint label, or expected values of a regression, given predictions (N, T); NaN unobserved.

    A logistic or a linear regression with a penalty as strong as one row's, on the predictions of all tasks, logits of
    binary ones, and on their products.
    """
    binary = [kind == "binary" for kind in rows.kinds]
    chance = np.clip(predictions.astype(np.float64), 1e-6, 1 - 1e-6)
    inputs = _scaled(np.where(binary, np.log(chance / (1 - chance)), predictions))
    near = inputs.clip(-FAR, FAR)
    pairs = combinations_with_replacement(range(len(binary)), 2)
    inputs = np.column_stack([inputs, _scaled(np.column_stack([near[:, i] * near[:, j] for i, j in pairs]))])
    found = np.full(rows.labels.shape, np.nan)
    for task, yes_or_no in enumerate(binary):
        seen = ~np.isnan(rows.labels[:, task])
        x, y = inputs[seen], rows.labels[seen, task].astype(np.float64)
        weights = np.ones(len(y)) if rows.weights is None else rows.weights[seen] / rows.weights[seen].mean()
        if len(np.unique(y)) < 2:
            found[seen, task] = y
        elif yes_or_no:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a fit that has not quite converged is good enough
                fit = LogisticRegression(solver="newton-cholesky").fit(x, y > 0, weights)
            found[seen, task] = fit.predict_proba(x)[:, 1]
        else:
            found[seen, task] = Ridge().fit(x, y, weights).predict(x)
    return found


def redrawn(predictions: NDArray[Any], rows: Rows, split: str) -> NDArray[np.float32]:
    """(N, DRAWS, T) labels drawn again, the same luck for all candidates; NaN where unobserved.

    A binary label by its chance. In place of a value that of a row with about the same expected one.
    """
    chances = expected(predictions, rows)
    rng = np.random.default_rng(derive(0, "labels", split))
    found = np.full((len(chances), DRAWS, chances.shape[1]), np.nan, np.float32)
    for task, kind in enumerate(rows.kinds):
        seen = np.flatnonzero(~np.isnan(chances[:, task]))
        if kind == "binary":
            found[seen, :, task] = rng.random((len(chances), DRAWS), np.float32)[seen] < chances[seen, task, None]
        else:
            order = seen[np.argsort(chances[seen, task], kind="stable")]
            near = np.arange(len(seen))[:, None] + rng.integers(-NEAR, NEAR + 1, (len(seen), DRAWS))
            found[order, :, task] = rows.labels[order[near.clip(0, len(seen) - 1)], task]
    return found


def outcomes_redrawn(
    candidates: Sequence[Candidate], rows: Rows, split: str, names: Sequence[str], settings: Sequence[Fusion]
) -> Floats:
    """Outcomes (C, DRAWS, K, M), means over replicates, by labels drawn from each candidate's own predictions."""
    found = []
    each = list(zip(rows.tasks, rows.kinds, strict=True))
    tasks = [Task(f"{draw}{name}", kind) for draw in range(DRAWS) for name, kind in each]
    outcomes = [f"{draw}{name}" for draw in range(DRAWS) for name in names]
    for candidate in candidates:
        runs = [candidate.predictions(split, run) for run in range(candidate.replicates)]
        labels = redrawn(np.mean(runs, axis=0), rows, split).reshape(rows.kept, -1)
        measure = Measure(tasks, outcomes, labels, rows.group, split, weights=rows.weights)
        scores = ([fused(own.kind, run, own.weights, rows.rates) for own in settings] for run in runs)
        values = np.mean([[measure.values(score) for score in own] for own in scores], axis=0)
        found.append(values.reshape(len(settings), DRAWS, len(names)).transpose(1, 0, 2))
    return np.array(found)


def smoothed(measured: Sequence[Floats], drawn: Sequence[Floats]) -> Floats:
    """Outcomes (C, K, M) of candidates and settings, means over sets of rows, with the noise of labels taken out.

    Where nothing is known of other labels, what was measured stays.

    Args:
        measured: of each set of rows (C, K, M).
        drawn: of each set of rows by labels drawn again (C, D, K, M), NaN where they cannot be.
    """
    values, draws = np.mean(measured, axis=0), np.mean(drawn, axis=0)
    change = draws.mean(axis=1)
    # Settings that nobody would serve say little of the level of the others: a candidate's own front sets it.
    front = np.array([_nondominated(own) for own in change])[:, :, None]
    unit = values.mean(axis=1, keepdims=True)

    def told(outcomes: Floats) -> Floats:
        level = (outcomes * front).sum(axis=-2) / (change * front).sum(axis=-2)
        return np.asarray(change * level[:, None])

    def square(apart: Floats) -> Floats:
        return np.asarray(np.nanmean(np.where(front, apart / unit, np.nan) ** 2, axis=(0, 1)))

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a mean of nothing
        many = draws.shape[1]
        noise = np.sum([square(draws[:, at] - told(draws[:, at])) for at in range(many)], axis=0) / (many - 1)
        smooth = told(values)
        kept = 1 - noise * (1 + 1 / many) / square(values - smooth)  # (M,)
        found = smooth + np.where(np.isfinite(kept), kept, 0).clip(0, 1) * (values - smooth)
    return np.where(np.isfinite(found), found, values)


def _nondominated(values: Floats) -> NDArray[np.bool_]:
    """(K,), of values (K, M), more is better."""
    as_good = (values[:, None] >= values[None]).all(axis=-1)  # the first as the second
    return np.asarray(~(as_good & ~as_good.T).any(axis=0))


def _scaled(values: NDArray[Any]) -> Floats:
    return np.asarray((values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9))
