"""How much the difference between two configurations varies with the seed, where both were trained on the same seeds.

What a seed does to both cancels from their difference. As with single configurations, few shared seeds do not show a
pair's variance, so each is drawn to the pooled one of all pairs (see `bench.frontier.moderation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.frontier.moderation import moderated
from bench.frontier.samples import Sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pairing:
    """Of all pairs of N configurations in M metrics.

    Attributes:
        shared: (N, N), on how many seeds both have a replicate.
        within: (N, N, M) variance of the difference between two replicates on one seed; 0 where fewer than two seeds
            are shared.
        apart: (N, N, M), of that the seeds' part alone: without what resamples of the split show already.
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
    places = [{seed: at for at, seed in enumerate(each.seeds)} for each in samples]
    shared = np.array([[len(a.keys() & b.keys()) for b in places] for a in places]).reshape(n, n)
    within, apart, freedom = np.zeros((n, n, m)), np.zeros((n, n, m)), np.ones((n, n, m))
    pairs = [(i, j) for i in range(n) for j in range(i) if shared[i, j] > 1]
    if not pairs:
        return Pairing(shared, within, apart, freedom, True)
    own = np.array([shared[pair] - 1 for pair in pairs])
    variances, rows = np.zeros((len(pairs), m)), np.zeros((len(pairs), m))
    for at, (i, j) in enumerate(pairs):
        both = sorted(places[i].keys() & places[j].keys())
        a, b = ([places[k][seed] for seed in both] for k in (i, j))
        variances[at] = (samples[i].values[a] - samples[j].values[b]).var(axis=0, ddof=1)
        if samples[i].deviations.shape[1] == samples[j].deviations.shape[1] > 0:
            moved = samples[i].deviations[a] - samples[j].deviations[b]
            spread = moved.var(axis=0, ddof=1)
            rows[at] = [known.mean() if len(known := each[np.isfinite(each)]) else 0.0 for each in spread.T]
    total = _total(pairs, places)
    pooled, beside = own @ variances / own.sum(), own @ rows / own.sum()
    i, j = np.array(pairs).T
    common = True
    for k in range(m):
        drawn, known, same = moderated(variances[:, k], own, pooled[k], total)
        common &= same
        left = np.maximum(drawn - beside[k], 0)
        for found, values in ((within, drawn), (apart, left), (freedom, known)):
            found[i, j, k] = found[j, i, k] = values
    return Pairing(shared, within, apart, freedom, common)


def _total(pairs: Sequence[tuple[int, int]], places: Sequence[dict[int, int]]) -> float:
    """Degrees of freedom of the variance pooled over pairs: of a two-way layout of configurations and seeds."""
    seeds: dict[int, set[int]] = {}
    of: dict[int, int] = {}  # the connected part of the layout that a configuration is in
    for i, j in pairs:
        both = places[i].keys() & places[j].keys()
        for at in (i, j):
            seeds.setdefault(at, set()).update(both)
            of.setdefault(at, at)
        old, new = of[j], of[i]
        of = {at: new if part == old else part for at, part in of.items()}
    cells = sum(len(each) for each in seeds.values())
    columns = len({(of[at], seed) for at, each in seeds.items() for seed in each})
    return float(max(1, cells - len(seeds) - columns + len(set(of.values()))))
