"""Which trials go on to their next rung: promotion-type ASHA for several objectives. Plain values in, plain values out.

Li et al., MLSys 2020: of the n trials whose result at a rung is known, the best floor(n / eta) may go on; a free slot
takes such a trial from the highest rung that has one, else a new configuration. Nothing waits for a rung to fill, and
no trial is ever discarded: it waits, and may go on when more results are in. Schmucker et al. 2021 (arXiv:2106.12639):
with several objectives, best is by non-dominated rank; `ranking.TIE_BREAKS` decide within a rank.

Three rules are ours.

* A rung lets at most floor(n / eta) trials go on. The original lets go on whoever is among the best now, besides those
  who were when they went on; under a sampler that learns those are many more.
* Except a trial that dominates all others at its rung, once there are eta of them: it always goes on.
* A floor. A kind of sharing whose models learn slowly would never be seen at full length. So the best of each kind's
  first `tries` trials goes on, rung by rung to the top, whatever other kinds achieve: at the lowest rung when all of
  these trials have a result or have failed, above when those of them that were let go on have. Where one of the kind's
  first tries went on by merit at a rung, the floor asks for nothing there; where it failed later, the next best goes.
  The floor takes none of the places of the others. What it costs is at most a `share` of all training samples at any
  time, so that it cannot use up a short search; without failures it ends at one trial of full length a kind.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.frontier.dominance import measured
from bench.objectives import Objective
from bench.search.ranking import Order

Progress = Literal["running", "waiting", "failed"]


@dataclass(frozen=True)
class Standing:
    """How far a trial has come.

    Attributes:
        number: of the trial.
        kind: its way of sharing.
        results: the objectives' values at each rung that it reached, from the lowest. One that is not finite keeps the
            trial where it is.
        progress: on the way to the rung above `results`; waiting there to go on, or done at the top; or failed on that
            way.
        granted: rungs to which the floor let it go on.
    """

    number: int
    kind: str
    results: tuple[tuple[float, ...], ...]
    progress: Progress
    granted: frozenset[int] = frozenset()

    @property
    def begun(self) -> int:
        """How many rungs it was, or is being, trained to."""
        return len(self.results) + (self.progress != "waiting")

    def settled(self, rung: int) -> bool:
        """Whether it is known what became of it at a rung: a result, or failed on the way there."""
        return len(self.results) > rung or (len(self.results) == rung and self.progress == "failed")

    def left(self, rung: int) -> bool:
        """Whether it went on from a rung, whatever came of that."""
        return self.begun > rung + 1

    def waits(self, rung: int) -> bool:
        """Whether it could go on from a rung now."""
        return len(self.results) == rung + 1 and self.progress == "waiting"


@dataclass(frozen=True)
class Rules:
    """What decides on promotions, the same throughout a search.

    Attributes:
        rungs: training samples at each, rising; see `rungs.ladder`.
        eta: reduction factor, at least 1.
        reference: of the hypervolume, by objective, fixed beforehand.
        tries: trials of each kind of sharing that the floor looks at; 0 for no floor.
        share: of all training samples, what the floor may take, in [0, 1].
        tie_break: a name in `ranking.TIE_BREAKS`.
    """

    rungs: tuple[int, ...]
    eta: float
    objectives: tuple[Objective, ...]
    reference: Mapping[str, float]
    tries: int = 0
    share: float = 0.1
    tie_break: str = "hypervolume"

    def samples(self, rung: int) -> int:
        """Training samples from the rung below."""
        return self.rungs[rung] - (self.rungs[rung - 1] if rung else 0)


@dataclass(frozen=True)
class Promotion:
    """A trial that is to be trained on.

    Attributes:
        rung: index of the rung to train to.
        floor: whether it goes on only as the best of its kind's first tries.
    """

    trial: int
    rung: int
    floor: bool = False


def promote(standings: Sequence[Standing], rules: Rules, slots: int) -> list[Promotion]:
    """The trials that free slots are to train on, at most `slots`; slots left over are for new configurations.

    The highest rung first; at a rung merit before the floor, and the better trial first. The same standings, in
    whatever order they are given, lead to the same promotions.
    """
    chosen: list[Promotion] = []
    if len(rules.rungs) == 1:
        return chosen
    now = sorted(standings, key=attrgetter("number"))
    while len(chosen) < slots and (promotion := _next(now, rules)):
        chosen.append(promotion)
        now = [going(each, promotion) if each.number == promotion.trial else each for each in now]
    return chosen


def going(standing: Standing, promotion: Promotion) -> Standing:
    """A trial on its way to where a promotion lets it go."""
    granted = standing.granted | {promotion.rung} if promotion.floor else standing.granted
    return replace(standing, progress="running", granted=granted)


def _next(standings: list[Standing], rules: Rules) -> Promotion | None:
    # by columns: a search has thousands of trials, and something is decided before each job
    reached = np.array([len(standing.results) for standing in standings], dtype=np.int64)
    waiting = np.array([standing.progress == "waiting" for standing in standings], dtype=bool)
    begun = reached + ~waiting
    spent = sum(rules.samples(rung) * int((begun > rung).sum()) for rung in range(len(rules.rungs)))
    first, granted = _first_tries(standings, rules.tries), [each for each in standings if each.granted]
    for rung in reversed(range(len(rules.rungs) - 1)):
        waits = waiting & (reached == rung + 1)
        if waits.any():
            rows = np.flatnonzero(reached > rung)
            values = np.array([standings[row].results[rung] for row in rows])
            finite = measured(values)
            failed = sum(standings[row].progress == "failed" for row in np.flatnonzero(~waiting & (reached == rung)))
            places = math.floor((len(rows) + failed) / rules.eta)
            gone = rows[finite & (begun[rows] > rung + 1)]
            by_floor = {each.number for each in granted if rung + 1 in each.granted}
            taken = sum(standings[row].number not in by_floor for row in gone) if by_floor else len(gone)
            free = taken < places
            dominant = _one_dominates_all(values[finite], rules.objectives)
            unserved = _unserved(first, granted, spent, rules, rung)
            if not (free or dominant or unserved):
                continue  # nobody can go on, whatever the order: putting all in order is what would take time
            order = Order(values, rules.objectives, rules.reference, rules.tie_break)
            best = order.first(waits[rows])
            if best and best[0] < (places if free else min(places, 1) if dominant else 0):
                return Promotion(standings[rows[best[1]]].number, rung + 1)
            best = order.first(np.array([standings[row].number in unserved for row in rows])) if unserved else None
            if best:
                return Promotion(standings[rows[best[1]]].number, rung + 1, floor=True)
    return None


def _one_dominates_all(values: NDArray[np.float64], objectives: Sequence[Objective]) -> bool:
    signed = values * np.array([objective.sign for objective in objectives])
    return int((signed == signed.max(axis=0, initial=-np.inf)).all(axis=1).sum()) == 1


def _first_tries(standings: list[Standing], tries: int) -> list[list[Standing]]:
    """The first trials of each kind, which the floor looks at."""
    first: defaultdict[str, list[Standing]] = defaultdict(list)
    for standing in standings:
        if len(of := first[standing.kind]) < tries:
            of.append(standing)
    return list(first.values())


def _unserved(first: list[list[Standing]], granted: list[Standing], spent: int, rules: Rules, rung: int) -> set[int]:
    """First tries of the kinds for which the floor may let one go on from a rung.

    Args:
        granted: the trials that it let go on before.
        spent: training samples of all jobs so far.
    """
    cost = rules.samples(rung + 1)
    taken = sum(rules.samples(each) for standing in granted for each in standing.granted)
    if taken + cost > rules.share * (spent + cost):
        return set()
    unserved: set[int] = set()
    for tried in first:
        arriving = [each for each in tried if rung == 0 or each.left(rung - 1)]
        complete = len(tried) == rules.tries and all(each.settled(rung) for each in arriving)
        if complete and not any(each.left(rung) and each.progress != "failed" for each in tried):
            unserved |= {each.number for each in tried if each.waits(rung)}
    return unserved
