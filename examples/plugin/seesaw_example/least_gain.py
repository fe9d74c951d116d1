"""A pick rule that thinks of the worst metric."""

from __future__ import annotations

from bench.core.arrays import Floats
from bench.deciding.policy import Terms


def least_gain(gains: Floats, terms: Terms) -> Floats:
    """The least gain of the metrics that have a weight: gains (..., rows, M) -> scores (...,
    rows).
    """
    least: Floats = gains[..., terms.weights > 0].min(-1)
    return least
