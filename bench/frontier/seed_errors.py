"""How the means of all configurations err by their seeds, jointly.

On shared seeds means err together. Their error is split in two: one that is the same for every configuration, and one
of each configuration's own. Only the second sets configurations apart. Each is known with its own degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from bench.frontier.samples import Sample
from bench.frontier.variance import SeedNoise, between

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeedErrors:
    """Covariances of errors of N means in M metrics, by configuration and then metric.

    Attributes:
        level: (N M, N M) of the common error; level_freedom: its degrees of freedom.
        own: (N M, N M) of the rest; freedom: (N,) degrees of freedom of each configuration's scale.
        together: whether all scales are one and the same.
    """

    level: Floats
    level_freedom: float
    own: Floats
    freedom: Floats
    together: bool

    def over(self, unit: Floats) -> SeedErrors:
        """The same with metrics divided by units (M,)."""
        full = np.outer(np.tile(unit, len(self.freedom)), np.tile(unit, len(self.freedom)))
        return replace(self, level=self.level / full, own=self.own / full)

    def scales(self, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """By how much deviations may differ from their estimates: of the common error (draws,), of the own (draws, N).

        Equally likely sizes are gone through, each configuration's in an order of its own.
        """
        n = 1 if self.together else len(self.freedom)
        levels = np.array([rng.permutation(draws) + rng.random(draws) for _ in range(1 + n)]).T / draws
        freedom = np.array([self.level_freedom, *self.freedom[:n]])
        found = np.sqrt(freedom / (2 * gammaincinv(freedom / 2, levels)))
        return found[:, 0], np.broadcast_to(found[:, 1:], (draws, len(self.freedom)))


def seed_errors(samples: Sequence[Sample], noise: SeedNoise) -> SeedErrors:
    """Those of the means of configurations, so that differences err as `bench.frontier.intervals.differences` says."""
    n, m = len(samples), samples[0].values.shape[1]
    (seed, _), shared = between(samples, noise), noise.paired.shared > 1
    np.fill_diagonal(shared, False)
    alone = np.diagonal(noise.apart, axis1=1, axis2=2) / [[len(each)] for each in samples]
    roots, level = np.zeros((m, n, n)), np.zeros(m)
    for k in range(m):
        whole = (alone[:, None, k] + alone[None, :, k] - seed[..., k]) / 2
        np.fill_diagonal(whole, alone[:, k])
        level[k] = max(0.0, whole[shared].sum() / (n * (n - 1))) if shared.any() else 0.0
        values, vectors = np.linalg.eigh(whole - level[k])
        roots[k] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    pooled = noise.apart.mean(axis=0)
    sd = np.sqrt(np.diag(pooled))
    correlation = pooled / np.outer(np.where(sd > 0, sd, 1), np.where(sd > 0, sd, 1))
    own = np.einsum("kij,lpj,kl->ikpl", roots, roots, correlation).reshape(n * m, n * m)
    common = np.kron(np.ones((n, n)), correlation * np.sqrt(np.outer(level, level)))
    if shared.any():
        freedom = np.array([np.median(noise.paired.freedom[i].min(axis=-1)[shared[i]]) if shared[i].any()
                            else noise.freedom[i].min() for i in range(n)])  # fmt: skip
    else:
        freedom = noise.freedom.min(axis=1)
    together = noise.common if not shared.any() else noise.paired.common
    return SeedErrors(common, float(noise.total.min()), own, freedom, together)
