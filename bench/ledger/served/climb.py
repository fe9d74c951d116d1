"""Weights by climbing, from the best of the sweep: a lattice over many tasks is far too coarse to
be chosen from.

Outcomes are steps of the weights, so there is no gradient to follow. A climb changes each weight
once, and fits lines to the outcomes. Then it moves to the best score that the lines predict within
a box, which gets smaller where they predicted too much: a trust region, as in Powell's COBYLA
(Advances in Optimization and Numerical Analysis, 1994). Limits make ridges in the score, along
which no change of one weight leads. All candidates have the same starts, boxes and number of tries,
so that none is compared at worse weights than another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Protocol

import numpy as np

from bench.core.arrays import Floats
from bench.ledger.fusion import FUSION_KINDS, Fusion, FusionKind, FusionTerms
from bench.ledger.served.expected import Expected, level
from bench.ledger.served.measuring import Candidate, Meter, SampledMeter, in_threads, sampled_meters
from bench.ledger.served.sweep import Swept
from bench.measure.predictions import KeptRows

STEP, LEAST_STEP, MOST_STEP = 0.9, 0.015, 1.35
"""Half a box, in logarithms of weights plus `SHIFT`: at first, at least and at most."""
NO_GAIN, LITTLE_GAIN, AT_EDGE = 0.4, 0.6, 1.5
"""How a box changes: where a move gained nothing, less than `KEPT` of what was predicted, or more
at the box's edge.
"""
KEPT = 0.3
SHIFT = 0.3
"""Of the largest weight, which is added to all: so a step leads from a weight of 0 to one that
counts, and back.
"""
SOFT = 0.2
"""Of an outcome of the base, which is added to those that lines are fitted to the logarithms of."""
TRIES, AGAIN = 16, 10
"""Of a candidate's first climbs, from each of its starts, for each task but one; of those for
another goal, which also begin where the best of these ended."""
ROOM = 0.03
"""By which share more than a floor a climb asks: what just keeps one there does not on all rows,
nor surely.
"""
CLIMB_ROWS = 12_000
"""Rows of a split that a climb looks at, about: whole units."""


class Aim(Protocol):
    """An aim that weights are chosen for."""

    @property
    def name(self) -> str:
        """What tells it from others."""

    def score(self, values: Floats, base: Floats) -> Floats:
        """Outcomes (..., M) -> (...): the utility, as a fraction of the base's (M,) where it needs
        one.
        """

    def floors(self, base: Floats, chance: Floats) -> Floats:
        """(M,), what each outcome must have at least, by the base's and those of a random order
        (M,).
        """


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
        """Scores (...) of outcomes (..., M), less for what is below a floor; minus infinity where
        one is unknown.
        """
        floors = self.aim.floors(self.base, self.chance) * (1 + self.room)
        breaches = np.maximum(0.0, floors - values) / np.maximum(floors, 1e-9)
        penalties = STRICT * np.nan_to_num(breaches).sum(axis=-1)
        defined = np.isfinite(values).all(axis=-1)
        return np.where(defined, self.utility(np.nan_to_num(values)) - penalties, -np.inf)

    def utility(self, values: Floats) -> Floats:
        """U (...) of outcomes (..., M)."""
        return self.aim.score(values, self.base)


@dataclass(frozen=True)
class Start:
    """Settings that a climb begins at, the best of each kind, and what it climbs for."""

    settings: Sequence[Fusion]
    goal: Goal


@dataclass(frozen=True)
class CurrentPoint:
    """What goals refer to: a candidate's place among all, and the fusion."""

    candidate: int
    fusion: Fusion


@dataclass(frozen=True)
class Outlook:
    """The outcomes of one candidate under any weights: means over samples of the splits that
    choose.

    Attributes:
        meters: by split; of expected labels where there are any.
        terms: by split, of each replicate.
        level: (M,), what outcomes are multiplied by.
    """

    meters: Sequence[Meter]
    terms: Sequence[Sequence[FusionTerms]]
    level: Floats | float = 1.0

    def under(self, setting: Fusion) -> Floats:
        """(M,), under one setting."""
        by_split = []
        for meter, terms in zip(self.meters, self.terms, strict=True):
            by_split.append(meter.outcomes(setting, terms))
        return np.asarray(self.level * np.mean(by_split, axis=0))


@dataclass(frozen=True)
class ClimbRows:
    """Samples of the splits that choose, about `CLIMB_ROWS` of each, by labels and by expected
    ones.

    Attributes:
        by_expected: empty where no label is expected. They are of the same rows as `by_labels`.
    """

    by_labels: Sequence[SampledMeter]
    by_expected: Sequence[SampledMeter]

    @staticmethod
    def of(
        candidates: Sequence[Candidate],
        rows: Mapping[str, KeptRows],
        names: Sequence[str],
        likely: Expected | None,
    ) -> ClimbRows:
        """Of all rows that may choose, by split, and of those with expected labels, if there are
        any.
        """
        by_labels = sampled_meters(candidates, rows, names, CLIMB_ROWS)
        by_expected: Sequence[SampledMeter] = []
        if likely is not None:
            by_expected = sampled_meters(candidates, likely.rows, likely.outcomes, CLIMB_ROWS)
        return ClimbRows(by_labels, by_expected)

    def outlook(self, candidate: int, settings: Iterable[Fusion]) -> Outlook:
        """A candidate's outcomes; by expected labels with the level that those by labels have under
        some settings.
        """
        terms = [sampled.terms(candidate) for sampled in self.by_labels]
        by_labels = Outlook(_meters_of(self.by_labels), terms)
        if not self.by_expected:
            return by_labels
        by_expected = Outlook(_meters_of(self.by_expected), terms)
        distinct = list(dict.fromkeys(settings))
        outcomes = np.array(list(map(by_labels.under, distinct)))
        expected_outcomes = np.array(list(map(by_expected.under, distinct)))
        return replace(by_expected, level=level(outcomes, expected_outcomes))


def _meters_of(sampled: Sequence[SampledMeter]) -> list[Meter]:
    return [of_split.meter for of_split in sampled]


def climb_all(
    tried: Swept, rows: ClimbRows, goals: Sequence[Goal], now: CurrentPoint
) -> list[list[Fusion]]:
    """By candidate the weights that its climbs end at, for each goal; none of a score that is not
    fused.

    Where they end joins what was tried. Twice for the first goal: the second climb begins at the
    best of all, as a candidate may have what another one's climb found.
    """
    fusions: list[list[Fusion]] = [[] for _ in tried.values]
    for starts_of in (first_starts, second_starts):
        ends = climbed(rows, starts_of(tried, goals), now)
        tried.add(chain.from_iterable(ends))
        fusions = [[*latest, *before] for latest, before in zip(ends, fusions, strict=True)]
    return fusions


def first_starts(tried: Swept, goals: Sequence[Goal]) -> list[list[Start]]:
    """By candidate and goal the best setting of each kind; none of a score that is not fused."""
    starts: list[list[Start]] = []
    for candidate, means in enumerate(tried.means):
        by_goal: list[Start] = []
        starts.append(by_goal)
        if candidate in tried.meter.scores:
            continue
        for goal in goals:
            by_goal.append(Start(_best_of_kinds(tried, goal.worth(means)), goal))
    return starts


def second_starts(tried: Swept, goals: Sequence[Goal]) -> list[list[Start]]:
    """By candidate the best setting for the first goal; none of a score that is not fused."""
    starts: list[list[Start]] = []
    for candidate, means in enumerate(tried.means):
        if candidate in tried.meter.scores:
            starts.append([])
            continue
        scores = goals[0].worth(means)
        best = max(
            _best_of_kinds(tried, scores),
            key=lambda setting: float(scores[tried.settings.index(setting)]),
        )
        starts.append([Start([best], goals[0])])
    return starts


def _best_of_kinds(tried: Swept, scores: Floats) -> list[Fusion]:
    best: list[Fusion] = []
    for kind in FUSION_KINDS:
        places = [place for place, setting in enumerate(tried.settings) if setting.kind == kind]
        if places:
            best.append(tried.settings[places[int(scores[places].argmax())]])
    return best


def climbed(
    rows: ClimbRows, starts: Sequence[Sequence[Start]], now: CurrentPoint
) -> list[list[Fusion]]:
    """By candidate where its climbs end.

    Args:
        starts: by candidate and goal.
        now: whose outcomes by expected labels goals refer to as their base, where labels are
            expected.
    """
    base = None
    if rows.by_expected:
        settings = [now.fusion, *_settings_of(starts[now.candidate])]
        base = rows.outlook(now.candidate, settings).under(now.fusion)
    return in_threads(partial(_ends, rows, starts, now, base), range(len(starts)))


def _settings_of(starts: Sequence[Start]) -> list[Fusion]:
    settings: list[Fusion] = []
    for start in starts:
        settings += start.settings
    return settings


def _ends(
    rows: ClimbRows,
    starts: Sequence[Sequence[Start]],
    now: CurrentPoint,
    base: Floats | None,
    candidate: int,
) -> list[Fusion]:
    """Of a candidate's climbs, by goal: the first begins at each of its settings, the others also
    where it ended.
    """
    ends: list[Fusion] = []
    if not starts[candidate]:
        return ends
    outlook = rows.outlook(candidate, [now.fusion, *_settings_of(starts[candidate])])
    for start in starts[candidate]:
        goal = start.goal
        if base is not None:
            goal = replace(goal, base=base)
        if ends:
            _, end = climb(outlook.under, [*start.settings, ends[0]], goal, AGAIN)
        else:
            climbs = [climb(outlook.under, [setting], goal, TRIES) for setting in start.settings]
            _, end = max(climbs, key=itemgetter(0))
        ends.append(end)
    return ends


@dataclass(frozen=True)
class Look:
    """What a climb saw at one setting: its score for the goal, and its outcomes (M,), at least
    0.
    """

    setting: Fusion
    score: float
    outcomes: Floats

    @staticmethod
    def at(setting: Fusion, measure: Callable[[Fusion], Floats], goal: Goal) -> Look:
        """Measures the setting."""
        outcomes = measure(setting)
        return Look(setting, float(goal.worth(outcomes)), np.maximum(outcomes, 0.0))


@dataclass(frozen=True)
class Box:
    """The moves (T,) of logarithms of weights plus `SHIFT` that a climb may make from a setting.

    Attributes:
        kind: of the fusions.
        place: (T,), where the setting lies.
        lower, upper: (T,), 0 of the largest weight: only ratios count.
    """

    kind: FusionKind
    place: Floats
    lower: Floats
    upper: Floats

    @staticmethod
    def around(setting: Fusion, kind: FusionKind, step: float) -> Box:
        """Half as wide as `step`, and no wider than to weights of 0."""
        place = np.log(np.array(setting.weights) / max(setting.weights) + SHIFT)
        free = np.arange(len(place)) != place.argmax()
        return Box(kind, place, np.maximum(-step, np.log(SHIFT) - place) * free, step * free)

    @property
    def free(self) -> list[int]:
        """The tasks whose weights change."""
        return np.flatnonzero(self.upper).tolist()

    def moved(self, move: Floats) -> Fusion:
        """The setting after a move."""
        return Fusion.of(self.kind, np.maximum(np.exp(self.place + move) - SHIFT, 0.0).tolist())


@dataclass(frozen=True)
class Lines:
    """Lines through the logarithms of outcomes at one setting, which predict those after a move.

    Attributes:
        soft: (M,), added to outcomes before their logarithm is taken.
        level: (M,), logarithms at the setting.
        slopes: (T, M).
    """

    goal: Goal
    soft: Floats
    level: Floats
    slopes: Floats

    def score(self, moves: Floats) -> Floats:
        """(...), what is predicted after moves (..., T)."""
        outcomes = np.exp(self.level + moves @ self.slopes) - self.soft
        return self.goal.worth(np.maximum(outcomes, 0.0))


def climb(
    measure: Callable[[Fusion], Floats], starts: Sequence[Fusion], goal: Goal, tries: int
) -> tuple[float, Fusion]:
    """The score and the setting where a climb from the best of its starts ends."""
    rng = np.random.default_rng(0)
    top = _best([Look.at(setting, measure, goal) for setting in starts])
    kind, tasks = top.setting.kind, len(top.setting.weights)
    tries_left, step = tries * (tasks - 1), STEP
    while step >= LEAST_STEP and tries_left > 0:
        box = Box.around(top.setting, kind, step)
        moves = _moves_of_one(box, step, rng)
        looks = [Look.at(box.moved(move), measure, goal) for move in moves]
        lines = fitted(top, moves, looks, goal)
        move = _best_move(lines.score, box.lower, box.upper, rng)
        looks.append(Look.at(box.moved(move), measure, goal))
        tries_left -= len(looks)
        best = _best([top, *looks])
        predicted_gain = float(lines.score(move)) - top.score
        step = _next_step(step, best.score - top.score, predicted_gain, float(np.abs(move).max()))
        top = best
    return top.score, top.setting


def _best(looks: Sequence[Look]) -> Look:
    return max(looks, key=attrgetter("score"))


def _moves_of_one(box: Box, step: float, rng: np.random.Generator) -> Floats:
    """(T - 1, T), moves of one weight each by half a step, up or, where the box allows it, by
    chance down.
    """
    moves = np.zeros((len(box.free), len(box.place)))
    for row, task in enumerate(box.free):
        upwards = box.lower[task] > -step / 2 or rng.random() < 0.5
        moves[row, task] = step / 2 if upwards else -step / 2
    return moves


def fitted(top: Look, moves: Floats, looks: Sequence[Look], goal: Goal) -> Lines:
    """Lines through a look and those after moves of one weight each."""
    soft = SOFT * np.maximum(goal.base, 1e-3)
    level = np.log(top.outcomes + soft)
    slopes = np.zeros((moves.shape[1], len(level)))
    for move, look in zip(moves, looks, strict=True):
        task = int(np.flatnonzero(move)[0])
        slopes[task] = (np.log(look.outcomes + soft) - level) / move[task]
    return Lines(goal, soft, level, slopes)


def _next_step(step: float, gain: float, predicted_gain: float, reach: float) -> float:
    """Half the next box, by what the last move gained, and how far it went."""
    if gain <= 1e-9:
        return step * NO_GAIN
    if gain < KEPT * predicted_gain:
        return step * LITTLE_GAIN
    if reach > 0.9 * step:
        return min(AT_EDGE * step, MOST_STEP)
    return step


def _best_move(
    value: Callable[[Floats], Floats], lower: Floats, upper: Floats, rng: np.random.Generator
) -> Floats:
    """(T,), the move between `lower` and `upper` of the largest value that random steps, ever
    smaller, find.
    """
    tasks = len(upper)
    best, size = np.zeros(tasks), float(upper.max())
    top, axes = float(value(best)), np.eye(tasks)
    for _ in range(14):
        steps = np.vstack([rng.normal(size=(120, tasks)), axes, -axes])
        steps *= rng.random((len(steps), 1)) / np.abs(steps).max(axis=1, keepdims=True)
        moves = np.clip(best + size * steps, lower, upper)
        values = value(moves)
        if values.max() > top + 1e-12:
            best, top = moves[values.argmax()], float(values.max())
        else:
            size /= 2
    return best
