"""Promotion of trials to their next rung: ASHA for several objectives. Plain values in, plain values out.

Li et al., MLSys 2020: of the n trials whose result at a rung is known, the best floor(n / eta) may go on; a free slot
takes such a trial from the highest rung that has one, else a new configuration. Nothing waits for a rung to fill, and
no trial is ever discarded: it waits, and may go on when more results are in. Schmucker et al. 2021 (arXiv:2106.12639):
with several objectives, best is by non-dominated rank, and within a rank by hypervolume contribution (`ranking`).

Three rules are ours.

* A rung lets at most floor(n / eta) trials go on; each may have an eta of its own, and with 1 all go on. The original
  promotes every trial that is among the best now, besides those promoted earlier; under a sampler that learns, these
  are many more.
* Except a trial that dominates all others at its rung, once there are eta of them: it always goes on.
* A floor. A kind of sharing whose models learn slowly would never be seen at full length. So the best of each kind's
  first `tries` trials is promoted, rung by rung to the top, whatever other kinds achieve. At the lowest rung the floor
  waits until all of these trials have a result or have failed; above, until those of them that were promoted have.
  Where one of the kind's first tries was promoted by merit at a rung, the floor does nothing there; if it fails later,
  the next best is promoted. Promotions by the floor do not count towards the rung's quota, neither as places taken nor
  as results. The floor costs at most a `share` of all training samples at any time, so it cannot use up a short search.
  Without failures it ends at one trial of full length a kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.frontier.pareto import measured
from bench.objectives import Objective
from bench.search.ranking import Order
from bench.search.standing import RungStep, Standings

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rules:
    """The rules of promotion, the same throughout a search.

    Attributes:
        rungs: training samples at each, rising; see `rungs.ladder`.
        eta: reduction factor, at least 1: of each rung from the lowest upwards, the last of all that are left.
        reference: of the hypervolume, by objective, fixed beforehand.
        tries: trials of each kind of sharing that the floor looks at; 0 for no floor.
        share: of all training samples, what the floor may take, in [0, 1].
    """

    rungs: tuple[int, ...]
    eta: tuple[float, ...]
    objectives: tuple[Objective, ...]
    reference: Mapping[str, float]
    tries: int = 0
    share: float = 0.1

    def samples(self, rung: int) -> int:
        """Training samples from the rung below."""
        return self.rungs[rung] - (self.rungs[rung - 1] if rung else 0)

    def places(self, rung: int, settled: int) -> int:
        """How many trials may be promoted, of `settled` trials that are done with a rung."""
        return math.floor(settled / self.eta[min(rung, len(self.eta) - 1)])


def reduction_factors(objectives: int) -> tuple[float, ...]:
    """Reduction factors where none are given, by rung from the lowest: what was best in replays, see docs/search.md."""
    return (6.0 if objectives < 3 else 4.0, 1.0)


def promote(now: Standings, rules: Rules, slots: int) -> list[RungStep]:
    """The jobs of trials that free slots are to train on, at most `slots`; those left over are for new configurations.

    The highest rung first; at a rung merit before the floor, and the better trial first.
    """
    chosen: list[RungStep] = []
    while len(chosen) < slots and (step := _next(now, rules)):
        chosen.append(step)
        if len(chosen) < slots:
            now = Standings(each.after(step) for each in now.every)
    return chosen


def _next(now: Standings, rules: Rules) -> RungStep | None:
    for rung in reversed(range(len(rules.rungs) - 1)):
        waits = now.waiting & (now.reached == rung + 1)
        if waits.any():
            values = now.values(rung)
            finite = measured(values)
            settled = (now.reached > rung) | (now.failed & (now.reached == rung))
            guests = sum(bool(settled[row]) for row, granted in now.granted.items() if rung in granted)
            places = rules.places(rung, int(settled.sum()) - guests)
            gone = finite & (now.begun > rung + 1)
            by_floor = [row for row, granted in now.granted.items() if rung + 1 in granted]
            free = gone.sum() - gone[by_floor].sum() < places
            enough = rules.places(rung, int(settled.sum())) > 0
            dominant = enough and _one_dominates_all(values[finite], rules.objectives)
            unserved = _unserved(now, rules, rung, waits, settled)
            if not (free or dominant or unserved):
                continue  # nobody can go on, whatever the order: putting all in order is what would take time
            order = Order(values, rules.objectives, rules.reference)
            best = order.first(waits)
            if best and best[0] < (places if free else 1 if dominant else 0):
                return RungStep(now.every[best[1]].number, rung + 1)
            named = np.zeros(len(now), dtype=bool)
            named[unserved] = True
            if best := order.first(named):
                return RungStep(now.every[best[1]].number, rung + 1, floor=True)
    return None


def _one_dominates_all(values: NDArray[np.float64], objectives: Sequence[Objective]) -> bool:
    signed = values * np.array([objective.sign for objective in objectives])
    return int((signed == signed.max(axis=0, initial=-np.inf)).all(axis=1).sum()) == 1


def _unserved(now: Standings, rules: Rules, rung: int, waits: Mask, settled: Mask) -> list[int]:
    """Rows of the first tries of the kinds for which the floor may let one go on from a rung."""
    cost = rules.samples(rung + 1)
    taken = sum(rules.samples(each) for granted in now.granted.values() for each in granted)
    if taken + cost > rules.share * (now.samples(rules.rungs) + cost):
        return []
    undecided, served = (now.begun > rung) & ~settled, (now.begun > rung + 1) & ~now.failed
    unserved: list[int] = []
    for rows in now.kinds.values():
        tried = rows[: rules.tries]
        if len(tried) == rules.tries and not (undecided | served)[tried].any():
            unserved += [row for row in tried if waits[row]]
    return unserved
