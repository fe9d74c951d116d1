"""What a served front says beside the verdict: what an outcome costs in another, and whether models or weights gain."""

from __future__ import annotations

import numpy as np

from bench.frontier.served.distance import Distance, distance, exchange, rows_of
from bench.frontier.served.served import Served


def readings(served: Served, row: int) -> list[str]:
    """Sentences about a served front.

    Args:
        row: of the pick: exchange rates are those there.
    """
    return [*_exchanges(served, row), *_models(served)]


def _exchanges(served: Served, row: int) -> list[str]:
    """What one per cent of the first outcome buys of each other one, at a row."""
    paid, *others = (each.name for each in served.outcomes)
    found = [exchange(served, row, paid, bought) for bought in others]
    return [
        f"At the pick, giving up 1% of {paid} buys {_number(each, 1)} of {each.outcome}."
        for each in found
        if each is not None and each.value > 0
    ]


def _models(served: Served) -> list[str]:
    """How far the searched models' front is beyond the current point's own models under any weights."""
    now = str(served.table["point"][served.current])
    own, trials = rows_of(served, points=[now]), rows_of(served, roles=["trial"])
    if own.sum() < 2 or not trials.any():
        return []
    found = [distance(served, trials, own, each.name) for each in served.outcomes]
    told = [f"{each.outcome} {_number(each)}" for each in found if each is not None]
    if not told:
        return []
    return [
        f"Models alone: against the current point's own models under any weights, the searched models have, at equal "
        f"other outcomes, {', '.join(told)}."
    ]


def _number(found: Distance, unit: float = 100) -> str:
    """A distance in per cent; an exchange rate, of unit 1, is per cent for one per cent."""
    sure = f" ({unit * found.low:+.1f} to {unit * found.high:+.1f})" if np.isfinite(found.low) else ""
    return f"{unit * found.value:+.1f}%{sure}"
