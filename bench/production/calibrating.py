"""Calibrations of every prediction, by the names that metrics give them: `click`, `buy.cvr`, `buy.ctcvr`.

Each is fitted on its own sample space: a conditional probability where the parent happened, a joint one on all rows.
Calibrated joint probabilities are therefore not exactly products of calibrated conditional ones; each is right for what
it is asked. Regressions are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.production.calibration import Calibration, Method
from bench.production.calibration_fits import FITS
from bench.schema import Schema
from bench.training.metrics import sample_spaces

Array = NDArray[Any]


def names_of(schema: Schema, at: int) -> tuple[str, str] | None:
    """The names of a task's conditional and joint prediction; None of a regression, which has no probability."""
    task = schema.tasks[at]
    if task.kind == "regression":
        return None
    return (task.name, task.name) if task.parent is None else (f"{task.name}.cvr", f"{task.name}.ctcvr")


def fit_calibrations(
    schema: Schema, labels: Array, conditional: Array, joint: Array, kind: Method
) -> dict[str, Calibration]:
    """The calibration of each prediction by its name; none where the kind is `none`.

    Args:
        labels: (N, T), NaN where unobserved, of rows that were not trained on.
        conditional, joint: predicted probabilities (N, T).

    Raises:
        UserError: the labels of a prediction are all of one class there.
    """
    found: dict[str, Calibration] = {}
    for name, task_kind, own, predicted in sample_spaces(schema, labels, conditional, joint):
        if kind != "none" and task_kind == "binary":
            _check(name, own)
            found[name] = FITS[kind](predicted, own)
    return found


def calibrated(
    schema: Schema, conditional: Array, joint: Array, calibrations: Mapping[str, Calibration]
) -> tuple[Array, Array]:
    """Conditional and joint probabilities (N, T), calibrated where there is a calibration of their name."""
    if not calibrations:
        return conditional, joint
    conditional, joint = conditional.astype(np.float64), joint.astype(np.float64)
    for at in range(len(schema.tasks)):
        for name, column in zip(names_of(schema, at) or (), (conditional, joint), strict=False):
            if name in calibrations:
                column[:, at] = calibrations[name].apply(column[:, at])
    return conditional, joint


def _check(name: str, labels: Array) -> None:
    positives, rows = int(np.nansum(labels)), int((~np.isnan(labels)).sum())
    if positives in (0, rows):
        raise UserError(
            f"expected both outcomes of '{name}' among the rows held out for its calibration, found {positives:,} "
            f"positives in {rows:,}; raise retrain.held_out, or set retrain.calibration = 'none'"
        )
