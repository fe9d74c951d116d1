"""Calibration: against scikit-learn's fits, and what holds for any of them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import predicted
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from bench.core.errors import UserError
from bench.core.schema import Schema, Task
from bench.core.validation import validate
from bench.serve.calibration_maps import (
    FITS,
    ISOTONIC_ROWS,
    Calibration,
    fit_auto,
    fit_calibrations,
    fit_isotonic,
    fit_platt,
)


def rows(seed, n=3000, digits=None):
    """Predictions that are too sure, with ties where they are rounded."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 1.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    p = 1 / (1 + np.exp(-(1.7 * logit + 0.5)))
    return (p if digits is None else p.round(digits)), y


@pytest.mark.parametrize("digits", [None, 2])
@pytest.mark.parametrize("seed", range(3))
def test_isotonic_has_scikit_learns_values_where_its_blocks_are(seed, digits):
    p, y = rows(seed, digits=digits)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p, y).predict(p)
    levels = np.unique(theirs)
    centres = np.array([p[theirs == level].mean() for level in levels])
    inside = (levels > 0) & (levels < 1)  # of one class alone it is drawn inwards
    np.testing.assert_allclose(fit_isotonic(p, y).apply(centres[inside]), levels[inside], atol=1e-9)


@pytest.mark.parametrize("n", [60, 300, 3000])
def test_isotonic_makes_no_ties(n):
    """As steps it cost up to 25 thousandths of AUC on Census-Income with 300 rows, .7 with
    20,000.
    """
    p, y = rows(3, n)
    points = np.unique(np.concatenate([p, rows(4)[0]]))
    assert (np.diff(fit_isotonic(p, y).apply(points)) > 0).all()


def test_auto_is_isotonic_where_both_classes_have_enough_rows():
    p, y = rows(5, n=2 * ISOTONIC_ROWS)
    y[:] = np.arange(len(y)) < ISOTONIC_ROWS
    assert fit_auto(p, y) == fit_isotonic(p, y)
    for value in (0.0, np.nan):
        y[0] = value
        assert fit_auto(p, y) == fit_platt(p, y)


@pytest.mark.parametrize("seed", range(3))
def test_platt_is_scikit_learns_logistic_regression_on_platts_targets(seed):
    p, y = rows(seed)
    ours = fit_platt(p, y)
    high, low = (y.sum() + 1) / (y.sum() + 2), 1 / (len(y) - y.sum() + 2)
    target = np.where(y > 0, high, low)
    logit = np.log(p / (1 - p))[:, None]
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.vstack([logit, logit]),
        np.repeat([1, 0], len(y)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    assert (ours.a, ours.b) == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=1e-4)


@pytest.mark.parametrize("fit", [fit_isotonic, fit_platt])
def test_it_removes_what_was_done_to_true_probabilities(fit):
    p, y = rows(7, n=100_000)
    true = 1 / (1 + np.exp(-(np.log(p / (1 - p)) - 0.5) / 1.7))
    assert np.abs(fit(p, y).apply(p) - true).mean() < 0.01
    assert np.abs(p - true).mean() > 0.05


PAIRS = st.lists(
    st.tuples(st.floats(0, 1, width=32), st.sampled_from([0.0, 1.0, np.nan])),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@pytest.mark.parametrize("kind", FITS)
@given(pairs=PAIRS, places=st.lists(st.floats(0, 1), max_size=20))
def test_any_fit_is_monotone_and_stays_within_0_and_1(kind, pairs, places):
    p, y = np.array([(0.5, 1.0), *pairs]).T
    fitted = FITS[kind](p, y)
    values = fitted.apply(np.sort([0.0, 1.0, *p, *places]))
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() <= 1
    assert (np.diff(values) >= -1e-15).all()
    assert (
        validate(Calibration, json.loads(json.dumps(fitted.model_dump(exclude_unset=True))), "")
        == fitted
    )


@pytest.mark.parametrize(
    "plain",
    [
        {"kind": "beta"},
        {"kind": "platt", "a": -1.0, "b": 0.0},
        {"kind": "isotonic", "x": [0.2, 0.1], "y": [0.0, 1.0]},
        {"kind": "isotonic", "x": [0.1, 0.2], "y": [1.0, 0.0]},
        {"kind": "isotonic", "x": [0.1, 0.2], "y": [0.0]},
    ],
)
def test_what_is_no_calibration_is_refused(plain):
    with pytest.raises(
        UserError,
        match=r"^calibration.json: (missing|expected|[xya.0-9]+: expected|kind: expected) ?",
    ):
        validate(Calibration, plain, "calibration.json")


NONE = np.zeros(0)
SCHEMA = Schema(
    (), (), (Task("click"), Task("buy", parent="click"), Task("spend", kind="regression"))
)


def rows_of_tasks(n=4000):
    rng = np.random.default_rng(0)
    conditional = rng.random((n, 3))
    labels = (rng.random((n, 3)) < conditional**2).astype(float)
    labels[:, 1] *= labels[:, 0]
    joint = conditional.copy()
    joint[:, 1] *= conditional[:, 0]
    labels[::50, 0] = np.nan
    return labels, conditional, joint


@pytest.mark.parametrize("kind", FITS)
def test_each_on_its_own_rows(kind):
    labels, conditional, joint = rows_of_tasks()
    calibrations = fit_calibrations(SCHEMA, predicted(labels, conditional, joint, NONE), kind)
    assert set(calibrations) == {"click", "buy.cvr", "buy.ctcvr"}
    clicked = labels[:, 0] == 1
    assert calibrations["buy.cvr"] == FITS[kind](conditional[clicked, 1], labels[clicked, 1])
    seen = ~np.isnan(labels[:, 0])
    assert calibrations["buy.ctcvr"] == FITS[kind](joint[seen, 1], labels[seen, 1])
