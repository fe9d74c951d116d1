"""What is known of the uncertainty of a frontier: intervals, P(non-dominated), volume, attainment, baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.frontier.attainment import attainment
from bench.frontier.baselines import baseline_table
from bench.frontier.hypervolume import hypervolume
from bench.frontier.intervals import LEVEL, Interval, intervals
from bench.frontier.points import Key, key_of
from bench.frontier.samples import Sample, covariance, sample
from bench.frontier.shrinkage import shrinkage
from bench.frontier.table import replicate_keys
from bench.frontier.uncertainty import posterior_draws, share_nondominated
from bench.frontier.variance import seed_noise
from bench.objectives import Objective
from bench.records import TrialRecord
from bench.seeds import derive

Floats = NDArray[np.float64]

VOLUMES = 1000
"""Posterior draws of which the hypervolume is taken."""


@dataclass(frozen=True)
class Statistics:
    """Of the confirmed points of a run. All intervals are at `bench.frontier.intervals.LEVEL`, 90%.

    The frontier's table has the intervals as well: columns `<key>.low` and `<key>.high` beside `<key>.mean`.

    Attributes:
        p_nondominated: by point the probability that no other confirmed point dominates it.
        intervals: by point and metric key (validation, test and costs) the interval of its mean.
        covariance: by point the covariance (M, M) of its estimate on the frontier's split, seeds and data together:
            the shape of its uncertainty ellipse.
        hypervolume: of the confirmed points' true values; None where nothing is known of seeds. Its value is that of
            the means less the bias that it has from taking the best of noisy values.
        attainment: by percent (25, 50, 75) the surface (K, M), see `bench.frontier.attainment`.
        baselines: see `bench.frontier.baselines`.
        shrinkage: see `bench.frontier.shrinkage`.
    """

    p_nondominated: dict[Key, float] = field(default_factory=dict)
    intervals: dict[Key, dict[str, Interval]] = field(default_factory=dict)
    covariance: dict[Key, Floats] = field(default_factory=dict)
    hypervolume: Interval | None = None
    attainment: dict[int, Floats] = field(default_factory=dict)
    baselines: pd.DataFrame = field(default_factory=pd.DataFrame)
    shrinkage: pd.DataFrame = field(default_factory=pd.DataFrame)


def statistics(
    points: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
    others: Sequence[TrialRecord] = (),
) -> Statistics:
    """Of all points of a run, of which only confirmed ones count.

    Args:
        reference: of the hypervolume, complete.
        seed: of the run, for what is simulated.
        others: baselines that are no trials of the search, with their replicates.
    """
    keys = [objective.key(split) for objective in objectives]
    found = {key_of(point): one for point in points if (one := sample(point, keys))}
    samples = list(found.values())
    noise = seed_noise(samples) if samples else None
    baselines = baseline_table(points, others, objectives)
    if noise is None:
        return Statistics(baselines=baselines)
    drawn = posterior_draws(samples, noise, derive(seed, "p_nondominated"), objectives=objectives)
    chances = share_nondominated(drawn, objectives)
    about = posterior_draws(samples, noise, derive(seed, "hypervolume"), VOLUMES)
    return Statistics(
        p_nondominated=dict(zip(found, chances.tolist(), strict=True)),
        intervals=interval_table(points, replicate_keys(objectives)),
        covariance={
            key: noise.apart[at] / len(each) + covariance(each.deviation)
            for at, (key, each) in enumerate(found.items())
        },
        hypervolume=volume_interval(samples, about, objectives, reference),
        attainment=attainment(samples, objectives, derive(seed, "attainment")),
        baselines=baselines,
        shrinkage=shrinkage(points, objectives),
    )


def interval_table(points: Sequence[TrialRecord], keys: Sequence[str]) -> dict[Key, dict[str, Interval]]:
    """By point and key the interval of its mean, each key by itself, as some may be missing somewhere."""
    table: dict[Key, dict[str, Interval]] = {}
    for key in keys:
        found: dict[Key, Sample] = {key_of(point): drawn for point in points if (drawn := sample(point, [key]))}
        for point, row in zip(found, intervals(list(found.values())) or (), strict=False):
            table.setdefault(point, {})[key] = row[0]
    return table


def volume_interval(
    samples: Sequence[Sample], drawn: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]
) -> Interval:
    """Of the hypervolume of true values, by the basic bootstrap (Davison & Hinkley, 1997, 5.2).

    The hypervolume of noisy values comes out too large, that of draws about them by as much again: reflected at
    the estimate, their quantiles are free of it.

    Args:
        drawn: posterior draws about the means (D, N, M), not shrunken.
    """
    at = hypervolume(np.array([each.mean for each in samples]), objectives, reference)
    volumes = np.array([hypervolume(each, objectives, reference) for each in drawn])
    low, high = 2 * at - np.quantile(volumes, [0.5 + LEVEL / 2, 0.5 - LEVEL / 2])
    spread = float(volumes.std(ddof=1))
    return Interval(float(2 * at - volumes.mean()), float(low), float(high), spread, 0.0, np.inf)
