"""Confidence intervals of a metric, and of a paired difference between two configurations in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.frontier.samples import Sample

LEVEL = 0.9
"""Of every interval: nominal coverage."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval at `LEVEL`.

    Attributes:
        value: mean over replicates.
        seed: its standard error from what the seed does to a training.
        data: its standard error from the finite split that it was measured on; 0 where that was not resampled.
        freedom: effective degrees of freedom of both together.
    """

    value: float
    low: float
    high: float
    seed: float
    data: float
    freedom: float


def intervals(samples: Sequence[Sample | None]) -> list[list[Interval | None]]:
    """For each configuration an interval of each of M metrics.

    Args:
        samples: of all configurations together: few replicates each do not show what seeds do, but together they do.

    Returns:
        None where a configuration has no replicate, or where no configuration has two, so that nothing is known of
        seeds.
    """
    raise NotImplementedError


def difference(first: Sample, second: Sample, samples: Sequence[Sample | None]) -> list[Interval | None]:
    """Intervals of first - second in each of M metrics, paired over resamples.

    The two may be of different runs, of the same split of the same data.

    Args:
        samples: of all configurations from which what seeds do is learnt; the two among them.
    """
    raise NotImplementedError
