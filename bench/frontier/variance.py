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
from scipy.special import digamma, polygamma

from bench.frontier.samples import Sample

Floats = NDArray[np.float64]
ENOUGH = 4
"""Of fewer configurations with two replicates or more, one cannot tell whether their variances differ."""


@dataclass(frozen=True)
class SeedNoise:
    """Of N configurations and M metrics.

    Attributes:
        within: (N, M, M) covariance of one replicate about its configuration's mean, on the split as it is.
        apart: (N, M, M), of that what no resample of the split shares: the seed's part alone. A replicate's own
            deviation on the split is in the resamples already.
        freedom: (N, M) degrees of freedom of the variances.
        common: whether all configurations were taken to have one variance, and so err together.
    """

    within: Floats
    apart: Floats
    freedom: Floats
    common: bool


def seed_noise(samples: Sequence[Sample]) -> SeedNoise | None:
    """That of configurations; None where none has two replicates: nothing is then known of seeds."""
    freedom = np.array([len(each) - 1 for each in samples])
    total = int(freedom.sum())
    if total < 1:
        return None
    pooled = _pooled([each.values for each in samples], total)
    deviations = [np.moveaxis(each.deviations, 1, 0) for each in samples]  # (B, n, M)
    shared = np.zeros_like(pooled)
    if all(each.deviations.shape[1] for each in samples):
        rest = [each - each.mean(axis=1, keepdims=True) for each in deviations]
        shared = sum(np.einsum("bnk,bnl->kl", each, each) / len(each) for each in rest) / total
    scale = np.sqrt(np.diag(pooled))
    unit = np.where(scale > 0, scale, 1.0)
    variances = np.array([each.values.var(axis=0, ddof=1) if len(each) > 1 else scale * 0 for each in samples])
    drawn = [moderated(variances[:, m], freedom, pooled[m, m], total) for m in range(len(scale))]
    own = np.sqrt(np.array([each[0] for each in drawn]).T) / unit  # (N, M), of the pooled deviation
    within = pooled * own[:, :, None] * own[:, None, :]
    return SeedNoise(
        within=within,
        apart=np.array([_positive(each, shared, unit) for each in within]),
        freedom=np.array([each[1] for each in drawn]).T,
        common=all(each[2] for each in drawn),
    )


def _pooled(groups: Sequence[Floats], freedom: int) -> Floats:
    residuals = np.vstack([group - group.mean(axis=0) for group in groups])
    return np.asarray(residuals.T @ residuals / freedom)


def moderated(
    variances: Floats, freedom: NDArray[np.int64], pooled: float, total: float
) -> tuple[Floats, Floats, bool]:
    """Variances (N,) drawn to a common one, their degrees of freedom, and whether they are one and the same.

    Args:
        freedom: (N,) of the variances; 0 where one is not known.
        pooled: the common variance, with `total` degrees of freedom.
    """
    seen = freedom > 0
    one = np.full(len(variances), pooled), np.full(len(variances), float(total)), True
    if seen.sum() < ENOUGH or pooled <= 0:
        return one
    half = freedom[seen] / 2
    logs = np.log(np.maximum(variances[seen], 1e-5 * pooled)) - digamma(half) + np.log(half)
    beyond = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if beyond <= 0:
        return one
    prior = 2 * _trigamma_inverse(beyond)
    strength = prior + freedom
    drawn = (prior * pooled + freedom * variances) / strength  # the middle by logarithms is far less sure with few
    return drawn, np.minimum(strength, total), False


def _trigamma_inverse(value: float) -> float:
    """x with trigamma(x) = value, by Newton's steps on 1 / trigamma."""
    x = 0.5 + 1 / value
    for _ in range(50):
        first = float(polygamma(1, x))
        step = first * (1 - first / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-9 * x:
            break
    return x


def _positive(within: Floats, shared: Floats, unit: Floats) -> Floats:
    """within - shared, without directions of negative variance; `unit` brings metrics to one scale."""
    values, vectors = np.linalg.eigh((within - shared) / np.outer(unit, unit))
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T * np.outer(unit, unit))
