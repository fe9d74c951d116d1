"""Rows with labels as one value, which metrics, evaluations and kept predictions share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labelled:
    """N rows: labels, and how rows are ranked, weighted and resampled.

    Attributes:
        labels: (N, T), or (N,) of one task; NaN where unobserved.
        group: (N,), rows with the same number are ranked against each other; negative for rows
            without a group.
        weights: (N,) >= 0, the number of equal rows that each stands for; None means 1.
        units: (N,), rows with the same number are resampled together, see
            `bench.measure.resamples`; so are rows of a group. None where these rows are a whole
            split whose card has no units.
    """

    labels: NDArray[Any]
    group: NDArray[Any]
    weights: NDArray[Any] | None = None
    units: NDArray[np.uint64] | None = None
