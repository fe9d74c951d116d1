"""Calibration: a non-decreasing map from predicted to calibrated probabilities. numpy only, as a served model needs it.

It is fitted on rows that the model was not trained on; on its own training rows a model looks surer than it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import UserError

Floats = NDArray[np.float64]
Kind = Literal["none", "platt", "isotonic"]

_LEAST = 1e-12  # probabilities are this far from 0 and 1 before their logit
_STEPS = 100  # of Newton's method, which takes about ten


@dataclass(frozen=True)
class Calibration:
    """A frozen map from [0, 1] to [0, 1] that never decreases.

    Attributes:
        kind: `none` leaves probabilities as they are; `platt` is sigmoid(a logit(p) + b) (Platt, Advances in Large
            Margin Classifiers 1999, on the logit); `isotonic` is a line from knot to knot, and constant beyond them
            (Zadrozny & Elkan, KDD 2002).
        a: slope of `platt`, at least 0.
        b: offset of `platt`.
        x: where the knots of `isotonic` are, ascending.
        y: the values there, never descending.

    Raises:
        ValueError: when made of values that are no such map.
    """

    kind: Kind = "none"
    a: float = 1.0
    b: float = 0.0
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        knots = (*self.x, *self.y)
        if not all(map(isfinite, (self.a, self.b, *knots))) or self.a < 0:
            raise ValueError(f"expected finite numbers and a slope of at least 0, found slope {self.a}")
        if self.kind not in ("none", "platt", "isotonic"):
            raise ValueError(f"expected 'none', 'platt' or 'isotonic', found {self.kind!r}")
        if len(self.x) != len(self.y) or (self.kind == "isotonic") != bool(self.x):
            raise ValueError(f"expected as many values as knots, found {len(self.y)} for {len(self.x)} ({self.kind})")
        if any(after <= before for before, after in pairwise(self.x)):
            raise ValueError("expected knots in ascending order")
        if knots and (any(after < before for before, after in pairwise(self.y)) or self.y[0] < 0 or self.y[-1] > 1):
            raise ValueError("expected values from 0 to 1 that never descend")

    def apply(self, p: ArrayLike) -> Floats:
        """Calibrated probabilities of predicted ones (any shape): finite and in [0, 1], at 0 and 1 too."""
        p = np.asarray(p, np.float64)
        if self.kind == "none":
            return p
        if self.kind == "platt":
            return _sigmoid(self.a * _logit(p) + self.b)
        return np.asarray(np.clip(np.interp(p, self.x, self.y), self.y[0], self.y[-1]))

    def to_json(self) -> dict[str, Any]:
        """Itself as plain JSON values."""
        if self.kind == "isotonic":
            return {"kind": self.kind, "x": list(self.x), "y": list(self.y)}
        return {"kind": self.kind} | ({"a": self.a, "b": self.b} if self.kind == "platt" else {})

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Calibration:
        """The inverse of `to_json`.

        Raises:
            UserError: what was read is no calibration.
        """
        known = {"none": (), "platt": ("a", "b"), "isotonic": ("x", "y")}.get(plain.get("kind", ""))
        if known is None or set(plain) != {"kind", *known}:
            raise UserError(
                f"expected a calibration (none, platt with a and b, isotonic with x and y), found {plain!r}"
            )
        try:
            as_number: Callable[[Any], Any] = (
                float if plain["kind"] == "platt" else lambda each: tuple(map(float, each))
            )
            return cls(plain["kind"], **{name: as_number(plain[name]) for name in known})
        except (TypeError, ValueError) as error:
            raise UserError(f"expected a calibration: {error}") from None


def fit_isotonic(p: ArrayLike, y: ArrayLike) -> Calibration:
    """The non-decreasing map of least squared error, by pooling adjacent violators (Ayer et al., 1955).

    Rows that it pools get one value, so that it may make ties where the model made none; their order is kept else.

    Args:
        p: predicted probabilities (N,).
        y: labels (N,), 0 or 1; rows with NaN do not count.

    Raises:
        ValueError: no row has a label.
    """
    p, y = _labelled(p, y)
    where, of_row = np.unique(p, return_inverse=True)
    rows = np.bincount(of_row).astype(np.float64)
    sums = np.bincount(of_row, weights=y)
    first = np.arange(len(where))  # of each block of knots that are pooled
    while True:
        means = sums / rows
        starts = np.append(True, means[1:] > means[:-1])  # a whole run of violators is one block: each pair of them is
        if starts.all():
            break
        at = np.flatnonzero(starts)
        first, rows, sums = first[at], np.add.reduceat(rows, at), np.add.reduceat(sums, at)
    last = np.append(first[1:], len(where)) - 1
    ends = np.stack([first, last], axis=1).ravel()
    knots = np.append(True, ends[1:] != ends[:-1])  # a block of one knot needs it once
    values = np.repeat(means, 2)[knots]
    return Calibration("isotonic", x=tuple(where[ends[knots]].tolist()), y=tuple(values.tolist()))


def fit_platt(p: ArrayLike, y: ArrayLike) -> Calibration:
    """Slope and offset on the logit of largest likelihood, by Newton's method (Lin, Lin & Weng, Machine Learning 2007).

    Labels are drawn in by Platt's prior, from 1 to (P + 1) / (P + 2) of P positives and likewise for negatives, which
    keeps separable data finite. A slope below 0 would turn the order round; it is then 0, and all get the mean.

    Args:
        p: predicted probabilities (N,).
        y: labels (N,), 0 or 1; rows with NaN do not count.

    Raises:
        ValueError: no row has a label.
    """
    p, y = _labelled(p, y)
    x = _logit(p)
    positives = y.sum()
    target = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    middle, spread = x.mean(), x.std()
    offset = float(_logit(target.mean()))
    if spread < 1e-9:
        return Calibration("platt", 1.0, offset - float(middle))
    slope, offset = _newton((x - middle) / spread, target, np.array([0.0, offset]))
    if slope < 0:
        return Calibration("platt", 0.0, float(_logit(target.mean())))
    return Calibration("platt", float(slope / spread), float(offset - slope * middle / spread))


FITS: dict[Kind, Callable[[ArrayLike, ArrayLike], Calibration]] = {
    "none": lambda p, y: Calibration(),
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}


def _newton(z: Floats, target: Floats, at: Floats) -> Floats:
    """Slope and offset of largest likelihood on scaled logits; steps are halved until the likelihood rises."""
    design = np.stack([z, np.ones_like(z)], axis=1)
    loss = _loss(design @ at, target)
    for _ in range(_STEPS):
        q = _sigmoid(design @ at)
        gradient = design.T @ (q - target)
        hessian = (design * (q * (1 - q))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while (next_loss := _loss(design @ (at - step), target)) > loss and np.abs(step).max() > 1e-12:
            step = step / 2
        at, loss = at - step, next_loss
        if np.abs(step).max() < 1e-10:
            break
    return at


def _loss(logit: Floats, target: Floats) -> float:
    return float(np.sum(np.logaddexp(0, logit) - target * logit))


def _labelled(p: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    p, y = np.asarray(p, np.float64), np.asarray(y, np.float64)
    seen = ~np.isnan(y)
    if not seen.any():
        raise ValueError("expected rows with a label to calibrate on, found none")
    return p[seen], y[seen]


def _logit(p: ArrayLike) -> Floats:
    p = np.clip(np.asarray(p, np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(p) - np.log1p(-p))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
