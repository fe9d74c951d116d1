"""Calibration: a non-decreasing map from predicted to calibrated probabilities. numpy only, as a served model needs it.

It is fitted on rows that the model was not trained on; on its own training rows a model looks surer than it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import UserError

Floats = NDArray[np.float64]
Kind = Literal["none", "platt", "isotonic"]
Method = Literal["none", "auto", "platt", "isotonic"]
"""How it is fitted; `auto` becomes one of the kinds."""

_LEAST = 1e-12  # probabilities are this far from 0 and 1 before their logit


@dataclass(frozen=True)
class Calibration:
    """A frozen map from [0, 1] to [0, 1] that never decreases.

    Attributes:
        kind: `none` leaves probabilities as they are; `platt` is sigmoid(a logit(p) + b) (Platt, Advances in Large
            Margin Classifiers 1999, on the logit); `isotonic` is a line from knot to knot, and constant beyond them
            (after Zadrozny & Elkan, KDD 2002).
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
            return sigmoid(self.a * logit(p) + self.b)
        return np.asarray(np.clip(np.interp(p, self.x, self.y), self.y[0], self.y[-1]))

    def to_json(self) -> dict[str, Any]:
        """Itself as plain JSON values."""
        if self.kind == "isotonic":
            return {"kind": self.kind, "x": list(self.x), "y": list(self.y)}
        return {"kind": self.kind} | ({"a": self.a, "b": self.b} if self.kind == "platt" else {})

    @classmethod
    def from_json(cls, plain: Any, where: str = "calibration") -> Calibration:
        """The inverse of `to_json`.

        Raises:
            UserError: what was read, from `where`, is no calibration.
        """
        kinds = {"none": (), "platt": ("a", "b"), "isotonic": ("x", "y")}
        kind = plain.get("kind") if isinstance(plain, dict) else None
        known = kinds.get(kind) if isinstance(kind, str) else None
        if known is None or set(plain) != {"kind", *known}:
            raise UserError(
                f"{where}: expected a calibration (none, platt with a and b, isotonic with x and y), found "
                f"{repr(plain)[:100]}"
            )
        try:
            as_number: Callable[[Any], Any] = (
                float if plain["kind"] == "platt" else lambda each: tuple(map(float, each))
            )
            return cls(plain["kind"], **{name: as_number(plain[name]) for name in known})
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{where}: expected a calibration: {error}") from None


def logit(p: ArrayLike) -> Floats:
    """Log odds, finite at 0 and 1, too."""
    p = np.clip(np.asarray(p, np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(x: Floats) -> Floats:
    """The inverse of log odds."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
