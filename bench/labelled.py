"""Rows with labels as one value: what measures, evaluations and kept predictions all start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labelled:
    """N rows: what happened on each, and how each is ranked, weighed and resampled.

    Attributes:
        labels: (N, T), or (N,) of one task; NaN where unobserved.
        group: (N,), rows of one number are ranked against each other; negative where a row has none.
        weights: (N,), as many equal rows as each stands for, at least 0; None for one each.
        units: (N,), rows of one number are resampled together, see `bench.measure.resamples`: those of a group are
            always. None where these rows are a whole split whose card has no units.
    """

    labels: NDArray[Any]
    group: NDArray[Any]
    weights: NDArray[Any] | None = None
    units: NDArray[np.uint64] | None = None
