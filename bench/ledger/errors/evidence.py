"""Evidence: what the replicates of a point came to in some measures, on the rows of a split.

A head is a ranking by one task's prediction, so heads and served rankings have evidence of one
kind: values of replicates, and how far each moves where the rows are drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.objectives import AREAS, metric_of, ranked
from bench.core.records import RARER, Point, Replicate


@dataclass(frozen=True)
class Evidence:
    """Values of one point's n replicates in M measures.

    Attributes:
        values: (n, M).
        moves: (n, B, M), how far each moves on each of B resamples of the rows. Resample b is the
            same for every point, so that differences between points are paired. B is 0 where the
            rows were not resampled.
        seeds: of the n trainings. Replicates of two points on one seed are paired. Empty where
            unknown: such replicates are paired with none.
        freedom: (M,) degrees of freedom of the variance over resamples, few where rows of a class
            are; infinite where empty.
        logit: (M,), whether an interval is taken on the logit scale; empty where none is.
    """

    values: Floats
    moves: Floats
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
    def mean_moves(self) -> Floats:
        """(B, M), how far the mean moves on each resample; NaN where it is not defined there."""
        return np.asarray(self.moves.mean(axis=0))

    @property
    def rows_freedom(self) -> Floats:
        """(M,) degrees of freedom of the variance over resamples."""
        defined = np.isfinite(self.mean_moves).sum(axis=0)
        by_resamples = np.maximum(1, defined - 1.0)
        return np.minimum(by_resamples, self.freedom) if self.freedom else np.asarray(by_resamples)

    @property
    def variance_of_a_replicate(self) -> Floats:
        """(M,), the mean variance over resamples of one replicate's moves about those of all."""
        apart = self.moves - self.mean_moves
        variances = (apart**2).sum(axis=0) / max(1, len(self) - 1)
        if not len(variances):
            return np.zeros(self.values.shape[1])
        return np.asarray(np.nan_to_num(variances).mean(axis=0))

    def along(self, directions: Floats) -> Evidence:
        """The same replicates with W weighted sums of the measures in place of the measures.

        Args:
            directions: (M, W), the weights of each sum.
        """
        freedom = np.array(self.freedom or [np.inf] * len(directions))
        least = np.where(directions != 0, freedom[:, None], np.inf).min(axis=0)
        return Evidence(
            self.values @ directions, self.moves @ directions, self.seeds, tuple(least.tolist())
        )


def means_of(evidence: Iterable[Evidence]) -> Floats:
    """(N, M), the means of N points."""
    return np.array([of_point.mean for of_point in evidence])


def replicates_of(evidence: Iterable[Evidence]) -> NDArray[np.int64]:
    """(N,), how many replicates each of N points has."""
    return np.array([len(of_point) for of_point in evidence], dtype=np.int64)


def resamples_of(evidence: Iterable[Evidence]) -> NDArray[np.int64]:
    """(N,), on how many resamples the replicates of each of N points were measured."""
    return np.array([of_point.moves.shape[1] for of_point in evidence], dtype=np.int64)


def rows_freedom_of(evidence: Iterable[Evidence]) -> Floats:
    """(N, M), see `Evidence.rows_freedom`."""
    return np.array([of_point.rows_freedom for of_point in evidence])


def variance(moves: Floats) -> Floats:
    """Of moves (..., B, M) over the resamples that define a measure: (..., M); 0 of fewer than
    two.
    """
    defined = np.isfinite(moves)
    count = defined.sum(axis=-2)
    totals = np.where(defined, moves, 0).sum(axis=-2, keepdims=True)
    middle = totals / np.maximum(count, 1)[..., None, :]
    squares = np.where(defined, moves - middle, 0) ** 2
    return np.asarray(np.where(count > 1, squares.sum(axis=-2) / np.maximum(count - 1, 1), 0.0))


def covariance(moves: Floats) -> Floats:
    """Of moves (B, K) over the resamples that define all of them: (K, K); 0 of fewer than two."""
    complete = moves[np.isfinite(moves).all(axis=1)]
    size = moves.shape[1]
    if len(complete) < 2:
        return np.zeros((size, size))
    return np.cov(complete, rowvar=False).reshape(size, size)


def evidence_by_id(points: Iterable[Point], keys: Sequence[str]) -> dict[str, Evidence]:
    """By id of a point its evidence in the measures of these keys, of those that have any."""
    by_id = {}
    for point in points:
        evidence = evidence_of(point, keys)
        if evidence is not None:
            by_id[point.id] = evidence
    return by_id


ONE = 12**-0.5
"""Standard deviation of the area that a single row of the rarer class has."""
FEW_OF_CLASS = 50
"""Rows of a class from which on a variance over resamples needs no correction."""


def evidence_of(point: Point, keys: Sequence[str]) -> Evidence | None:
    """Of those replicates that have a finite value of every key; None where there are none.

    Costs do not vary over resamples. If one replicate was not resampled in a measure, all count as
    not resampled. With few rows of a class, P, the bootstrap's variance is too small by (P - 1) / P
    and has P - 1 degrees of freedom. This holds for an area under the curve and for the share of
    these rows in a cut. The variance of an average over rows has 2 P degrees of freedom, as a
    Poisson count's. One row alone does not show how areas of single rows vary; the bound is the
    variance of a uniform number. P is counted in independent units, such as users.
    """
    replicates = [replicate for replicate in point.replicates if _is_complete(replicate, keys)]
    if not replicates:
        return None
    values = np.zeros((len(replicates), len(keys)))
    for row, replicate in enumerate(replicates):
        values[row] = [replicate.metrics[key] for key in keys]
    resamples = [_resamples(replicates, key) for key in keys]
    most = max(resamples, default=0)
    moves = np.zeros((len(replicates), most, len(keys)))
    freedom = np.full(len(keys), np.inf)
    logit = [False] * len(keys)
    for column, key in enumerate(keys):
        if not most or resamples[column] != most:
            continue
        moves[:, :, column] = [replicate.resampled[key] for replicate in replicates]
        rarer, is_share = _rarer(key, replicates[0].resampled)
        rows = _rows_of_class(rarer)
        if rows < FEW_OF_CLASS and is_share:
            logit[column] = True
            freedom[column] = max(1.0, rows - 1)
            moves[..., column] *= _factor(rows, moves[..., column])
        elif rows < FEW_OF_CLASS:
            freedom[column] = 2 * rows
    return Evidence(
        values=values,
        moves=moves,
        seeds=tuple(replicate.seed for replicate in replicates),
        freedom=tuple(freedom.tolist()),
        logit=tuple(logit),
    )


def _is_complete(replicate: Replicate, keys: Sequence[str]) -> bool:
    if replicate.failure is not None:
        return False
    return all(math.isfinite(replicate.metrics.get(key, math.nan)) for key in keys)


def _resamples(replicates: Sequence[Replicate], key: str) -> int:
    """On how many resamples all replicates have a measure; 0 where they differ in that."""
    counts = {len(replicate.resampled.get(key, ())) for replicate in replicates}
    if len(counts) > 1:
        return 0
    return counts.pop()


def _rarer(key: str, resampled: Mapping[str, Sequence[float]]) -> tuple[Sequence[float], bool]:
    """How the rows of a measure's rarer class vary over the resamples, and whether the measure is a
    mean over them.
    """
    name = key.partition("/")[2]
    metric = metric_of(name)
    space = key.removesuffix(f".{metric}")
    is_cut = ranked(metric) is not None
    rarer = resampled.get(f"{space}.{RARER}")
    if not rarer and is_cut:
        # on all impressions: of a task with a parent those of `ctcvr`
        rarer = resampled.get(f"{space}.ctcvr.{RARER}")
    return rarer or (), is_cut or metric in AREAS


def _rows_of_class(counts: Sequence[float]) -> float:
    """How many rows a class is worth whose share varies so over resamples."""
    if len(counts) < 2:
        return np.inf
    return 1 / max(float(np.var(counts, ddof=1)), 1e-12)


def _factor(rows: float, moves: Floats) -> float:
    """The factor that corrects moves (n, B) of an area that has P rows of its rarer class."""
    deviation = float(np.sqrt(variance(moves.mean(axis=0)[:, None])[0]))
    if rows < 1.5 and 0 < deviation < ONE:
        return ONE / deviation
    return float(np.sqrt(rows / max(rows - 1, 0.5)))
