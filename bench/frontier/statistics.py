"""What is known of the uncertainty of a frontier: intervals, volume, attainment, baselines, shrinkage."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.frontier.intervals import Interval
from bench.frontier.points import Key

Floats = NDArray[np.float64]

ATTAINMENT = (25, 50, 75)
"""Percent of the seeds that reach an attainment surface."""


@dataclass(frozen=True)
class Statistics:
    """Of the confirmed points of a run. All intervals are at `bench.frontier.intervals.LEVEL`, 90%.

    The frontier's table has the intervals as well: columns `<key>.low` and `<key>.high` beside `<key>.mean`.

    Attributes:
        intervals: by point and metric key (validation, test and costs) the interval of its mean.
        covariance: by point the covariance (M, M) of its estimate on the frontier's split, seeds and data together:
            the shape of its uncertainty ellipse.
        hypervolume: of the confirmed points' true values; None where nothing is known of seeds.
        attainment: by percent (25, 50, 75) the surface (K, M), in natural units, that so many percent of the fronts of
            single seeds attain: non-dominated points, best in the first objective last.
        baselines: a row for each of `single_task`, `equal_weights`, `random_weights`, `trees` that there is: `name`,
            `trial` (None but for `single_task` where one trial is best in all), `replicates`, and for every metric key
            `<key>.mean`, `<key>.low`, `<key>.high`. `single_task` has for each task the best single-task point's.
        shrinkage: a row for each confirmed point and metric objective: `trial`, `until`, `objective`, `search` (the
            value that the search saw), `valid` and `test` (replicate means), `factor` and `shrunken`: the search's
            value drawn to the mean of all that were searched, by that factor.
    """

    intervals: dict[Key, dict[str, Interval]] = field(default_factory=dict)
    covariance: dict[Key, Floats] = field(default_factory=dict)
    hypervolume: Interval | None = None
    attainment: dict[int, Floats] = field(default_factory=dict)
    baselines: pd.DataFrame = field(default_factory=pd.DataFrame)
    shrinkage: pd.DataFrame = field(default_factory=pd.DataFrame)
