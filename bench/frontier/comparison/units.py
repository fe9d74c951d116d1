"""In which units differences are told: thousandths where a metric is read so (AUC x 1000), else the metric's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.objectives import Objective, in_thousandths, metric_of

Floats = NDArray[np.float64]
SHORT = {"auc": "AUC", "gauc": "GAUC", "gauc_positives": "GAUC by positives", "ne": "NE", "ece": "ECE"}


def unit(objective: Objective) -> tuple[float, str]:
    """What a difference is divided by before it is printed, and the words behind it."""
    metric = metric_of(objective.name)
    if not in_thousandths(objective.name):
        return 1.0, objective.name.removeprefix("cost/") if not objective.is_metric else metric
    return 1e-3, f"{SHORT.get(metric, metric)} x 1000"


def common_units(objectives: Sequence[Objective], reference: Mapping[str, float], means: Floats) -> tuple[Floats, str]:
    """Units (M,) in which a step in one objective counts as much as in another, and their name.

    Thousandths where all objectives are read so; else percent of the way from the reference to the best mean.

    Args:
        means: (N, M), of all that is compared.
    """
    units = [unit(objective) for objective in objectives]
    if all(in_thousandths(objective.name) for objective in objectives):
        names = list(dict.fromkeys(name for _, name in units))
        return np.array([size for size, _ in units]), names[0] if len(names) == 1 else "thousandths"
    signs = np.array([objective.sign for objective in objectives])
    at = np.array([reference[objective.name] for objective in objectives])
    ways = (signs * (means - at)).max(axis=0) / 100
    return np.where(ways > 0, ways, 1.0), "% of the way from the reference to the best"
