"""Means over replicates with their intervals, also of paired differences.

The error of a mean over replicates has two sources, which add: the seeds of its trainings, and the
rows that it was measured on. The first falls with replicates; the second, seen by resampling, does
not, but is largely the same for two points, so that their difference is known better than either.
So is the first where both were trained on the same seeds. `differences` is the only place that
compares two points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from bench.core.arrays import Floats
from bench.core.objectives import Objective
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.errors.evidence import (
    Evidence,
    means_of,
    replicates_of,
    resamples_of,
    rows_freedom_of,
    variance,
)
from bench.ledger.errors.seed_noise import SeedNoise, between, satterthwaite, seed_noise

ONE_ERROR = (0.1587, 0.8413)
"""Quantiles of a normal distribution one standard error below and above its mean."""


def error_of(draws: NDArray[np.floating]) -> Floats:
    """Standard errors (..) of what is drawn (D, ..): half the width of the middle 68%.

    Few replicates have draws with heavy tails, of which the farthest would decide a standard
    deviation.
    """
    low, high = np.quantile(draws, ONE_ERROR, axis=0)
    return np.asarray(high - low) / 2


def reflected(estimate: float, drawn: Floats) -> Effect:
    """Of a statistic that noise makes too large, by the basic bootstrap (Davison & Hinkley, 1997,
    5.2).

    The hypervolume of noisy values is too large, that of draws about them by as much again:
    reflected at the estimate, the draws are free of it.

    Args:
        estimate: from means.
        drawn: (D,), the statistic of posterior draws about the means, not shrunken.
    """
    low, high = 2 * estimate - np.quantile(drawn, [0.5 + LEVEL / 2, 0.5 - LEVEL / 2])
    return Effect(float(2 * estimate - drawn.mean()), float(low), float(high))


def intervals(evidence: Sequence[Evidence]) -> list[list[Effect]] | None:
    """For each point the mean over replicates of each of M measures, with its interval by Student's
    t.

    Args:
        evidence: of all points together: few replicates each do not show what seeds do, but
            together they do.

    Returns:
        None where no point has two replicates, so that nothing is known of seeds.
    """
    noise = seed_noise(evidence)
    if noise is None:
        return None
    replicates = replicates_of(evidence)[:, None]
    from_seeds = np.diagonal(noise.seed_only, axis1=1, axis2=2) / replicates  # (N, M)
    from_rows = np.array([variance(of_point.mean_moves) for of_point in evidence])
    rows_freedom = rows_freedom_of(evidence)
    freedom = satterthwaite((from_seeds, from_rows), (noise.freedom, rows_freedom))
    rows = []
    for point, of_point in enumerate(evidence):
        effects = _effects(of_point.mean, from_seeds[point] + from_rows[point], freedom[point])
        for measure, on_logits in enumerate(of_point.logit):
            if on_logits:
                effects[measure] = _on_logits(effects[measure])
        rows.append(effects)
    return rows


def intervals_by_id(evidence: Mapping[str, Evidence]) -> dict[str, Effect]:
    """The same of one measure by the points' ids; empty where nothing is known of seeds."""
    rows = intervals(list(evidence.values())) if evidence else None
    if rows is None:
        return {}
    effects = chain.from_iterable(rows)  # of the one measure
    return dict(zip(evidence, effects, strict=True))


@dataclass(frozen=True)
class Differences:
    """Differences between all pairs of N points in M measures: [i, j] is point i minus j.

    Attributes:
        value: (N, N, M), of the means over replicates.
        seed: (N, N, M), its variance from seeds; paired by seed where two or more are shared.
        rows: (N, N, M), its variance from the finite split, paired by resample.
        freedom: (N, N, M), effective degrees of freedom of `seed + rows` (Satterthwaite, Biometrics
            Bulletin 1946).
        shared: (N, N), on how many seeds both were trained; pairs with two or more are paired by
            seed.
        saved: (M,), how many times fewer seeds pairing needs than independent seeds would for the
            same variance from seeds, over all paired differences together; 1 where none is paired.
    """

    value: Floats
    seed: Floats
    rows: Floats
    freedom: Floats
    shared: NDArray[np.int64]
    saved: Floats

    def intervals(self, first: int, second: int) -> list[Effect]:
        """Of the first point minus the second in each measure."""
        pair = first, second
        return _effects(self.value[pair], self.seed[pair] + self.rows[pair], self.freedom[pair])

    def improvements(
        self, first: int, second: int, objectives: Sequence[Objective]
    ) -> list[Effect]:
        """How much better the first is than the second in each measure, by its objective's
        direction.
        """
        ahead, behind = self.intervals(first, second), self.intervals(second, first)
        improvements = []
        for place, objective in enumerate(objectives):
            improvements.append(ahead[place] if objective.sign > 0 else behind[place])
        return improvements


def differences(evidence: Sequence[Evidence]) -> Differences | None:
    """The differences between all points, which may be of different runs on the same split of the
    same data.

    Returns:
        None where no point has two replicates, so that nothing is known of seeds.
    """
    noise = seed_noise(evidence)
    if noise is None:
        return None
    means = means_of(evidence)
    seed, seed_freedom = between(evidence, noise)
    rows, rows_freedom = _rows_between(evidence)
    return Differences(
        value=means[:, None] - means[None],
        seed=seed,
        rows=rows,
        freedom=satterthwaite((seed, rows), (seed_freedom, rows_freedom)),
        shared=noise.paired.shared,
        saved=_saved(noise),
    )


def _saved(noise: SeedNoise) -> Floats:
    """See `Differences.saved`."""
    paired = noise.paired.shared > 1
    np.fill_diagonal(paired, False)
    variances = np.diagonal(noise.within, axis1=1, axis2=2)
    independent = (variances[:, None] + variances[None])[paired].sum(axis=0)
    of_pairs = noise.paired.within[paired].sum(axis=0)
    nothing_left = np.where(independent > 0, np.inf, 1.0)
    return np.asarray(np.divide(independent, of_pairs, out=nothing_left, where=of_pairs > 0))


def _rows_between(evidence: Sequence[Evidence]) -> tuple[Floats, Floats]:
    """Variances of all differences over resamples, and their degrees of freedom, both (N, N, M).

    Of two that were not resampled alike the difference has the variances of both.
    """
    moves = [of_point.mean_moves for of_point in evidence]
    alone = np.array(list(map(variance, moves)))
    variances = alone[:, None] + alone[None]
    resamples = resamples_of(evidence)
    for count in set(resamples.tolist()):
        alike = np.flatnonzero(resamples == count)
        moved_alike = np.array([moves[point] for point in alike])
        for point, moved in zip(alike, moved_alike, strict=True):
            variances[point, alike] = variance(moved - moved_alike)
    freedom = rows_freedom_of(evidence)
    return variances, np.minimum(freedom[:, None], freedom[None])


def _effects(value: Floats, variances: Floats, freedom: Floats) -> list[Effect]:
    """From estimates, their variances and degrees of freedom, each (M,)."""
    reach = stdtrit(freedom, 0.5 + LEVEL / 2) * np.sqrt(variances)
    ends = np.stack([value, value - reach, value + reach], axis=1)
    return [Effect(*row) for row in ends.tolist()]


def _on_logits(effect: Effect) -> Effect:
    """An interval of a value between 0 and 1, symmetric on the logit scale: Wald's, with t."""
    value = min(max(effect.value, 1e-6), 1 - 1e-6)
    reach = (effect.high - effect.value) / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-reach, reach])).tolist()
    return Effect(effect.value, low, high)
