"""The winner's curse: the search's best values are the best partly by luck, and are worth less than they look.

Four steps: the value that the search saw, the mean over fresh seeds on validation (without the luck of the seed), on
confirmation rows (without that of having been chosen for validation's rows), and on test. Beside them is the shrunken
value that the search alone lets one expect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.frontier.estimates import confirmed, estimate
from bench.frontier.samples import sample
from bench.frontier.variance import seed_noise
from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM, REPLICATED, SEARCH

COLUMNS = ["trial", "until", "objective", "search", "valid", "confirm", "test", "factor", "shrunken"]


def shrinkage(points: Sequence[Point], objectives: Sequence[Objective]) -> pd.DataFrame:
    """A row for each confirmed point and metric, columns `COLUMNS`; none where nothing is known of seeds.

    `shrunken` is the empirical-Bayes estimate from the search alone: middle + factor (search - middle), factor = 1 -
    noise / spread. `middle` and `spread` are the median and the variance, by the median absolute deviation, of what the
    search saw of all points, so that a few failures among them do not count; `noise` is what one seed does, and what
    the split's rows do to one configuration against another.
    """
    rows = []
    for objective in objectives:
        if not objective.is_metric:
            continue
        seen = np.array([point.metrics.get(objective.key(SEARCH), np.nan) for point in points])
        noise = _noise(points, objective.key(CONFIRM))
        if noise is None or np.isfinite(seen).sum() < 2:
            continue
        middle = float(np.nanmedian(seen))
        spread = (1.4826 * float(np.nanmedian(np.abs(seen - middle)))) ** 2
        factor = max(0.0, 1 - noise / spread) if spread > 0 else 0.0
        for point, value in zip(points, seen, strict=True):
            if confirmed(point):
                means = [estimate(point, objective.name, split) for split in REPLICATED]
                drawn = middle + factor * (value - middle)
                rows.append([point.number, point.until, objective.name, value, *means, factor, drawn])
    return pd.DataFrame(rows, columns=COLUMNS)


def _noise(points: Sequence[Point], key: str) -> float | None:
    """Variance of what the search sees of a configuration about its true value, without what moves all alike.

    Learnt from `key`, on confirmation rows: they are about as many as those that the search sees.
    """
    samples = [found for point in points if (found := sample(point, [key]))]
    seeds = seed_noise(samples) if samples else None
    if seeds is None:
        return None
    data = 0.0
    if len(samples) > 1 and all(each.deviations.shape[1] for each in samples):
        data = float(np.nanmean(np.array([each.deviation[:, 0] for each in samples]).var(axis=0, ddof=1)))
    return float(seeds.apart[:, 0, 0].mean()) + data
