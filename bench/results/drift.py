"""What changed between the rows that chose and test: how often things happen, how predictions fit, unseen values.

Each is a difference of two means, whose errors are of whole units. Together they are said where nothing changed in at
most `WRONG` of all runs (Bonferroni's bound); and only what matters is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.core.arrays import Floats
from bench.core.rows import CONFIRM, TEST
from bench.measure.predictions import Rows

WRONG = 0.05
LEAST = 0.02
"""The smallest relative change of a rate or of a prediction's fit that is said, and of a share of unseen values."""


@dataclass(frozen=True)
class Change:
    """A quantity before (confirmation rows) and after (test).

    Attributes:
        kind: `rate`, the mean label of a task; `fit`, the mean label less the mean prediction, over the mean label;
            `unseen`, the share of rows whose value of a field is not in train.
        of: the task or the field.
        error: standard error of their difference.
    """

    kind: str
    of: str
    before: float
    after: float
    error: float

    @property
    def distance(self) -> float:
        """In standard errors."""
        return abs(self.after - self.before) / self.error if self.error > 0 else 0.0

    @property
    def matters(self) -> bool:
        """Whether it is large enough to be said."""
        scale = abs(self.before) if self.kind == "rate" else 1.0
        return abs(self.after - self.before) >= LEAST * scale

    @property
    def sentence(self) -> str:
        """What changed."""
        if self.kind == "rate":
            way = "fell" if self.after < self.before else "rose"
            change = abs(self.after / self.before - 1) if self.before else 1.0
            return f"From confirmation rows to test the mean of '{self.of}' {way} by {change:.0%}."
        if self.kind == "fit":
            now, was = (f"{abs(each):.0%} too {'high' if each < 0 else 'low'}" for each in (self.after, self.before))
            return f"On test predictions of '{self.of}' are {now}; before it was {was}."
        share = f"{self.after:.0%} of test has a value of '{self.of}' that train lacks"
        return f"{share}; before it was {self.before:.0%}."


def changes(
    rows: Mapping[str, Rows], said: Mapping[str, NDArray[Any]] | None, unseen: Mapping[str, Mapping[str, NDArray[Any]]]
) -> list[Change]:
    """The changes that are beyond chance and matter, the surest first.

    Args:
        rows: of confirmation rows and test.
        said: of both, joint predictions (N, T) of a point; None without.
        unseen: by field and split, whether train lacks a row's value (N,); its rows are units of their own.
    """
    before, after = rows[CONFIRM], rows[TEST]
    found = []
    for at, task in enumerate(before.tasks):
        both = [_mean(of.labels[:, at], of) for of in (before, after)]
        found.append(_change("rate", task, both))
        if said is not None and all(value > 0 for value, _ in both):
            fits = [
                _mean((of.labels[:, at] - said[split][:, at]) / value, of)
                for (split, of), (value, _) in zip(((CONFIRM, before), (TEST, after)), both, strict=True)
            ]
            found.append(_change("fit", task, fits))
    for field, of_split in unseen.items():
        shares = [float(of_split[split].mean()) for split in (CONFIRM, TEST)]
        errors = [(s * (1 - s) / len(of_split[at])) ** 0.5 for s, at in zip(shares, (CONFIRM, TEST), strict=True)]
        found.append(_change("unseen", field, list(zip(shares, errors, strict=True))))
    least = float(ndtri(1 - WRONG / 2 / max(1, len(found))))
    sure = [each for each in found if each.distance >= least and each.matters]
    return sorted(sure, key=lambda each: -each.distance)


def _change(kind: str, of: str, both: Sequence[tuple[float, float]]) -> Change:
    (before, by), (after, and_by) = both
    return Change(kind, of, before, after, float(np.hypot(by, and_by)))


def _mean(values: Floats, rows: Rows) -> tuple[float, float]:
    """The mean of known values (N,) with weights, and its standard error over whole units."""
    weights = np.ones(len(values)) if rows.weights is None else rows.weights.astype(np.float64)
    known = np.isfinite(values) & (weights > 0)
    if not known.any():
        return float("nan"), 0.0
    own, by = values[known].astype(np.float64), weights[known]
    mean = float(own @ by / by.sum())
    _, place = np.unique(rows.units[known], return_inverse=True)
    sums = np.bincount(place, by * (own - mean))
    few = len(sums) / max(1, len(sums) - 1)
    return mean, float(np.sqrt(few * (sums**2).sum()) / by.sum())


def sentences(found: Sequence[Change], most: int = 3) -> list[str]:
    """The surest changes in words."""
    return [each.sentence for each in found[:most]]
