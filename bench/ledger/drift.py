"""What changed between the rows that chose and test: how often things happen, predictions and their
fit, unseen values.

Each is a difference of two means, whose errors are of whole units. Together they are said where
nothing changed in at most `WRONG` of all runs (Bonferroni's bound); and only what matters is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.core.rows import CONFIRM, TEST
from bench.measure.predictions import KeptRows

SPLITS = (CONFIRM, TEST)
WRONG = 0.05
LEAST_CHANGE = 0.02
"""The smallest relative change of a rate or of a prediction's fit that is said, and the smallest
change of a share.
"""
ABOVE = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles of predictions on confirmation rows, at which their distribution is compared."""


@dataclass(frozen=True)
class Change:
    """A quantity before (confirmation rows) and after (test).

    Attributes:
        kind: `rate`, the mean label of a task; `fit`, the mean label less the mean prediction, over
            the mean label; `scores`, the share of rows whose prediction is above `at`, the
            Kolmogorov-Smirnov distance at a few places; `unseen`, the share of rows whose value of
            a field is not in train.
        of: the task or the field.
        error: standard error of their difference.
    """

    kind: str
    of: str
    before: float
    after: float
    error: float
    at: float = 0.0

    @property
    def distance(self) -> float:
        """In standard errors."""
        return abs(self.after - self.before) / self.error if self.error > 0 else 0.0

    @property
    def matters(self) -> bool:
        """Whether it is large enough to be said."""
        scale = abs(self.before) if self.kind == "rate" else 1.0
        return abs(self.after - self.before) >= LEAST_CHANGE * scale

    @property
    def sentence(self) -> str:
        """What changed."""
        if self.kind == "rate":
            way = "fell" if self.after < self.before else "rose"
            change = abs(self.after / self.before - 1) if self.before else 1.0
            return f"From confirmation rows to test the mean of '{self.of}' {way} by {change:.0%}."
        if self.kind == "fit":
            now, was = (
                f"{abs(each):.0%} too {'high' if each < 0 else 'low'}"
                for each in (self.after, self.before)
            )
            return f"On test predictions of '{self.of}' are {now}; before it was {was}."
        if self.kind == "scores":
            shares = (
                f"{self.after:.0%} of test is above {self.at:.3g}; before it was {self.before:.0%}"
            )
            return f"Predictions of '{self.of}' moved: {shares}."
        share = f"{self.after:.0%} of test has a value of '{self.of}' that train lacks"
        return f"{share}; before it was {self.before:.0%}."


def changes(
    rows: Mapping[str, KeptRows],
    said: Mapping[str, NDArray[Any]] | None,
    unseen: Mapping[str, Mapping[str, NDArray[Any]]],
) -> list[Change]:
    """The changes that are beyond chance and matter, the surest first.

    Args:
        rows: of confirmation rows and test.
        said: of both, joint predictions (N, T) of a point; None without.
        unseen: by field and split, whether train lacks a row's value (N,); its rows are units of
            their own.
    """
    units = {split: np.unique(of.units, return_inverse=True)[1] for split, of in rows.items()}

    def change(kind: str, of: str, values: Mapping[str, NDArray[Any]], at: float = 0.0) -> Change:
        known = [values[split] for split in SPLITS]
        if kind == "unseen":
            means = [_mean(each, np.arange(len(each)), None) for each in known]
        else:
            means = [
                _mean(each, units[split], rows[split].weights)
                for each, split in zip(known, SPLITS, strict=True)
            ]
        (before, by), (after, and_by) = means
        return Change(kind, of, before, after, float(np.hypot(by, and_by)), at)

    tested = [change("unseen", field, of_split) for field, of_split in unseen.items()]
    for at, task in enumerate(rows[CONFIRM].tasks):
        labels = {split: of.labels[:, at] for split, of in rows.items()}
        rate = change("rate", task, labels)
        tested.append(rate)
        if said is None:
            continue
        own = {split: of[:, at] for split, of in said.items()}
        for place in np.quantile(own[CONFIRM], ABOVE).tolist():
            tested.append(
                change("scores", task, {split: of > place for split, of in own.items()}, place)
            )
        mean = {CONFIRM: rate.before, TEST: rate.after}
        if min(mean.values()) > 0:
            tested.append(
                change(
                    "fit",
                    task,
                    {split: (labels[split] - own[split]) / mean[split] for split in mean},
                )
            )
    least = float(ndtri(1 - WRONG / 2 / max(1, len(tested))))
    sure = [each for each in tested if each.distance >= least and each.matters]
    surest = {(each.kind, each.of): each for each in sorted(sure, key=lambda each: each.distance)}
    return sorted(surest.values(), key=lambda each: -each.distance)


def _mean(
    values: NDArray[Any], units: NDArray[Any], weights: NDArray[Any] | None
) -> tuple[float, float]:
    """The mean of known values (N,) with weights, and its standard error over whole units."""
    by = np.ones(len(values)) if weights is None else weights.astype(np.float64)
    known = np.isfinite(values) & (by > 0)
    if not known.any():
        return float("nan"), 0.0
    own, by, of = values[known].astype(np.float64), by[known], units[known]
    mean = float(own @ by / by.sum())
    sums, many = np.bincount(of, by * (own - mean)), int(np.count_nonzero(np.bincount(of)))
    return mean, float(np.sqrt(many / max(1, many - 1) * (sums**2).sum()) / by.sum())


def sentences(changed: Sequence[Change], most: int = 3) -> list[str]:
    """The surest changes in words."""
    return [each.sentence for each in changed[:most]]
