"""How much a metric varies with the seed of a training, from a handful of replicates of many configurations.

Two or three replicates hardly show a configuration's variance. Configurations are alike in it, though not equal, so
each variance is drawn to that of all, the more the less they differ beyond chance (Smyth, Statistical Applications in
Genetics and Molecular Biology 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.frontier.moderation import moderated, satterthwaite
from bench.frontier.pairing import Pairing, pairing
from bench.frontier.samples import Sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeedNoise:
    """Of N configurations and M metrics.

    Attributes:
        within: (N, M, M) covariance of one replicate about its configuration's mean, on the split as it is.
        apart: (N, M, M), of that what no resample of the split shares: the seed's part alone. A replicate's own
            deviation on the split is in the resamples already.
        freedom: (N, M) degrees of freedom of the variances.
        total: (M,), those of the variance pooled over all configurations, fewer where these share seeds.
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
    """That of configurations; None where none has two replicates: nothing is then known of seeds."""
    freedom = np.array([len(each) - 1 for each in samples])
    count = int(freedom.sum())
    if count < 1:
        return None
    pooled = _pooled([each.values for each in samples], count)
    deviations = [np.moveaxis(each.deviations, 1, 0) for each in samples]  # (B, n, M)
    shared = np.zeros_like(pooled)
    if all(each.deviations.shape[1] for each in samples):
        rest = [np.nan_to_num(each - each.mean(axis=1, keepdims=True)) for each in deviations]
        shared = sum(np.einsum("bnk,bnl->kl", each, each) / len(each) for each in rest) / count
    paired = pairing(samples)
    total = _total(freedom, np.diag(pooled), paired)
    scale = np.sqrt(np.diag(pooled))
    unit = np.where(scale > 0, scale, 1.0)
    variances = np.array([each.values.var(axis=0, ddof=1) if len(each) > 1 else scale * 0 for each in samples])
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
    """Variances from seeds of the differences between all means, and their degrees of freedom, each (N, N, M).

    Of means over n_i and n_j replicates, k of them on shared seeds, it is
    v_i / n_i + v_j / n_j - (v_i + v_j - d) k / (n_i n_j), with v of one replicate and d of a paired difference.
    """
    n = np.array([len(each) for each in samples], dtype=float)
    one = np.diagonal(noise.apart, axis1=1, axis2=2)  # (N, M)
    both = np.where(noise.paired.shared > 1, noise.paired.shared, 0) / np.outer(n, n)
    rest = (1 / n[:, None] - both)[..., None]  # the weight of i's own variance in a pair (i, j)
    parts = [rest * one[:, None], rest.swapaxes(0, 1) * one[None], both[..., None] * noise.paired.apart]
    freedom = [noise.freedom[:, None], noise.freedom[None], noise.paired.freedom]
    if noise.common:  # one variance, and not two that err apart
        parts, freedom = [parts[0] + parts[1], parts[2]], freedom[1:]
    seed = np.asarray(sum(parts))
    seed[np.arange(len(n)), np.arange(len(n))] = 0
    return seed, satterthwaite(parts, freedom)


def _total(freedom: NDArray[np.int64], pooled: Floats, paired: Pairing) -> Floats:
    """(M,) degrees of freedom of the pooled variance.

    Variances of two configurations on shared seeds are themselves correlated, by the square of the correlation of what
    a seed does to the two.
    """
    both = np.maximum(paired.shared - 1, 0)
    np.fill_diagonal(both, 0)
    if not both.any():
        return np.full(len(pooled), float(freedom.sum()))
    apart = np.einsum("ij,ijm->m", both, paired.within) / both.sum()
    correlation = np.where(pooled > 0, 1 - apart / np.where(pooled > 0, 2 * pooled, 1), 0.0).clip(0, 1)
    return np.asarray(freedom.sum() ** 2 / (freedom.sum() + both.sum() * correlation**2))


def _pooled(groups: Sequence[Floats], freedom: int) -> Floats:
    residuals = np.vstack([group - group.mean(axis=0) for group in groups])
    return np.asarray(residuals.T @ residuals / freedom)


def _positive(within: Floats, shared: Floats, unit: Floats) -> Floats:
    """within - shared, without directions of negative variance; `unit` brings metrics to one scale."""
    values, vectors = np.linalg.eigh((within - shared) / np.outer(unit, unit))
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T * np.outer(unit, unit))
