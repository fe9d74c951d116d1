"""What changed between the rows that chose and test: how often things happen, predictions and their
fit, unseen values.

Each is a difference of two means, whose errors are of whole units. Where nothing changed, one of
them is reported in at most `WRONG` of all runs (Bonferroni's bound); and only what matters is
reported.
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
"""The smallest relative change of a rate or of a prediction's fit that is reported, and the
smallest change of a share.
"""
ABOVE = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles of predictions on confirmation rows, at which their distribution is compared."""


@dataclass(frozen=True)
class Change:
    """A quantity before (confirmation rows) and after (test).

    Attributes:
        kind: `rate`, the mean label of a task; `fit`, the mean label minus the mean prediction,
            over the mean label; `scores`, the share of rows whose prediction is above `threshold`,
            the Kolmogorov-Smirnov distance at a few places; `unseen`, the share of rows whose value
            of a field is not in train.
        name: of the task or the field.
        error: standard error of their difference.
    """

    kind: str
    name: str
    before: float
    after: float
    error: float
    threshold: float = 0.0

    @property
    def distance(self) -> float:
        """In standard errors."""
        return abs(self.after - self.before) / self.error if self.error > 0 else 0.0

    @property
    def matters(self) -> bool:
        """Whether it is large enough to be reported."""
        scale = abs(self.before) if self.kind == "rate" else 1.0
        return abs(self.after - self.before) >= LEAST_CHANGE * scale

    @property
    def sentence(self) -> str:
        """What changed."""
        if self.kind == "rate":
            way = "fell" if self.after < self.before else "rose"
            change = abs(self.after / self.before - 1) if self.before else 1.0
            return (
                f"From confirmation rows to test the mean of '{self.name}' {way} by {change:.0%}."
            )
        if self.kind == "fit":
            now, before = _bias(self.after), _bias(self.before)
            return f"On test predictions of '{self.name}' are {now}; before it was {before}."
        if self.kind == "scores":
            return (
                f"Predictions of '{self.name}' moved: {self.after:.0%} of test is above "
                f"{self.threshold:.3g}; before it was {self.before:.0%}."
            )
        share = f"{self.after:.0%} of test has a value of '{self.name}' that train lacks"
        return f"{share}; before it was {self.before:.0%}."


def _bias(fit: float) -> str:
    direction = "high" if fit < 0 else "low"
    return f"{abs(fit):.0%} too {direction}"


def changes(
    rows: Mapping[str, KeptRows],
    predictions: Mapping[str, NDArray[Any]] | None,
    unseen: Mapping[str, Mapping[str, NDArray[Any]]],
) -> list[Change]:
    """The changes that are beyond chance and matter, the surest first.

    Args:
        rows: of confirmation rows and test.
        predictions: of both, joint ones (N, T) of a point; None without.
        unseen: by field and split, whether train lacks a row's value (N,); its rows are units of
            their own.
    """
    units = {}
    for split, of_split in rows.items():
        _, units[split] = np.unique(of_split.units, return_inverse=True)

    def change(
        kind: str, name: str, values: Mapping[str, NDArray[Any]], threshold: float = 0.0
    ) -> Change:
        means = []
        for split in SPLITS:
            if kind == "unseen":  # its rows are units, and all count alike
                mean = _mean(values[split], np.arange(len(values[split])), None)
            else:
                mean = _mean(values[split], units[split], rows[split].weights)
            means.append(mean)
        (before, error_before), (after, error_after) = means
        error = float(np.hypot(error_before, error_after))
        return Change(kind, name, before, after, error, threshold)

    tested = [change("unseen", field, of_split) for field, of_split in unseen.items()]
    for column, task in enumerate(rows[CONFIRM].tasks):
        labels = {split: of_split.labels[:, column] for split, of_split in rows.items()}
        rate = change("rate", task, labels)
        tested.append(rate)
        if predictions is None:
            continue
        scores = {split: of_split[:, column] for split, of_split in predictions.items()}
        for threshold in np.quantile(scores[CONFIRM], ABOVE).tolist():
            is_above = {split: of_split > threshold for split, of_split in scores.items()}
            tested.append(change("scores", task, is_above, threshold))
        mean = {CONFIRM: rate.before, TEST: rate.after}
        if min(mean.values()) > 0:
            fits = {}
            for split in SPLITS:
                fits[split] = (labels[split] - scores[split]) / mean[split]
            tested.append(change("fit", task, fits))
    return _surest(tested)


def _surest(tested: Sequence[Change]) -> list[Change]:
    """What is beyond chance and matters, one a kind and name, the surest first."""
    least_distance = float(ndtri(1 - WRONG / 2 / max(1, len(tested))))
    surest: dict[tuple[str, str], Change] = {}
    for change in sorted(tested, key=lambda change: change.distance):
        if change.distance >= least_distance and change.matters:
            surest[change.kind, change.name] = change
    return sorted(surest.values(), key=lambda change: -change.distance)


def _mean(
    values: NDArray[Any], units: NDArray[Any], weights: NDArray[Any] | None
) -> tuple[float, float]:
    """The mean of finite values (N,) with weights, and its standard error over whole units."""
    weight = np.ones(len(values)) if weights is None else weights.astype(np.float64)
    counts = np.isfinite(values) & (weight > 0)
    if not counts.any():
        return float("nan"), 0.0
    finite, weight, unit = values[counts].astype(np.float64), weight[counts], units[counts]
    mean = float(finite @ weight / weight.sum())
    sums = np.bincount(unit, weight * (finite - mean))
    unit_count = int(np.count_nonzero(np.bincount(unit)))
    variance = unit_count / max(1, unit_count - 1) * (sums**2).sum()
    return mean, float(np.sqrt(variance) / weight.sum())


def sentences(changed: Sequence[Change], limit: int = 3) -> list[str]:
    """The surest changes in words."""
    return [change.sentence for change in changed[:limit]]
