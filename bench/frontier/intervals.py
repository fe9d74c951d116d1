"""Confidence intervals of a metric, and of a paired difference between two configurations in it.

The error of a mean over replicates has two sources, which add: the seeds of its trainings, and the rows that it was
measured on. The first falls with replicates; the second, seen by resampling, does not, but is largely the same for two
configurations, so that their difference is known better than either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bench.frontier.samples import Sample
from bench.frontier.variance import seed_noise

Floats = NDArray[np.float64]

LEVEL = 0.9
"""Nominal coverage of every interval."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval at `LEVEL`.

    Attributes:
        value: mean over replicates.
        seed: its standard error from what the seed does to a training.
        data: its standard error from the finite split that it was measured on; 0 where that was not resampled.
        freedom: effective degrees of freedom of both together (Satterthwaite, Biometrics Bulletin 1946).
    """

    value: float
    low: float
    high: float
    seed: float
    data: float
    freedom: float


def intervals(samples: Sequence[Sample]) -> list[list[Interval]] | None:
    """For each configuration an interval of each of M metrics, by Student's t.

    Args:
        samples: of all configurations together: few replicates each do not show what seeds do, but together they do.

    Returns:
        None where no configuration has two replicates, so that nothing is known of seeds.
    """
    noise = seed_noise(samples)
    if noise is None:
        return None
    found = []
    for at, each in enumerate(samples):
        seed = np.diag(noise.apart[at]) / len(each)
        parts = each.mean, seed, _variance(each.deviation), noise.freedom[at]
        found.append(_intervals(*parts, len(each.deviation)))
    return found


def difference(first: Sample, second: Sample, samples: Sequence[Sample]) -> list[Interval] | None:
    """Intervals of first - second in each of M metrics, paired over resamples.

    The two may be of different runs, of the same split of the same data.

    Args:
        samples: of all configurations from which what seeds do is learnt; each of the two is added where it is not
            among them.

    Returns:
        None where no configuration has two replicates.
    """
    every = [first, second, *(each for each in samples if each is not first and each is not second)]
    noise = seed_noise(every)
    if noise is None:
        return None
    paired = first.deviations.shape[1] == second.deviations.shape[1] > 0
    data = _variance(first.deviation - second.deviation) if paired else np.zeros(first.values.shape[1])
    each = [np.diag(noise.apart[at]) / len(every[at]) for at in (0, 1)]
    seed = each[0] + each[1]
    freedom = noise.freedom[0]
    if not noise.common:
        parts = each[0] ** 2 / noise.freedom[0] + each[1] ** 2 / noise.freedom[1]
        freedom = np.where(parts > 0, seed**2 / np.where(parts > 0, parts, 1), freedom)
    return _intervals(first.mean - second.mean, seed, data, freedom, len(first.deviation))


def _variance(deviation: Floats) -> Floats:
    """Of deviations (B, M) over resamples: (M,)."""
    return deviation.var(axis=0, ddof=1) if len(deviation) > 1 else np.zeros(deviation.shape[1])


def _intervals(value: Floats, seed: Floats, data: Floats, freedom: Floats, resamples: int) -> list[Interval]:
    """From estimates, variances and degrees of freedom (M,)."""
    whole = seed + data
    parts = seed**2 / freedom + data**2 / max(1, resamples - 1)
    effective = np.where(parts > 0, whole**2 / np.where(parts > 0, parts, 1), freedom)
    reach = stdtrit(effective, 0.5 + LEVEL / 2) * np.sqrt(whole)
    rows = np.stack([value, value - reach, value + reach, np.sqrt(seed), np.sqrt(data), effective], axis=1)
    return [Interval(*row) for row in rows.tolist()]
