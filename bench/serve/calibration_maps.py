"""Calibration: non-decreasing maps from predicted to calibrated probabilities, and their fitting.

They are fitted on held-out rows; on its own training rows a model is overconfident. Each is fitted
on its own sample space: a conditional probability where the parent happened, a joint one on all
rows. So calibrated joint probabilities are not exactly products of calibrated conditional ones.
Regressions are not calibrated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, FiniteFloat, model_validator
from scipy.special import expit, logit

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.core.registry import Config
from bench.core.schema import Schema, Task
from bench.deciding.score import prediction_names
from bench.measure.platt import logistic
from bench.measure.spaces import Predicted, sample_spaces

CalibrationKind = Literal["platt", "isotonic"]
Method = Literal["none", "auto", "platt", "isotonic"]
"""How to fit: `auto` becomes one of the kinds, `none` leaves probabilities unchanged."""

_LEAST = 1e-12  # probabilities are clipped this far from 0 and 1 before their logit


class Calibration(Config):
    """A non-decreasing map from [0, 1] to [0, 1]; raises ValueError if the values are none of their
    kind.

    `platt` is sigmoid(a logit(p) + b) (Platt, Advances in Large Margin Classifiers 1999, on the
    logit); `isotonic` is linear between knots, and constant beyond them (after Zadrozny & Elkan,
    KDD 2002).
    """

    kind: CalibrationKind
    a: FiniteFloat = Field(1.0, ge=0)
    """Slope of `platt`."""
    b: FiniteFloat = 0.0
    """Offset of `platt`."""
    x: tuple[FiniteFloat, ...] = ()
    """Positions of the knots of `isotonic`, ascending."""
    y: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Values at the knots, not descending."""

    @model_validator(mode="after")
    def _of_its_kind(self) -> Calibration:
        names = {"platt": "ab", "isotonic": "xy"}[self.kind]
        if self.model_fields_set != {"kind", *names}:
            raise ValueError(f"expected {' and '.join(names)} beside the kind {self.kind}")
        lacks_knots = self.kind == "isotonic" and not self.x
        if len(self.x) != len(self.y) or lacks_knots:
            raise ValueError(
                f"expected as many values as knots, found {len(self.y)} for {len(self.x)} "
                f"({self.kind})"
            )
        if any(after <= before for before, after in pairwise(self.x)):
            raise ValueError("expected knots in ascending order")
        if any(after < before for before, after in pairwise(self.y)):
            raise ValueError("expected values that never descend")
        return self

    def apply(self, p: ArrayLike) -> Floats:
        """Calibrates predicted probabilities (any shape): finite and in [0, 1], also at 0 and 1."""
        p = np.asarray(p, np.float64)
        if self.kind == "platt":
            return np.asarray(expit(self.a * log_odds(p) + self.b))
        values = np.interp(p, self.x, self.y)
        return np.asarray(np.clip(values, self.y[0], self.y[-1]))


def log_odds(p: ArrayLike) -> Floats:
    """Finite also at 0 and 1."""
    clipped = np.clip(np.asarray(p, np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(logit(clipped))


ISOTONIC_ROWS = 1000
"""Rows of the rarer class from which `auto` fits the isotonic map. By log loss on Census-Income and
KuaiRand-Pure, Platt's was mostly better below 400 rows; from 2,000 on it was better by at most
.0012 and worse by up to .0031."""


def fit_isotonic(p: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Calibration:
    """Fits the non-decreasing map of least squared error, by pooling adjacent violators (Ayer et
    al., 1955), interpolated.

    Each block of pooled rows has its value at its mean prediction, with lines between the blocks
    and on to (0, 0) and (1, 1). This preserves the order of predictions; steps would make ties, at
    a cost in AUC. For the same reason an outermost block of one class gets half a row of the other.
    If all rows are pooled, all get the mean.

    Args:
        p: predicted probabilities (N,).
        y: labels (N,), 0 or 1; rows with NaN do not count. ValueError if all are.
        weights: (N,), the number of rows that a row stands for; None for one each.
    """
    from sklearn.isotonic import IsotonicRegression  # not needed in serving

    p, y, w = _labelled(p, y, weights)
    # scikit-learn treats predictions that differ by 1e-15 as equal
    order = np.unique(p, return_inverse=True)[1]
    fitted = IsotonicRegression().fit_transform(order, y, sample_weight=w)
    means, block = np.unique(fitted, return_inverse=True)
    rows = np.bincount(block, weights=w)
    sums = np.bincount(block, weights=p * w)
    if len(means) == 1:
        mean = float(means[0])
        return Calibration(kind="isotonic", x=(0.0, 1.0), y=(mean, mean))
    if means[0] == 0:
        half_a_row = 0.5 / (rows[0] + 1)
        means[0] = min(half_a_row, means[1] / 2)
    if means[-1] == 1:
        half_a_row = 0.5 / (rows[-1] + 1)
        means[-1] = max(1 - half_a_row, (1 + means[-2]) / 2)
    mean_predictions = np.clip(sums / rows, p.min(), p.max())
    x = np.concatenate([[0.0], mean_predictions, [1.0]])
    values = np.concatenate([[0.0], means, [1.0]])
    first = int(x[1] <= 0)
    inside = slice(first, len(x) - int(x[-2] >= 1))
    x = x[inside]
    values = values[inside]
    distinct = np.append(True, np.diff(x) > 0)
    x = x[distinct]
    values = values[distinct]
    return Calibration(kind="isotonic", x=tuple(x.tolist()), y=tuple(values.tolist()))


def fit_auto(p: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Calibration:
    """`fit_isotonic` if each class has `ISOTONIC_ROWS` rows, weights aside, else `fit_platt`, which
    needs fewer.
    """
    labels = np.asarray(y, np.float64)
    positives = np.nansum(labels)
    rows = np.sum(~np.isnan(labels))
    if min(positives, rows - positives) >= ISOTONIC_ROWS:
        return fit_isotonic(p, y, weights)
    return fit_platt(p, y, weights)


def fit_platt(p: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Calibration:
    """Fits slope and offset on the logit by maximum likelihood (Platt, Advances in Large Margin
    Classifiers 1999).

    Platt's prior moves labels inwards, from 1 to (P + 1) / (P + 2) of P positives and likewise for
    negatives, which keeps separable data finite. A negative slope would reverse the order; it
    becomes 0, and all get the mean. Raises ValueError if no row has a label.
    """
    p, y, w = _labelled(p, y, weights)
    x = log_odds(p)
    positives = (y * w).sum()
    rows = w.sum()
    negatives = rows - positives
    target = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    mean_target = float(log_odds(np.average(target, weights=w)))
    middle = x.mean()
    spread = x.std()
    if spread < 1e-9:
        return Calibration(kind="platt", a=1.0, b=mean_target - float(middle))
    offset, slope = logistic((x - middle) / spread, target, w).tolist()
    if slope < 0:
        return Calibration(kind="platt", a=0.0, b=mean_target)
    b = float(offset - slope * middle / spread)
    return Calibration(kind="platt", a=float(slope / spread), b=b)


def _labelled(
    p: ArrayLike, y: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    p = np.asarray(p, np.float64)
    y = np.asarray(y, np.float64)
    w = np.ones(len(y))
    if weights is not None:
        w = np.asarray(weights, np.float64)
    counted = ~np.isnan(y) & (w > 0)
    if not counted.any():
        raise ValueError("expected rows with a label to calibrate on, found none")
    return p[counted], y[counted], w[counted]


FITS: dict[Method, Callable[..., Calibration]] = {
    "auto": fit_auto,
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}


Array = NDArray[np.floating]


def fit_calibrations(schema: Schema, rows: Predicted, kind: Method) -> dict[str, Calibration]:
    """Fits the calibration of each prediction on held-out rows, by its name; empty if the kind is
    `none`.

    Raises UserError if the labels of a prediction are all of one class.
    """
    calibrations: dict[str, Calibration] = {}
    for name, task_kind, observed in sample_spaces(schema, rows):
        if kind != "none" and task_kind == "binary":
            _check(name, observed.labels)
            fit = FITS[kind]
            calibrations[name] = fit(observed.predictions, observed.labels, observed.weights)
    return calibrations


def all_prediction_names(tasks: Iterable[Task]) -> list[str]:
    """Names of all predictions of a model, which calibrations go by; without the score."""
    names: list[str] = []
    for task in tasks:
        names += prediction_names(task)
    return names


def calibrated(
    schema: Schema,
    conditional: Array,
    joint: Array,
    calibrations: Mapping[str, Calibration],
) -> tuple[Array, Array]:
    """Conditional and joint probabilities (N, T), calibrated where a calibration has their name."""
    if not calibrations:
        return conditional, joint
    conditional = conditional.astype(np.float64)
    joint = joint.astype(np.float64)
    for column, task in enumerate(schema.tasks):
        names = prediction_names(task)
        for name, predictions in zip((names[0], names[-1]), (conditional, joint), strict=True):
            if name in calibrations:
                predictions[:, column] = calibrations[name].apply(predictions[:, column])
    return conditional, joint


def _check(name: str, labels: Array) -> None:
    positives = int(np.nansum(labels))
    rows = int((~np.isnan(labels)).sum())
    if positives in (0, rows):
        raise UserError(
            f"expected both outcomes of '{name}' among the rows held out for its calibration, "
            f"found {positives:,} positives in {rows:,}; raise retrain.held_out, or set "
            "retrain.calibration = 'none'"
        )
