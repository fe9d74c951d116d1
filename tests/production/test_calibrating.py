"""Each prediction is calibrated on its own sample space."""

import numpy as np
import pytest

from bench.errors import UserError
from bench.production.calibrating import calibrated, fit_calibrations
from bench.production.calibration_fits import FITS, fit_isotonic
from bench.schema import Schema, Task

SCHEMA = Schema((), (), (Task("click"), Task("buy", parent="click"), Task("spend", kind="regression")))


def rows(n=4000):
    rng = np.random.default_rng(0)
    conditional = rng.random((n, 3))
    labels = (rng.random((n, 3)) < conditional**2).astype(float)
    labels[:, 1] *= labels[:, 0]
    joint = conditional.copy()
    joint[:, 1] *= conditional[:, 0]
    labels[::50, 0] = np.nan
    return labels, conditional, joint


@pytest.mark.parametrize("kind", [kind for kind in FITS if kind != "none"])
def test_each_on_its_own_rows(kind):
    labels, conditional, joint = rows()
    found = fit_calibrations(SCHEMA, labels, conditional, joint, kind)
    assert set(found) == {"click", "buy.cvr", "buy.ctcvr"}
    clicked = labels[:, 0] == 1
    assert found["buy.cvr"] == FITS[kind](conditional[clicked, 1], labels[clicked, 1])
    seen = ~np.isnan(labels[:, 0])
    assert found["buy.ctcvr"] == FITS[kind](joint[seen, 1], labels[seen, 1])


def test_what_has_no_calibration_is_left_alone():
    labels, conditional, joint = rows()
    only = {"buy.ctcvr": fit_isotonic(joint[:, 1], np.nan_to_num(labels[:, 1]))}
    given, along = calibrated(SCHEMA, conditional, joint, only)
    np.testing.assert_array_equal(given, conditional)
    np.testing.assert_array_equal(along[:, 2], joint[:, 2])
    assert np.abs(along[:, 1] - joint[:, 1]).max() > 0.1
    assert calibrated(SCHEMA, conditional, joint, {}) == (conditional, joint)


def test_one_outcome_only_is_said():
    labels, conditional, joint = rows()
    labels[:, 1] = 0
    with pytest.raises(UserError, match=r"both outcomes of 'buy.cvr' .* found 0 positives in .*; raise retrain.held"):
        fit_calibrations(SCHEMA, labels, conditional, joint, "platt")
    assert fit_calibrations(SCHEMA, labels, conditional, joint, "none") == {}
