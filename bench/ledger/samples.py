"""Replicates of a configuration: their values, deviations on resampled rows, and the variance
between seeds.

Two or three replicates hardly show a configuration's variance. Configurations are alike in it,
though not equal, so each variance is drawn to that of all. The more they differ beyond chance, the
less they are drawn (Smyth, Statistical Applications in Genetics and Molecular Biology 2004).

What a seed does to two configurations cancels from their difference. Few shared seeds do not show a
pair's variance either, so each is drawn to the pooled one of all pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse.csgraph import connected_components
from scipy.special import digamma, polygamma

from bench.core.arrays import Floats
from bench.core.objectives import AREAS, metric_of, ranked
from bench.core.records import RARER, Point


@dataclass(frozen=True)
class Sample:
    """Samples of M metrics of one configuration over its n replicates.

    Attributes:
        values: (n, M).
        deviations: (n, B, M), how far each moves on each of B resamples of the split. Resample b is
            the same for every model, so that differences between models are paired. B is 0 where
            the split was not resampled.
        seeds: of the n trainings. Replicates of two configurations on one seed are paired. Empty
            where unknown: such replicates are paired with none.
        freedom: (M,) degrees of freedom of the variance over resamples, few where rows of a class
            are; infinite where empty.
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
        return Sample(
            self.values @ directions,
            self.deviations @ directions,
            self.seeds,
            tuple(least.tolist()),
        )


def variance(deviation: Floats) -> Floats:
    """Of deviations (..., B, M) over the resamples that define a metric: (..., M); 0 of fewer than
    two.
    """
    known = np.isfinite(deviation)
    count = known.sum(axis=-2)
    middle = (
        np.where(known, deviation, 0).sum(axis=-2, keepdims=True)
        / np.maximum(count, 1)[..., None, :]
    )
    squares = np.where(known, deviation - middle, 0) ** 2
    return np.asarray(np.where(count > 1, squares.sum(axis=-2) / np.maximum(count - 1, 1), 0.0))


def covariance(deviation: Floats) -> Floats:
    """Of deviations (B, K) over the resamples that define all of them: (K, K); 0 of fewer than
    two.
    """
    known = deviation[np.isfinite(deviation).all(axis=1)]
    k = deviation.shape[1]
    return np.cov(known, rowvar=False).reshape(k, k) if len(known) > 1 else np.zeros((k, k))


ONE = 12**-0.5
"""Standard deviation of the area that a single row of the rarer class has."""
FEW_OF_CLASS = 50
"""Rows of a class from which on a variance over resamples needs no correction."""


def sample(record: Point, keys: Sequence[str]) -> Sample | None:
    """Those of a record's replicates that have a finite value of every key; None where there are
    none.

    Costs do not vary over resamples. If one replicate was not resampled in a metric, all count as
    not resampled. With few rows of a class, P, the bootstrap's variance is too small by (P - 1) / P
    and has P - 1 degrees of freedom. This holds for an area under the curve and for the share of
    these rows in a cut. The variance of an average over rows has 2 P degrees of freedom, as a
    Poisson count's. One row alone does not show how areas of single rows vary; the bound is the
    variance of a uniform number. P is counted in independent units, such as users.
    """
    runs = [run for run in record.replicates if run.failure is None]
    runs = [
        run for run in runs if np.isfinite([run.metrics.get(key, np.nan) for key in keys]).all()
    ]
    if not runs:
        return None
    values = np.array([[run.metrics[key] for key in keys] for run in runs], dtype=float)
    counts = {
        column: {len(run.resampled.get(key, ())) for run in runs} for column, key in enumerate(keys)
    }
    b = max((max(each) for each in counts.values() if len(each) == 1), default=0)
    deviations = np.zeros((len(runs), b, len(keys)))
    freedom, logit = np.full(len(keys), np.inf), [False] * len(keys)
    for column, key in enumerate(keys):
        if not b or counts[column] != {b}:
            continue
        deviations[:, :, column] = [run.resampled[key] for run in runs]
        rarer, share = _rarer(key, runs[0].resampled)
        p = 1 / max(float(np.var(rarer, ddof=1)), 1e-12) if len(rarer) > 1 else np.inf
        if p < FEW_OF_CLASS and share:
            logit[column], freedom[column] = True, max(1.0, p - 1)
            deviations[..., column] *= _factor(p, deviations[..., column])
        elif p < FEW_OF_CLASS:
            freedom[column] = 2 * p
    return Sample(
        values, deviations, tuple(run.seed for run in runs), tuple(freedom.tolist()), tuple(logit)
    )


def samples_of(points: Iterable[Point], keys: Sequence[str]) -> dict[str, Sample]:
    """By id of a point its samples, of those that have any."""
    return {point.id: known for point in points if (known := sample(point, keys))}


def _rarer(key: str, resampled: Mapping[str, Sequence[float]]) -> tuple[Sequence[float], bool]:
    """How the rows of a metric's rarer class vary over the resamples; whether it is a mean over
    them.
    """
    name = key.partition("/")[2]
    metric = metric_of(name)
    space = key.removesuffix(f".{metric}")
    cut = ranked(metric) is not None  # on all impressions: of a task with a parent those of `ctcvr`
    rarer = (
        resampled.get(f"{space}.{RARER}")
        or (resampled.get(f"{space}.ctcvr.{RARER}") if cut else None)
        or ()
    )
    return rarer, cut or metric in AREAS


def _factor(p: float, deviations: Floats) -> float:
    """The factor that corrects deviations (n, B) of an area of P rows."""
    sd = float(np.sqrt(variance(deviations.mean(axis=0)[:, None])[0]))
    return ONE / sd if p < 1.5 and 0 < sd < ONE else float(np.sqrt(p / max(p - 1, 0.5)))


LEAST_VARIANCES = 4
"""Of fewer variances one cannot tell whether they differ."""


def moderated(
    variances: Floats, freedom: NDArray[np.int64], pooled: float, total: float
) -> tuple[Floats, Floats, bool]:
    """Variances (N,) drawn to a common one, their degrees of freedom, and whether they are one and
    the same.

    Args:
        freedom: (N,) of the variances; 0 where one is not known.
        pooled: the common variance, with `total` degrees of freedom.
    """
    seen = freedom > 0
    one = np.full(len(variances), pooled), np.full(len(variances), float(total)), True
    if seen.sum() < LEAST_VARIANCES or pooled <= 0:
        return one
    half = freedom[seen] / 2
    logs = np.log(np.maximum(variances[seen], 1e-5 * pooled)) - digamma(half) + np.log(half)
    beyond = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if beyond <= 0:
        return one
    # the x with trigamma(x) = beyond, which lies between these
    prior = 2 * brentq(
        lambda x: polygamma(1, x) - beyond, 0.5 / beyond, 1 + 2 / beyond, xtol=1e-12, rtol=1e-13
    )
    strength = prior + freedom
    drawn = (
        prior * pooled + freedom * variances
    ) / strength  # the middle by logarithms is far less sure with few
    return drawn, np.minimum(strength, total), False


def satterthwaite(parts: Sequence[Floats], freedom: Sequence[Floats]) -> Floats:
    """Effective degrees of freedom of a sum of variances, each with its own (Biometrics Bulletin
    1946).
    """
    whole = np.asarray(sum(parts))
    below = np.asarray(sum(part**2 / each for part, each in zip(parts, freedom, strict=True)))
    none = np.broadcast_to(freedom[0], whole.shape)
    return np.asarray(np.where(below > 0, whole**2 / np.where(below > 0, below, 1), none))


@dataclass(frozen=True)
class Pairing:
    """Seed variances of paired differences, for all pairs of N configurations in M metrics.

    Attributes:
        shared: (N, N), on how many seeds both have a replicate.
        within: (N, N, M) variance of the difference between two replicates on one seed; 0 where
            fewer than two seeds are shared.
        apart: (N, N, M), of that the seeds' part alone: without what resamples of the split show
            already.
        freedom: (N, N, M) degrees of freedom of the variances.
        common: whether all pairs were taken to have one variance.
    """

    shared: NDArray[np.int64]
    within: Floats
    apart: Floats
    freedom: Floats
    common: bool


def pairing(samples: Sequence[Sample]) -> Pairing:
    """That of configurations with at least one replicate each."""
    n, m = len(samples), samples[0].values.shape[1]
    every = {
        seed: at
        for at, seed in enumerate(sorted({seed for each in samples for seed in each.seeds}))
    }
    own = [[every[seed] for seed in each.seeds] for each in samples]
    there, values = np.zeros((n, len(every)), dtype=np.int64), np.full((n, len(every), m), np.nan)
    for at, (places, each) in enumerate(zip(own, samples, strict=True)):
        there[at, places] = 1
        values[at, places] = each.values[: len(places)]
    shared = there @ there.T
    within, apart, freedom = np.zeros((n, n, m)), np.zeros((n, n, m)), np.ones((n, n, m))
    i, j = np.nonzero(np.tril(shared > 1, -1))
    if not len(i):
        return Pairing(shared, within, apart, freedom, True)
    variances = np.concatenate([variance(values[at] - values[j[i == at]]) for at in np.unique(i)])
    rows = _rows_within(samples, own, there, i, j)
    total, seeds = _pair_freedom(there, shared), shared[i, j] - 1
    pooled, beside = seeds @ variances / seeds.sum(), seeds @ rows / seeds.sum()
    common = True
    for k in range(m):
        drawn, known, same = moderated(variances[:, k], seeds, pooled[k], total)
        common &= same
        left = np.maximum(drawn - beside[k], 0)
        for matrix, value in ((within, drawn), (apart, left), (freedom, known)):
            matrix[i, j, k] = matrix[j, i, k] = value
    return Pairing(shared, within, apart, freedom, common)


def _rows_within(
    samples: Sequence[Sample],
    own: Sequence[Sequence[int]],
    there: NDArray[np.int64],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
) -> Floats:
    """(P, M) variance between shared seeds of how resamples move the difference of a pair: the mean
    over resamples.

    Args:
        own: columns of each configuration's replicates in `there` (N, S).
        i, j: (P,) the pairs.
    """
    variances = np.zeros((len(i), samples[0].values.shape[1]))
    lengths = np.array([each.deviations.shape[1] for each in samples])
    for length in set(lengths[lengths > 0].tolist()):
        moved = np.zeros((*there.shape, length, variances.shape[1]))
        for at in np.flatnonzero(lengths == length).tolist():
            moved[at, own[at]] = samples[at].deviations[: len(own[at])]
        for at in np.unique(i[lengths[i] == length]):
            pairs = np.flatnonzero((i == at) & (lengths[j] == length))
            both = ((there[at] & there[j[pairs]]) > 0)[:, :, None, None]
            count = both.sum(axis=1)
            apart = np.where(both, moved[at] - moved[j[pairs]], 0)
            spread = ((apart - apart.sum(axis=1, keepdims=True) / count[:, None]) ** 2 * both).sum(
                axis=1
            ) / (count - 1)
            known = np.isfinite(spread)
            variances[pairs] = np.where(known, spread, 0).sum(axis=1) / np.maximum(
                known.sum(axis=1), 1
            )
    return variances


def _pair_freedom(there: NDArray[np.int64], shared: NDArray[np.int64]) -> float:
    """Degrees of freedom of the variance pooled over pairs: of a two-way layout of configurations
    and seeds.
    """
    pairs = shared > 1
    np.fill_diagonal(pairs, False)
    used = (there > 0) & (pairs.astype(np.int64) @ there > 0)
    paired = pairs.any(axis=1)
    _, part = connected_components(
        pairs, directed=False
    )  # of the layout that a configuration is in
    columns = {(part[at], seed) for at, seed in zip(*np.nonzero(used), strict=True)}
    return float(
        max(1, int(used.sum()) - int(paired.sum()) - len(columns) + len(set(part[paired])))
    )


@dataclass(frozen=True)
class SeedNoise:
    """Seed variances of N configurations in M metrics.

    Attributes:
        within: (N, M, M) covariance of one replicate about its configuration's mean, on the split
            as it is.
        apart: (N, M, M), of that what no resample of the split shares: the seed's part alone. A
            replicate's own deviation on the split is in the resamples already.
        freedom: (N, M) degrees of freedom of the variances.
        total: (M,), those of the variance pooled over all configurations, fewer where these share
            seeds.
        common: whether all configurations were taken to have one variance, and so err together.
        paired: what is known of differences between configurations on shared seeds.
    """

    within: Floats
    apart: Floats
    freedom: Floats
    total: Floats
    common: bool
    paired: Pairing


def seed_noise(samples: Sequence[Sample]) -> SeedNoise | None:
    """That of configurations; None where none has two replicates: nothing is then known of
    seeds.
    """
    freedom = np.array([len(each) - 1 for each in samples])
    count = int(freedom.sum())
    if count < 1:
        return None
    residuals = np.vstack([each.values - each.mean for each in samples])
    pooled = np.asarray(residuals.T @ residuals / count)
    deviations = [np.moveaxis(each.deviations, 1, 0) for each in samples]  # (B, n, M)
    shared = np.zeros_like(pooled)
    if all(each.deviations.shape[1] for each in samples):
        rest = [np.nan_to_num(each - each.mean(axis=1, keepdims=True)) for each in deviations]
        shared = sum(np.einsum("bnk,bnl->kl", each, each) / len(each) for each in rest) / count
    paired = pairing(samples)
    total = _total_freedom(freedom, np.diag(pooled), paired)
    scale = np.sqrt(np.diag(pooled))
    unit = np.where(scale > 0, scale, 1.0)
    variances = np.array(
        [each.values.var(axis=0, ddof=1) if len(each) > 1 else scale * 0 for each in samples]
    )
    drawn = [moderated(variances[:, m], freedom, pooled[m, m], total[m]) for m in range(len(scale))]
    own = np.sqrt(np.array([each[0] for each in drawn]).T) / unit  # (N, M), of the pooled deviation
    within = pooled * own[:, :, None] * own[:, None, :]
    return SeedNoise(
        within=within,
        apart=np.array([_positive(each, shared, unit) for each in within]),
        freedom=np.array([each[1] for each in drawn]).T,
        total=total,
        common=all(each[2] for each in drawn),
        paired=paired,
    )


def between(samples: Sequence[Sample], noise: SeedNoise) -> tuple[Floats, Floats]:
    """Variances from seeds of the differences between all means, and their degrees of freedom, each
    (N, N, M).

    Means over n_i and n_j replicates, k of them on shared seeds, differ with the variance

        v_i / n_i + v_j / n_j - (v_i + v_j - d) k / (n_i n_j)

    where v is the variance of one replicate and d that of a paired difference.
    """
    n = np.array([len(each) for each in samples], dtype=float)
    one = np.diagonal(noise.apart, axis1=1, axis2=2)  # (N, M)
    both = np.where(noise.paired.shared > 1, noise.paired.shared, 0) / np.outer(n, n)
    rest = (1 / n[:, None] - both)[..., None]  # the weight of i's own variance in a pair (i, j)
    parts = [
        rest * one[:, None],
        rest.swapaxes(0, 1) * one[None],
        both[..., None] * noise.paired.apart,
    ]
    freedom = [noise.freedom[:, None], noise.freedom[None], noise.paired.freedom]
    if noise.common:  # one variance, and not two that err apart
        parts, freedom = [parts[0] + parts[1], parts[2]], freedom[1:]
    seed = np.asarray(sum(parts))
    seed[np.arange(len(n)), np.arange(len(n))] = 0
    return seed, satterthwaite(parts, freedom)


def _total_freedom(freedom: NDArray[np.int64], pooled: Floats, paired: Pairing) -> Floats:
    """(M,) degrees of freedom of the pooled variance.

    Variances of two configurations on shared seeds are themselves correlated, by the square of the
    correlation of what a seed does to the two.
    """
    both = np.maximum(paired.shared - 1, 0)
    np.fill_diagonal(both, 0)
    if not both.any():
        return np.full(len(pooled), float(freedom.sum()))
    apart = np.einsum("ij,ijm->m", both, paired.within) / both.sum()
    correlation = np.where(pooled > 0, 1 - apart / np.where(pooled > 0, 2 * pooled, 1), 0.0).clip(
        0, 1
    )
    return np.asarray(freedom.sum() ** 2 / (freedom.sum() + both.sum() * correlation**2))


def _positive(within: Floats, shared: Floats, unit: Floats) -> Floats:
    """within - shared, without directions of negative variance; `unit` brings metrics to one
    scale.
    """
    values, vectors = np.linalg.eigh((within - shared) / np.outer(unit, unit))
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T * np.outer(unit, unit))
