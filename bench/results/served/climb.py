"""Weights by climbing, from the best of the sweep: a lattice over many tasks is far too coarse to be chosen from.

Outcomes are steps of the weights, so there is no gradient to follow. Each weight is tried larger and smaller, by
factors that shrink (Hooke and Jeeves, Journal of the ACM 1961). All candidates have the same starts, factors and number
of tries, so that none is compared at worse weights than another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from bench.core.arrays import Floats
from bench.measure.predictions import Rows
from bench.results.fusion import Fusion
from bench.results.served.expected import Expected, level
from bench.results.served.measuring import Candidate, Meter, in_threads, meter_of

FACTORS = (2.5, 1.6, 1.25, 1.1, 1.04, 1.015)
"""By which a weight is made larger or smaller."""
TRIES, AGAIN = 16, 10
"""Of a candidate's first climbs, from each of its starts, for each task but one; of those for another goal, which also
begin where the best of these ended."""
LEAST_START = 0.002
"""Of the largest weight: from here a weight of 0 starts."""
ROOM = 0.03
"""By which share more than a floor a climb asks: what just keeps one there does not on all rows, nor surely."""
MOST_ROWS = 12_000
"""Rows of a split that a climb looks at, about: whole units."""


class Aim(Protocol):
    """An aim that weights are chosen for."""

    @property
    def name(self) -> str:
        """What tells it from others."""

    def score(self, values: Floats, base: Floats) -> Floats:
        """Outcomes (..., M) -> (...): the utility, as a fraction of the base's (M,) where it needs one."""

    def floors(self, base: Floats, chance: Floats) -> Floats:
        """(M,), what each outcome must have at least, by the base's and those of a random order (M,)."""


STRICT = 10.0
"""How many times its relative size a breach of a floor costs."""


@dataclass(frozen=True)
class Goal:
    """An aim with what it refers to: outcomes (M,) of the base, and of a random order.

    Attributes:
        room: by which share more than a floor is asked.
    """

    aim: Aim
    base: Floats
    chance: Floats
    room: float = 0.0

    def worth(self, values: Floats) -> Floats:
        """Scores (...) of outcomes (..., M), less for what is below a floor; minus infinity where one is unknown."""
        floors = self.aim.floors(self.base, self.chance) * (1 + self.room)
        short = np.nan_to_num(np.maximum(0.0, floors - values) / np.maximum(floors, 1e-9)).sum(axis=-1)
        known = np.isfinite(values).all(axis=-1)
        return np.where(known, self.utility(np.nan_to_num(values)) - STRICT * short, -np.inf)

    def utility(self, values: Floats) -> Floats:
        """U (...) of outcomes (..., M)."""
        return self.aim.score(values, self.base)


def climbed(
    candidates: Sequence[Candidate],
    rows: Mapping[str, Rows],
    outcomes: Sequence[str],
    starts: Sequence[Sequence[tuple[Sequence[Fusion], Goal]]],
    now: tuple[int, Fusion],
    likely: Expected | None = None,
) -> list[list[Fusion]]:
    """By candidate where its climbs end.

    Args:
        rows: by split, all that may choose.
        starts: by candidate and goal where it starts: the best of each kind.
        now: what goals refer to, as their base: a candidate's place, and the fusion.
        likely: the rows with expected labels, by which candidates climb, if there are any.
    """
    by_labels = [meter_of(candidates, own, split, outcomes, MOST_ROWS) for split, own in rows.items()]
    by_expected = [] if likely is None else [
        meter_of(candidates, own, split, likely.outcomes, MOST_ROWS) for split, own in likely.rows.items()
    ]  # fmt: skip

    def measure_of(at: int) -> Callable[[Fusion], Floats]:
        own = [meter.terms(at, kept) for meter, kept in by_labels]

        def measured(meters: Sequence[tuple[Meter, Any]], fusion: Fusion) -> Floats:
            by_meter = [meter.outcomes(fusion, each) for (meter, _), each in zip(meters, own, strict=True)]
            return np.asarray(np.mean(by_meter, axis=0))

        if not by_expected:
            return partial(measured, by_labels)
        known = dict.fromkeys([now[1], *(setting for settings, _ in starts[at] for setting in settings)])
        of = level(*(np.array([measured(of, each) for each in known]) for of in (by_labels, by_expected)))
        return lambda fusion: of * measured(by_expected, fusion)

    base = measure_of(now[0])(now[1]) if by_expected else None

    def one(at: int) -> list[Fusion]:
        ends: list[Fusion] = []
        if not starts[at]:
            return ends
        measure = measure_of(at)
        for settings, goal in starts[at]:
            goal = goal if base is None else replace(goal, base=base)
            if ends:
                ends.append(climb(measure, [*settings, ends[0]], goal, AGAIN)[1])
            else:
                tried = [climb(measure, [start], goal, TRIES) for start in settings]
                ends.append(max(tried, key=lambda each: each[0])[1])
        return ends

    return in_threads(one, range(len(candidates)))


def climb(
    measure: Callable[[Fusion], Floats], starts: Sequence[Fusion], goal: Goal, tries: int
) -> tuple[float, Fusion]:
    """The score and the setting where a climb from the best of its starts ends."""

    def tried(fusion: Fusion) -> float:
        return float(goal.worth(measure(fusion)))

    leader = max(starts, key=tried) if len(starts) > 1 else starts[0]
    best, tasks = tried(leader), len(leader.weights)
    left, weights = tries * (tasks - 1), np.maximum(leader.weights, LEAST_START * max(leader.weights))
    for factor in FACTORS:
        moved = True
        while moved and left > 0:
            moved = False
            for task in range(tasks if tasks > 2 else 1):
                for way in (factor, 1 / factor):
                    more = weights.copy()
                    more[task] *= way
                    fusion = Fusion.of(leader.kind, more.tolist())
                    score, left = tried(fusion), left - 1
                    if score > best + 1e-9:
                        best, leader, weights, moved = score, fusion, more, True
                        break
    return best, leader
