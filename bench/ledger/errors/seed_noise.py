"""What seeds of trainings do to measured values: variances, of points and of paired differences.

Two or three replicates hardly show a point's variance. Points are alike in it, though not equal, so
each variance is drawn to that of all. The more they differ beyond chance, the less they are drawn
(Smyth, Statistical Applications in Genetics and Molecular Biology 2004).

What a seed does to two points cancels from their difference. Few shared seeds do not show a pair's
variance either, so each is drawn to the pooled one of all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse.csgraph import connected_components
from scipy.special import digamma, gammaincinv, polygamma

from bench.core.arrays import Floats, Mask
from bench.ledger.errors.evidence import Evidence, replicates_of, resamples_of, variance

Counts = NDArray[np.int64]

LEAST_VARIANCES = 4
"""Of fewer variances one cannot tell whether they differ."""


@dataclass(frozen=True)
class Moderated:
    """Variances that were drawn to a common one.

    Attributes:
        variances, freedom: (N,), with their degrees of freedom.
        equal: whether all are one and the same.
    """

    variances: Floats
    freedom: Floats
    equal: bool


def moderated(variances: Floats, freedom: Counts, pooled: float, total: float) -> Moderated:
    """Draws variances (N,) to a common one.

    Args:
        freedom: (N,) degrees of freedom of the variances; 0 where one is not known.
        pooled: the common variance, with `total` degrees of freedom.
    """
    is_estimated = freedom > 0
    equal = Moderated(
        np.full(len(variances), pooled), np.full(len(variances), float(total)), equal=True
    )
    if is_estimated.sum() < LEAST_VARIANCES or pooled <= 0:
        return equal
    half = freedom[is_estimated] / 2
    logs = np.log(np.maximum(variances[is_estimated], 1e-5 * pooled)) - digamma(half) + np.log(half)
    beyond_chance = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if beyond_chance <= 0:
        return equal
    prior = 2 * _inverse_trigamma(beyond_chance)
    strength = prior + freedom
    # the middle by logarithms is far less sure with few
    drawn = (prior * pooled + freedom * variances) / strength
    return Moderated(drawn, np.minimum(strength, total), equal=False)


def _inverse_trigamma(value: float) -> float:
    """The x with trigamma(x) = value."""
    low, high = 0.5 / value, 1 + 2 / value
    root = brentq(lambda x: polygamma(1, x) - value, low, high, xtol=1e-12, rtol=1e-13)
    return float(root)


def satterthwaite(variances: Sequence[Floats], freedom: Sequence[Floats]) -> Floats:
    """Effective degrees of freedom of a sum of variances, each with its own (Biometrics Bulletin
    1946).
    """
    whole = np.asarray(sum(variances))
    below = np.zeros(whole.shape)
    for part, part_freedom in zip(variances, freedom, strict=True):
        below = below + part**2 / part_freedom
    of_nothing = np.broadcast_to(freedom[0], whole.shape)
    return np.asarray(np.where(below > 0, whole**2 / np.where(below > 0, below, 1), of_nothing))


def spread_of(freedom: Floats | float, levels: Floats) -> Floats:
    """By how much a standard deviation may differ from its estimate at some levels of probability:
    Student's t is a Gaussian times this.
    """
    is_finite = np.isfinite(freedom)
    finite = np.where(is_finite, freedom, 1.0)
    spread = np.sqrt(finite / (2 * gammaincinv(finite / 2, levels)))
    return np.where(is_finite, spread, 1.0)


@dataclass(frozen=True)
class Pairing:
    """Seed variances of paired differences, for all pairs of N points in M measures.

    Attributes:
        shared: (N, N), on how many seeds both have a replicate.
        within: (N, N, M) variance of the difference between two replicates on one seed; 0 where
            fewer than two seeds are shared.
        seed_only: (N, N, M), of that the seeds' part alone: without what resamples of the split
            show already.
        freedom: (N, N, M) degrees of freedom of the variances.
        equal: whether all pairs were taken to have one variance.
    """

    shared: Counts
    within: Floats
    seed_only: Floats
    freedom: Floats
    equal: bool


@dataclass(frozen=True)
class Layout:
    """Which of N points has a replicate on which of S seeds.

    Attributes:
        columns: of each point's replicates.
        there: (N, S), 1 where there is one.
    """

    columns: Sequence[Sequence[int]]
    there: Counts

    @staticmethod
    def of(evidence: Sequence[Evidence]) -> Layout:
        """That of some points' replicates."""
        names: set[int] = set()
        for of_point in evidence:
            names.update(of_point.seeds)
        ordered = sorted(names)
        columns = []
        there = np.zeros((len(evidence), len(ordered)), dtype=np.int64)
        for point, of_point in enumerate(evidence):
            columns_of_point = [ordered.index(seed) for seed in of_point.seeds]
            there[point, columns_of_point] = 1
            columns.append(columns_of_point)
        return Layout(columns, there)

    @property
    def shared(self) -> Counts:
        """(N, N), on how many seeds two points have a replicate."""
        return np.asarray(self.there @ self.there.T)

    def values(self, evidence: Sequence[Evidence]) -> Floats:
        """(N, S, M), the replicates' at their seeds; NaN where there is none."""
        result = np.full((*self.there.shape, evidence[0].values.shape[1]), np.nan)
        for point, columns in enumerate(self.columns):
            result[point, columns] = evidence[point].values[: len(columns)]
        return result


def pairing(evidence: Sequence[Evidence]) -> Pairing:
    """That of points with at least one replicate each."""
    points, measures = len(evidence), evidence[0].values.shape[1]
    layout = Layout.of(evidence)
    values = layout.values(evidence)
    shared = layout.shared
    within, seed_only = np.zeros((2, points, points, measures))
    freedom = np.ones((points, points, measures))
    first, second = np.nonzero(np.tril(shared > 1, -1))
    if not len(first):
        return Pairing(shared, within, seed_only, freedom, equal=True)
    by_first = []
    for point in np.unique(first):
        partners = second[first == point]
        by_first.append(variance(values[point] - values[partners]))
    variances = np.concatenate(by_first)
    from_rows = _rows_within(evidence, layout, first, second)
    pair_freedom = shared[first, second] - 1
    pooled = pair_freedom @ variances / pair_freedom.sum()
    pooled_rows = pair_freedom @ from_rows / pair_freedom.sum()
    total = _pair_freedom(layout)
    equal = True
    for measure in range(measures):
        drawn = moderated(variances[:, measure], pair_freedom, pooled[measure], total)
        equal &= drawn.equal
        from_seeds = np.maximum(drawn.variances - pooled_rows[measure], 0)
        for matrix, of_pairs in (
            (within, drawn.variances),
            (seed_only, from_seeds),
            (freedom, drawn.freedom),
        ):
            matrix[first, second, measure] = of_pairs
            matrix[second, first, measure] = of_pairs
    return Pairing(shared, within, seed_only, freedom, equal)


def _rows_within(
    evidence: Sequence[Evidence], layout: Layout, first: Counts, second: Counts
) -> Floats:
    """(P, M) variance between shared seeds of how resamples move the difference of a pair: the mean
    over resamples.

    Args:
        first, second: (P,) the pairs.
    """
    variances = np.zeros((len(first), evidence[0].values.shape[1]))
    resamples = resamples_of(evidence)
    for count in set(resamples[resamples > 0].tolist()):
        moves = _placed_moves(evidence, layout, count)
        for point in np.unique(first[resamples[first] == count]):
            pairs = np.flatnonzero((first == point) & (resamples[second] == count))
            is_shared = (layout.there[point] & layout.there[second[pairs]]) > 0
            variances[pairs] = _mean_variance(moves[point] - moves[second[pairs]], is_shared)
    return variances


def _placed_moves(evidence: Sequence[Evidence], layout: Layout, resamples: int) -> Floats:
    """(N, S, B, M), at their seeds; 0 where a point has no replicate or other resamples."""
    result = np.zeros((*layout.there.shape, resamples, evidence[0].values.shape[1]))
    for point, columns in enumerate(layout.columns):
        moves = evidence[point].moves
        if moves.shape[1] == resamples:
            result[point, columns] = moves[: len(columns)]
    return result


def _mean_variance(differences: Floats, is_shared: Mask) -> Floats:
    """(P, M), the variance between seeds of differences (P, S, B, M), the mean over resamples.

    Args:
        is_shared: (P, S), on which seeds both points have a replicate.
    """
    counted = is_shared[:, :, None, None]
    count = counted.sum(axis=1)
    values = np.where(counted, differences, 0)
    middle = values.sum(axis=1, keepdims=True) / count[:, None]
    variances = ((values - middle) ** 2 * counted).sum(axis=1) / (count - 1)
    defined = np.isfinite(variances)
    return np.asarray(
        np.where(defined, variances, 0).sum(axis=1) / np.maximum(defined.sum(axis=1), 1)
    )


def _pair_freedom(layout: Layout) -> float:
    """Degrees of freedom of the variance pooled over pairs: of a two-way layout of points and
    seeds.
    """
    pairs = layout.shared > 1
    np.fill_diagonal(pairs, False)
    counted = (layout.there > 0) & (pairs.astype(np.int64) @ layout.there > 0)
    is_paired = pairs.any(axis=1)
    _, part_of = connected_components(pairs, directed=False)
    points, seeds = np.nonzero(counted)
    columns = np.unique(np.stack([part_of[points], seeds], axis=1), axis=0)
    parts = np.unique(part_of[is_paired])
    return float(max(1, len(points) - int(is_paired.sum()) - len(columns) + len(parts)))


@dataclass(frozen=True)
class SeedNoise:
    """Seed variances of N points in M measures.

    Attributes:
        within: (N, M, M) covariance of one replicate about its point's mean, on the split as it is.
        seed_only: (N, M, M), of that what no resample of the split shares: the seed's part alone. A
            replicate's own deviation on the split is in the resamples already.
        freedom: (N, M) degrees of freedom of the variances.
        total: (M,), those of the variance pooled over all points, fewer where these share seeds.
        equal: whether all points were taken to have one variance, and so err together.
        paired: what is known of differences between points on shared seeds.
    """

    within: Floats
    seed_only: Floats
    freedom: Floats
    total: Floats
    equal: bool
    paired: Pairing


def seed_noise(evidence: Sequence[Evidence]) -> SeedNoise | None:
    """That of points; None where none has two replicates: nothing is then known of seeds."""
    freedom = replicates_of(evidence) - 1
    if freedom.sum() < 1:
        return None
    pooled = _pooled_covariance(evidence, int(freedom.sum()))
    paired = pairing(evidence)
    total = _total_freedom(freedom, np.diag(pooled), paired)
    deviations = np.sqrt(np.diag(pooled))
    unit = np.where(deviations > 0, deviations, 1.0)
    variances = np.zeros((len(evidence), len(deviations)))
    for point, of_point in enumerate(evidence):
        if len(of_point) > 1:
            variances[point] = of_point.values.var(axis=0, ddof=1)
    drawn_freedom, equal = np.empty_like(variances), True
    for measure, pooled_variance in enumerate(np.diag(pooled)):
        drawn = moderated(variances[:, measure], freedom, pooled_variance, total[measure])
        variances[:, measure] = drawn.variances
        drawn_freedom[:, measure] = drawn.freedom
        equal &= drawn.equal
    sizes = np.sqrt(variances) / unit  # (N, M)
    within = pooled * sizes[:, :, None] * sizes[:, None, :]
    from_rows = _pooled_rows(evidence, int(freedom.sum()))
    return SeedNoise(
        within=within,
        seed_only=np.array([_positive(of_point, from_rows, unit) for of_point in within]),
        freedom=drawn_freedom,
        total=total,
        equal=equal,
        paired=paired,
    )


def _pooled_covariance(evidence: Sequence[Evidence], freedom: int) -> Floats:
    """(M, M), of replicates about the means of their points."""
    residuals = np.vstack([of_point.values - of_point.mean for of_point in evidence])
    return np.asarray(residuals.T @ residuals / freedom)


def _pooled_rows(evidence: Sequence[Evidence], freedom: int) -> Floats:
    """(M, M), how resamples move replicates about the means of their points, the mean over
    resamples; 0 where some point was not resampled.
    """
    measures = evidence[0].values.shape[1]
    total = np.zeros((measures, measures))
    if not resamples_of(evidence).all():
        return total
    for of_point in evidence:
        by_resample = np.moveaxis(of_point.moves, 1, 0)  # (B, n, M)
        about = np.nan_to_num(by_resample - by_resample.mean(axis=1, keepdims=True))
        total = total + np.einsum("bnk,bnl->kl", about, about) / len(about)
    return np.asarray(total / freedom)


def between(evidence: Sequence[Evidence], noise: SeedNoise) -> tuple[Floats, Floats]:
    """Variances from seeds of the differences between all means, and their degrees of freedom, each
    (N, N, M).

    Means over n_i and n_j replicates, k of them on shared seeds, differ with the variance

        v_i / n_i + v_j / n_j - (v_i + v_j - d) k / (n_i n_j)

    where v is the variance of one replicate and d that of a paired difference.
    """
    n = replicates_of(evidence).astype(float)
    variances = np.diagonal(noise.seed_only, axis1=1, axis2=2)  # (N, M)
    paired = noise.paired
    share_of_pair = np.where(paired.shared > 1, paired.shared, 0) / np.outer(n, n)
    unshared = 1 / n[:, None] - share_of_pair
    rest = unshared[..., None]  # the weight of i's own variance in a pair (i, j)
    of_first = rest * variances[:, None]
    of_second = rest.swapaxes(0, 1) * variances[None]
    of_pair = share_of_pair[..., None] * paired.seed_only
    if noise.equal:  # one variance, and not two that err apart
        parts, freedom = [of_first + of_second, of_pair], [noise.freedom[None], paired.freedom]
    else:
        parts = [of_first, of_second, of_pair]
        freedom = [noise.freedom[:, None], noise.freedom[None], paired.freedom]
    total = np.asarray(sum(parts))
    diagonal = np.arange(len(evidence))
    total[diagonal, diagonal] = 0
    return total, satterthwaite(parts, freedom)


def _total_freedom(freedom: Counts, pooled: Floats, paired: Pairing) -> Floats:
    """(M,) degrees of freedom of the pooled variance.

    Variances of two points on shared seeds are themselves correlated, by the square of the
    correlation of what a seed does to the two.
    """
    weights = np.maximum(paired.shared - 1, 0)
    np.fill_diagonal(weights, 0)
    if not weights.any():
        return np.full(len(pooled), float(freedom.sum()))
    of_differences = np.einsum("ij,ijm->m", weights, paired.within) / weights.sum()
    correlation = 1 - of_differences / np.where(pooled > 0, 2 * pooled, 1)
    correlation = np.where(pooled > 0, correlation, 0.0).clip(0, 1)
    return np.asarray(freedom.sum() ** 2 / (freedom.sum() + weights.sum() * correlation**2))


def _positive(within: Floats, from_rows: Floats, unit: Floats) -> Floats:
    """within - from_rows, without directions of negative variance; `unit` brings measures to one
    scale.
    """
    units = np.outer(unit, unit)
    values, vectors = np.linalg.eigh((within - from_rows) / units)
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T * units)
