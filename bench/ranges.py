"""Numbers divided into ranges of about equal count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def begins(counts: NDArray[np.int64], ranges: int) -> NDArray[np.bool_]:
    """Where neighbouring values, or finer ranges, are put together to about `ranges` ranges of about equal count.

    A value that alone holds 1 / ranges of the rows gets a range for itself. So a spike (nine in ten people have no
    capital gains) does not swallow the quantiles of the rest. Such values part the ranges beside them, so there may be
    more than `ranges`.

    Args:
        counts: (V,) rows of each, in rising order of the values.

    Returns:
        (V - 1,), whether a range begins with the second value, the third, ...
    """
    if len(counts) <= 1:
        return np.zeros(0, np.bool_)
    spike = counts * ranges >= counts.sum()
    rest = np.where(spike, 0, counts)
    share = max(rest.sum() / max(ranges - spike.sum(), 1), 1)
    position = np.floor((np.cumsum(rest) - rest / 2) / share)
    found: NDArray[np.bool_] = (np.diff(position) > 0) | spike[1:] | spike[:-1]
    return found
