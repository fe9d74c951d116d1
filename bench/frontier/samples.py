"""Samples of a configuration's metrics: values of its replicates, and deviations on resampled rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.objectives import AREAS, metric_of, ranked
from bench.records import RARER, Point

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Samples of M metrics of one configuration over its n replicates.

    Attributes:
        values: (n, M).
        deviations: (n, B, M), how far each moves on each of B resamples of the split. Resample b is the same for every
            model, so that differences between models are paired. B is 0 where the split was not resampled.
        seeds: of the n trainings. Replicates of two configurations on one seed are paired. Empty where unknown: such
            replicates are paired with none.
        freedom: (M,) degrees of freedom of the variance over resamples, few where rows of a class are; infinite where
            empty.
        logit: (M,), whether an interval is taken on the logit scale; empty where none is.
    """

    values: Floats
    deviations: Floats
    seeds: tuple[int, ...] = ()
    freedom: tuple[float, ...] = ()
    logit: tuple[bool, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> Floats:
        """(M,), over the replicates."""
        return np.asarray(self.values.mean(axis=0))

    @property
    def deviation(self) -> Floats:
        """(B, M), how far the mean moves on each resample; NaN where it is not defined there."""
        return np.asarray(self.deviations.mean(axis=0))

    @property
    def rows_freedom(self) -> Floats:
        """(M,) degrees of freedom of the variance over resamples."""
        most = np.maximum(1, np.isfinite(self.deviation).sum(axis=0) - 1.0)
        return np.minimum(most, self.freedom) if self.freedom else np.asarray(most)

    def along(self, directions: Floats) -> Sample:
        """The same replicates with W weighted sums of the metrics in place of the metrics.

        Args:
            directions: (M, W), the weights of each sum.
        """
        freedom = np.array(self.freedom or [np.inf] * len(directions))
        least = np.where(directions != 0, freedom[:, None], np.inf).min(axis=0)
        return Sample(self.values @ directions, self.deviations @ directions, self.seeds, tuple(least.tolist()))


def variance(deviation: Floats) -> Floats:
    """Of deviations (B, M) over the resamples that define a metric: (M,); 0 of fewer than two."""
    found = np.zeros(deviation.shape[1])
    for column, values in enumerate(deviation.T):
        known = values[np.isfinite(values)]
        found[column] = known.var(ddof=1) if len(known) > 1 else 0.0
    return found


def covariance(deviation: Floats) -> Floats:
    """Of deviations (B, K) over the resamples that define all of them: (K, K); 0 of fewer than two."""
    known = deviation[np.isfinite(deviation).all(axis=1)]
    k = deviation.shape[1]
    return np.cov(known, rowvar=False).reshape(k, k) if len(known) > 1 else np.zeros((k, k))


ONE = 12**-0.5
"""Standard deviation of the area that a single row of the rarer class has."""
FEW = 50
"""Rows of a class from which on a variance over resamples needs no correction."""


def sample(record: Point, keys: Sequence[str]) -> Sample | None:
    """Those of a record's replicates that have a finite value of every key; None where there are none.

    Costs do not vary over resamples. If one replicate was not resampled in a metric, all count as not resampled. With
    few rows of a class, P, the bootstrap's variance is too small by (P - 1) / P and has P - 1 degrees of freedom. This
    holds for an area under the curve and for the share of these rows in a cut. The variance of an average over rows has
    2 P degrees of freedom, as a Poisson count's. One row alone does not show how areas of single rows vary; the bound
    is the variance of a uniform number. P is counted in independent units, such as users.
    """
    runs = [run for run in record.replicates if run.failure is None]
    runs = [run for run in runs if np.isfinite([run.metrics.get(key, np.nan) for key in keys]).all()]
    if not runs:
        return None
    values = np.array([[run.metrics[key] for key in keys] for run in runs], dtype=float)
    counts = {column: {len(run.resampled.get(key, ())) for run in runs} for column, key in enumerate(keys)}
    b = max((max(each) for each in counts.values() if len(each) == 1), default=0)
    deviations = np.zeros((len(runs), b, len(keys)))
    freedom, logit = np.full(len(keys), np.inf), [False] * len(keys)
    for column, key in enumerate(keys):
        if not b or counts[column] != {b}:
            continue
        deviations[:, :, column] = [run.resampled[key] for run in runs]
        rarer, share = _rarer(key, runs[0].resampled)
        p = 1 / max(float(np.var(rarer, ddof=1)), 1e-12) if len(rarer) > 1 else np.inf
        if p < FEW and share:
            logit[column], freedom[column] = True, max(1.0, p - 1)
            deviations[..., column] *= _factor(p, deviations[..., column])
        elif p < FEW:
            freedom[column] = 2 * p
    return Sample(values, deviations, tuple(run.seed for run in runs), tuple(freedom.tolist()), tuple(logit))


def _rarer(key: str, resampled: Mapping[str, Sequence[float]]) -> tuple[Sequence[float], bool]:
    """How the rows of a metric's rarer class vary over the resamples; whether it is a mean over them."""
    name = key.partition("/")[2]
    metric = metric_of(name)
    space = key.removesuffix(f".{metric}")
    cut = ranked(metric) is not None  # on all impressions: of a task with a parent those of `ctcvr`
    found = resampled.get(f"{space}.{RARER}") or (resampled.get(f"{space}.ctcvr.{RARER}") if cut else None) or ()
    return found, cut or metric in AREAS


def _factor(p: float, deviations: Floats) -> float:
    """The factor that corrects deviations (n, B) of an area of P rows."""
    sd = float(np.sqrt(variance(deviations.mean(axis=0)[:, None])[0]))
    return ONE / sd if p < 1.5 and 0 < sd < ONE else float(np.sqrt(p / max(p - 1, 0.5)))
