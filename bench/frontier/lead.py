"""How far models are ahead along the trade: by each aim that weights were chosen for, every model at its best weights.

Elsewhere models are not compared: a kept front has few points of each, and one with more of them would seem ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.frontier.contest import Contest
from bench.results.effect import Effect


@dataclass(frozen=True)
class Lead:
    """One place along the trade.

    Attributes:
        title: what counts there, for people.
        gains: by candidate how far it is ahead of the reference in U, with its paired interval. It is the verdict's.
    """

    title: str
    gains: Mapping[str, Effect]


def leads(contests: Sequence[Contest]) -> tuple[Lead, ...]:
    """A place for each aim; of two outcomes in their order along the trade."""
    if contests and len(contests[0].served.names) == 2:
        contests = sorted(contests, key=lambda each: each.aim.weights[0] / sum(each.aim.weights))
    return tuple(
        Lead(
            each.aim.title,
            {point: each.moves(row).utility for point, row in each.best.items() if row != each.start},
        )
        for each in contests
    )
