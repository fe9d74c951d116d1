"""Every metric of heads against an independent reference."""

from collections.abc import Callable

import numpy as np
import pytest
from in_memory import binary, regression
from scipy import stats
from sklearn import metrics

from bench.core.objectives import METRICS
from bench.measure.heads import heads_of
from bench.measure.spaces import Observed

Floats = np.ndarray
EVERY = [(kind, name) for kind, named in METRICS.items() for name in named]


def _ne(y, p, group):
    return float(metrics.log_loss(y, p) / stats.entropy([y.mean(), 1 - y.mean()]))


def _within(weight):
    def mean(y, p, group):
        mixed = [group == one for one in set(group) if one >= 0 and 0 < y[group == one].mean() < 1]
        areas = [metrics.roc_auc_score(y[rows], p[rows]) for rows in mixed]
        return float(np.average(areas, weights=[weight(y[rows]) for rows in mixed]))

    return mean


def _parts(y, p, parts):
    """Of distinct predictions."""
    order = np.argsort(p)
    return sum(abs((p[rows] - y[rows]).sum()) for rows in np.array_split(order, parts))


def _xauc(y, p, group):
    signs = np.sign(y[:, None] - y[None]), np.sign(p[:, None] - p[None])
    return float(((signs[0] * signs[1])[signs[0] > 0] + 1).mean() / 2)


REFERENCES: dict[str, Callable[[Floats, Floats, Floats], float]] = {
    "auc": lambda y, p, group: metrics.roc_auc_score(y, p),
    "gauc": _within(len),
    "gauc_positives": _within(np.sum),
    "logloss": lambda y, p, group: metrics.log_loss(y, p),
    "ne": _ne,
    "brier": lambda y, p, group: metrics.brier_score_loss(y, p),
    "pcoc": lambda y, p, group: p.mean() / y.mean(),
    "ece": lambda y, p, group: _parts(y, p, 15) / len(y),
    "rmse": lambda y, p, group: metrics.root_mean_squared_error(y, p),
    "mae": lambda y, p, group: metrics.mean_absolute_error(y, p),
    "spearman": lambda y, p, group: stats.spearmanr(y, p).statistic,
    "xauc": _xauc,
    "decile_error": lambda y, p, group: _parts(y, p, 10) / np.abs(y).sum(),
}


PARTED = ("ece", "decile_error")
"""Whose references part distinct predictions."""


def rows_of(kind, count=300, levels=300):
    rng = np.random.default_rng(3)
    predictions = rng.permutation(
        np.repeat(np.linspace(0.02, 0.98, levels, dtype=np.float32), count // levels)
    )
    predictions = predictions.astype(float)  # as a tally takes them
    labels = (rng.random(count) < predictions).astype(float)
    if kind == "regression":
        labels = np.round(predictions * 5 + rng.normal(0, 1, count), 1)
    return Observed(labels, rng.integers(-1, 20, count), np.ones(count), predictions=predictions)


@pytest.mark.parametrize("levels", [300, 10])
@pytest.mark.parametrize(("kind", "name"), [pair for pair in EVERY if pair[1] in REFERENCES])
def test_a_metric_is_that_of_its_reference(kind, name, levels):
    if levels < 300 and name in PARTED:
        pytest.skip("equal predictions may lie on both sides of a bound")
    """With all rows in memory, and as a tally adds them up."""
    rows = rows_of(kind, levels=levels)
    expected = REFERENCES[name](rows.labels, rows.predictions, rows.group)
    assert heads_of(kind)[name].prepare(rows)(rows.weights) == pytest.approx(expected, rel=1e-9)
    arguments = (rows.labels, rows.predictions)
    assert (binary(*arguments, rows.group) if kind == "binary" else regression(*arguments))[
        name
    ] == pytest.approx(expected, rel=1e-6)


def test_a_sure_prediction_that_is_wrong_costs_as_much_as_float32_can_tell():
    rows = Observed(
        np.array([0.0, 1, 1, 0]), np.full(4, -1), np.ones(4), predictions=np.array([1.0, 0, 1, 0])
    )
    worst = -np.log(np.finfo(np.float32).eps)
    assert heads_of("binary")["logloss"].prepare(rows)(rows.weights) == pytest.approx(
        worst / 2, rel=1e-6
    )


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_metric_of_no_rows_is_not_defined(kind, name):
    rows = rows_of(kind)
    nothing = np.zeros(0)
    assert np.isnan(
        heads_of(kind)[name].prepare(Observed(nothing, nothing, predictions=nothing))(nothing)
    )
    if name not in PARTED:  # whose parts are those of the rows as they are
        assert np.isnan(heads_of(kind)[name].prepare(rows)(0 * rows.weights))


def test_areas_within_groups_are_of_the_weights_at_hand():
    rows, weights = rows_of("binary"), np.random.default_rng(7).random(300)
    heads = [heads_of("binary")[name].prepare(rows) for name in ("gauc", "gauc_positives")]
    first = [head(weights) for head in heads]
    weights *= rows.labels + 1  # in place: other weights all the same
    assert [head(weights) for head in heads] != first
