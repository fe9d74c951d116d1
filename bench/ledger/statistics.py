"""Means over replicates with their intervals, also of paired differences.

The error of a mean over replicates has two sources, which add: the seeds of its trainings, and the
rows that it was measured on. The first falls with replicates; the second, seen by resampling, does
not, but is largely the same for two configurations, so that their difference is known better than
either. So is the first where both were trained on the same seeds. `differences` is the only place
that compares two configurations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from bench.core.arrays import Floats
from bench.core.objectives import Objective
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.samples import Sample, between, satterthwaite, seed_noise, variance

ONE_ERROR = (0.1587, 0.8413)
"""Quantiles of a normal distribution one standard error below and above its mean."""


def error_of(draws: NDArray[np.floating]) -> Floats:
    """Standard errors (..) of what is drawn (D, ..): half the width of the middle 68%.

    Few replicates have draws with heavy tails, of which the farthest would decide a standard
    deviation.
    """
    low, high = np.quantile(draws, ONE_ERROR, axis=0)
    return np.asarray(high - low) / 2


def reflected(at: float, drawn: Floats) -> Effect:
    """Of a statistic that noise makes too large, by the basic bootstrap (Davison & Hinkley, 1997,
    5.2).

    The hypervolume of noisy values is too large, that of draws about them by as much again:
    reflected at the estimate, the draws are free of it.

    Args:
        at: the estimate, from means.
        drawn: (D,), the statistic of posterior draws about the means, not shrunken.
    """
    low, high = 2 * at - np.quantile(drawn, [0.5 + LEVEL / 2, 0.5 - LEVEL / 2])
    return Effect(float(2 * at - drawn.mean()), float(low), float(high))


def intervals(samples: Sequence[Sample]) -> list[list[Effect]] | None:
    """For each configuration the mean over replicates of each of M metrics, with its interval by
    Student's t.

    Args:
        samples: of all configurations together: few replicates each do not show what seeds do, but
            together they do.

    Returns:
        None where no configuration has two replicates, so that nothing is known of seeds.
    """
    noise = seed_noise(samples)
    if noise is None:
        return None
    seed = np.diagonal(noise.apart, axis1=1, axis2=2) / [[len(each)] for each in samples]  # (N, M)
    data = np.array([variance(each.deviation) for each in samples])
    rows_freedom = np.array([each.rows_freedom for each in samples])
    freedom = satterthwaite((seed, data), (noise.freedom, rows_freedom))
    effects = map(_effects, [each.mean for each in samples], seed + data, freedom)
    return [
        [_on_logits(of) if curved else of for of, curved in zip_longest(row, each.logit)]
        for row, each in zip(effects, samples, strict=True)
    ]


def intervals_of(samples: Mapping[str, Sample]) -> dict[str, Effect]:
    """The same of one metric by the points' ids; empty where nothing is known of seeds."""
    return {
        point: of
        for point, (of,) in zip(samples, intervals(list(samples.values())) or (), strict=False)
    }


@dataclass(frozen=True)
class Differences:
    """Differences between all pairs of N configurations in M metrics: [i, j] is configuration i
    minus j.

    Attributes:
        value: (N, N, M), of the means over replicates.
        seed: (N, N, M), its variance from seeds; paired by seed where two or more are shared.
        data: (N, N, M), its variance from the finite split, paired by resample.
        freedom: (N, N, M), effective degrees of freedom of `seed + data` (Satterthwaite, Biometrics
            Bulletin 1946).
        shared: (N, N), on how many seeds both were trained; pairs with two or more are paired by
            seed.
        gain: (M,), how many times fewer seeds pairing needs than independent seeds would for the
            same variance from seeds, over all paired differences together; 1 where none is paired.
    """

    value: Floats
    seed: Floats
    data: Floats
    freedom: Floats
    shared: NDArray[np.int64]
    gain: Floats

    def intervals(self, first: int, second: int) -> list[Effect]:
        """Of the first configuration less the second in each metric."""
        pair = first, second
        return _effects(self.value[pair], self.seed[pair] + self.data[pair], self.freedom[pair])

    def gains(self, first: int, second: int, objectives: Sequence[Objective]) -> list[Effect]:
        """How much better the first is than the second in each metric, by its objective's
        direction.
        """
        both = zip(
            self.intervals(first, second), self.intervals(second, first), objectives, strict=True
        )
        return [ahead if each.sign > 0 else behind for ahead, behind, each in both]


def differences(samples: Sequence[Sample]) -> Differences | None:
    """The differences between all configurations, which may be of different runs on the same split
    of the same data.

    Returns:
        None where no configuration has two replicates, so that nothing is known of seeds.
    """
    noise = seed_noise(samples)
    if noise is None:
        return None
    paired, means = noise.paired, np.array([each.mean for each in samples])
    seed, freedom = between(samples, noise)
    data, rows = _data(samples)
    off = paired.shared > 1
    np.fill_diagonal(off, False)
    whole = np.diagonal(noise.within, axis1=1, axis2=2)
    independent, own = (
        (whole[:, None] + whole[None])[off].sum(axis=0),
        paired.within[off].sum(axis=0),
    )
    gain = np.divide(independent, own, out=np.where(independent > 0, np.inf, 1.0), where=own > 0)
    freedom = satterthwaite((seed, data), (freedom, rows))
    return Differences(means[:, None] - means[None], seed, data, freedom, paired.shared, gain)


def _data(samples: Sequence[Sample]) -> tuple[Floats, Floats]:
    """Variances of all differences over resamples, and their degrees of freedom, both (N, N, M).

    Of two that were not resampled alike the difference has the variances of both.
    """
    moved, known = (
        [each.deviation for each in samples],
        np.array([each.rows_freedom for each in samples]),
    )
    alone = np.array([variance(each) for each in moved])
    data, lengths = alone[:, None] + alone[None], np.array([len(each) for each in moved])
    for length in set(lengths.tolist()):
        alike = np.flatnonzero(lengths == length)
        stacked = np.array([moved[at] for at in alike])
        for at, own in zip(alike, stacked, strict=True):
            data[at, alike] = variance(own - stacked)
    return data, np.minimum(known[:, None], known[None])


def _effects(value: Floats, variance: Floats, freedom: Floats) -> list[Effect]:
    """From estimates, their variances and degrees of freedom, each (M,)."""
    reach = stdtrit(freedom, 0.5 + LEVEL / 2) * np.sqrt(variance)
    return [
        Effect(*row) for row in np.stack([value, value - reach, value + reach], axis=1).tolist()
    ]


def _on_logits(of: Effect) -> Effect:
    """An interval of a value between 0 and 1, symmetric on the logit scale: Wald's, with t."""
    value = min(max(of.value, 1e-6), 1 - 1e-6)
    reach = (of.high - of.value) / (value * (1 - value))
    return Effect(of.value, *expit(logit(value) + np.array([-reach, reach])).tolist())
