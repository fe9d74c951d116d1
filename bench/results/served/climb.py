"""Weights by climbing, from the best of the sweep: a lattice over many tasks is far too coarse to be chosen from.

Outcomes are steps of the weights, so there is no gradient to follow. A climb changes each weight once, and fits lines
to the outcomes. Then it moves to the best score that the lines predict within a box, which gets smaller where they
predicted too much: a trust region, as in Powell's COBYLA (Advances in Optimization and Numerical Analysis, 1994).
Limits make ridges in the score, along which no change of one weight leads. All candidates have the same starts, boxes
and number of tries, so that none is compared at worse weights than another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any, Protocol

import numpy as np

from bench.core.arrays import Floats
from bench.measure.predictions import KeptRows
from bench.results.fusion import Fusion, FusionKind
from bench.results.served.expected import Expected, level
from bench.results.served.measuring import Candidate, Meter, in_threads, meter_of

STEP, LEAST_STEP, MOST_STEP = 0.9, 0.015, 1.35
"""Half a box, in logarithms of weights plus `SHIFT`: at first, at least and at most."""
NO_GAIN, LITTLE_GAIN, AT_EDGE = 0.4, 0.6, 1.5
"""How a box changes: where a move gained nothing, less than `KEPT` of what was predicted, or more at the box's edge."""
KEPT = 0.3
SHIFT = 0.3
"""Of the largest weight, which is added to all: so a step leads from a weight of 0 to one that counts, and back."""
SOFT = 0.2
"""Of an outcome of the base, which is added to those that lines are fitted to the logarithms of."""
TRIES, AGAIN = 16, 10
"""Of a candidate's first climbs, from each of its starts, for each task but one; of those for another goal, which also
begin where the best of these ended."""
ROOM = 0.03
"""By which share more than a floor a climb asks: what just keeps one there does not on all rows, nor surely."""
CLIMB_ROWS = 12_000
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
    rows: Mapping[str, KeptRows],
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
    by_labels = [meter_of(candidates, own, split, outcomes, CLIMB_ROWS) for split, own in rows.items()]
    by_expected = [] if likely is None else [
        meter_of(candidates, own, split, likely.outcomes, CLIMB_ROWS) for split, own in likely.rows.items()
    ]  # fmt: skip

    def measure_of(at: int) -> Callable[[Fusion], Floats]:
        own = [meter.terms(at, kept) for meter, kept in by_labels]

        def measured(meters: Sequence[tuple[Meter, Any]], fusion: Fusion) -> Floats:
            found = [meter.outcomes(fusion, each) for (meter, _), each in zip(meters, own, strict=True)]
            return np.asarray(np.mean(found, axis=0))

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

    def look(fusion: Fusion) -> tuple[float, Fusion, Floats]:
        outcomes = measure(fusion)
        return float(goal.worth(outcomes)), fusion, np.maximum(outcomes, 0.0)

    top, soft, rng = (
        max(map(look, starts), key=itemgetter(0)),
        SOFT * np.maximum(goal.base, 1e-3),
        np.random.default_rng(0),
    )
    kind, tasks = top[1].kind, len(top[1].weights)
    left, step = tries * (tasks - 1), STEP
    while step >= LEAST_STEP and left > 0:
        best, setting, outcomes = top
        place, level = np.log(np.array(setting.weights) / max(setting.weights) + SHIFT), np.log(outcomes + soft)
        free = np.arange(tasks) != place.argmax()
        least, most = np.maximum(-step, np.log(SHIFT) - place) * free, step * free
        slopes, seen = np.zeros((tasks, len(outcomes))), [top]
        for task in np.flatnonzero(free).tolist():
            way = step / 2 * (1.0 if least[task] > -step / 2 or rng.random() < 0.5 else -1.0)
            seen.append(look(_moved(kind, place, way * np.eye(tasks)[task])))
            slopes[task] = (np.log(seen[-1][2] + soft) - level) / way

        def predicted(moves: Floats, level: Floats = level, slopes: Floats = slopes) -> Floats:
            return goal.worth(np.maximum(np.exp(level + moves @ slopes) - soft, 0.0))

        move = _best_move(predicted, least, most, rng)
        seen.append(look(_moved(kind, place, move)))
        left -= len(seen) - 1
        top = max(seen, key=itemgetter(0))
        gained = top[0] - best
        if gained <= 1e-9:
            step *= NO_GAIN
        elif gained < KEPT * (float(predicted(move)) - best):
            step *= LITTLE_GAIN
        elif np.abs(move).max() > 0.9 * step:
            step = min(AT_EDGE * step, MOST_STEP)
    return top[0], top[1]


def _moved(kind: FusionKind, place: Floats, move: Floats) -> Fusion:
    return Fusion.of(kind, np.maximum(np.exp(place + move) - SHIFT, 0.0).tolist())


def _best_move(value: Callable[[Floats], Floats], least: Floats, most: Floats, rng: np.random.Generator) -> Floats:
    """(T,), the move between `least` and `most` of the largest value that random steps, ever smaller, find."""
    best, size = np.zeros(len(most)), float(most.max())
    top, ways = float(value(best)), np.eye(len(most))
    for _ in range(14):
        moves = np.vstack([rng.normal(size=(120, len(most))), ways, -ways])
        moves *= rng.random((len(moves), 1)) / np.abs(moves).max(axis=1, keepdims=True)
        tried = np.clip(best + size * moves, least, most)
        values = value(tried)
        if values.max() > top + 1e-12:
            best, top = tried[values.argmax()], float(values.max())
        else:
            size /= 2
    return best
