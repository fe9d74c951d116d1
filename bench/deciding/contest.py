"""Candidates against each other, each at its best weights by one aim, as test judges them.

Weights are chosen on validation and confirmation rows, within the policy's limits; values come from
one posterior over all candidates, see `bench.ledger.served.joint`. Its interval holds on average
over candidates, but not for one that alone is ahead; the measured one holds for each, but not for
the best of many. What is told spans both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.core.arrays import Floats
from bench.core.rows import TEST
from bench.deciding.aims import PolicyAim
from bench.deciding.judging import Judge
from bench.ledger.effect import Effect
from bench.ledger.served.climb import ROOM, Goal
from bench.ledger.served.joint import Moves, moves, posterior
from bench.ledger.served.served import Served


class Contest:
    """Candidates at their best weights by one aim, as test judges them.

    Attributes:
        best: by candidate its row; where none passes the guard, one that fails by noise alone.
        unlimited: by candidate its row if there were no limits.
        draws, measured: draws of outcomes on test, drawn back and as measured.
        of_u, measured_of_u: those for U: of both ways round, where rows are few. At the other way's
            weights a model trades outcomes otherwise, so changes by outcome are of test alone.
            `both_ways` says whether there are two.
        start: what candidates are compared with: today's model at its w*, else what stands for it.
    """

    def __init__(
        self,
        served: Served,
        judge: Judge,
        aim: PolicyAim,
        seed: int,
        pick: int | None = None,
        turned: tuple[Served, Judge] | None = None,
    ) -> None:
        self.served, self.judge, self.aim = served, judge, aim
        current, points = served.current, served.table["point"]
        self.first = pick is not None
        self.best = self._best(served, judge, pick)
        self.unlimited = self._best(served, judge, pick, limits=False)
        self.best.setdefault(str(points[current]), current)
        self.start = self.best.get(served.model or str(points[current]), current)
        self.values, self.measured = served.at(TEST), served.draws[TEST].astype(np.float64)
        self.goal = Goal(aim, self.values[current], served.random)
        # events have values: gains are fractions of what current earns
        self.whole = None if aim.rule else current
        best = [*self.best.values()]
        self.draws = self.of_u = posterior(
            self.values, self.measured, best, self.start, self.goal.utility, seed
        )
        self.values_of_u = self.values
        self.measured_of_u = self.measured
        self.both_ways = turned is not None
        if turned is not None:
            self.values_of_u, self.measured_of_u = self._with(*turned)
            own = self.values_of_u, self.measured_of_u
            self.of_u = posterior(*own, best, self.start, self.goal.utility, seed)

    def best_of(self, point: str) -> tuple[int, bool]:
        """A candidate's best row, and whether any of its rows keeps the policy's limits; else it is
        the best of all.
        """
        if point in self.best:
            return self.best[point], True
        return self.unlimited[point], False

    def _with(self, other: Served, judge: Judge) -> tuple[Floats, Floats]:
        """Values and draws, means of both ways round: of each candidate's row and of its best row
        in the other way.

        Each way counts by the precision of what it says of U.
        """
        most = self._best(other, judge, None, limits=False) | self._best(other, judge, None)
        every = np.concatenate([self.values[None], self.measured])
        # what ranks as today's does stays so
        alike = (every == every[:, [self.served.current]]).all(axis=(0, 2))
        rows = np.where(alike, other.current, [most[point] for point in self.served.table["point"]])
        values, draws = other.at(TEST)[rows], other.draws[TEST].astype(np.float64)[:, rows]
        if not len(draws) or not len(self.measured):
            return (self.values + values) / 2, self.measured
        of = [*self.best.values()]
        both, utility = (self.measured, draws), self.goal.utility
        u = [utility(each[:, of]) - utility(each[:, [self.start]]) for each in both]
        noise = [float(each.var(axis=0).mean()) for each in u]
        share = noise[1] / sum(noise) if sum(noise) else 0.5
        return share * self.values + (1 - share) * values, share * self.measured + (
            1 - share
        ) * draws

    def moves(self, to: int, start: int | None = None) -> Moves:
        """The effect of changing to a row, from `start` or another one."""
        start = self.start if start is None else start
        of = to, start, self.goal.utility, self.aim.fraction, self.served.names, self.whole

        def told(values: Floats, draws: Floats, measured: Floats) -> Moves:
            return moves(values, draws, *of).spanning(moves(values, measured, *of))

        found = told(self.values, self.draws, self.measured)
        if not self.both_ways:
            return found
        return replace(found, utility=told(self.values_of_u, self.of_u, self.measured_of_u).utility)

    def apart(self, to: int, start: int | None = None, measured: bool = False) -> Floats:
        """(D,) draws of U over `start`, or another row, see `PolicyAim.fraction`; `measured`:
        before anything is drawn back."""
        of = self.measured_of_u if measured else self.of_u
        start = self.start if start is None else start
        found = self.goal.utility(of[:, to]) - self.goal.utility(of[:, start])
        return np.asarray(
            found if self.whole is None else found / (1 + self.goal.utility(of[:, self.whole]))
        )

    def _best(
        self, served: Served, judge: Judge, pick: int | None, limits: bool = True
    ) -> dict[str, int]:
        """By candidate its best row within the policy's limits: where none keeps them surely, by
        its mean.

        By the first aim a reference that nobody serves has the weights that all other gains are
        over, too.
        """
        choices, points = judge.choices, served.table["point"].to_numpy()
        values = choices.values(choices.objectives)
        # as climbs ask it of all: a point of the sweep may just keep a floor
        room = 0.0 if served.today else ROOM
        scores = Goal(self.aim, values[served.current], served.random, room).worth(values)
        if pick is not None:  # equal scores are settled by the pick
            scores[pick] = np.inf
        found = {}
        for point in dict.fromkeys(points):
            for passing in (
                (judge.noise, judge.passing) if limits else (np.ones(len(points), dtype=bool),)
            ):
                rows = np.flatnonzero((points == point) & passing & (scores > -np.inf))
                if len(rows):
                    found[str(point)] = int(rows[scores[rows].argmax()])
        if self.first and not served.today:
            found[str(points[served.current])] = served.current
        return found


class Contests:
    """The contests of a policy's aims, each made when it is first asked for.

    Attributes:
        aims: of the policy; the pick settles equal scores of the first one.
    """

    def __init__(
        self,
        served: Served,
        judge: Judge,
        aims: Sequence[PolicyAim],
        seed: int,
        pick: int | None = None,
        turned: tuple[Served, Judge] | None = None,
    ) -> None:
        self.aims, self._served, self._judge, self._seed = aims, served, judge, seed
        self._pick, self._turned = pick, turned
        self._made: dict[PolicyAim, Contest] = {}

    def of(self, aim: PolicyAim) -> Contest:
        """That of an aim."""
        if aim not in self._made:
            pick = self._pick if aim is self.aims[0] else None
            self._made[aim] = Contest(
                self._served, self._judge, aim, self._seed, pick, self._turned
            )
        return self._made[aim]

    def of_verdict(self) -> list[Contest]:
        """What a verdict looks at: where nobody said what is served, the rule `knee` looks at all
        anchors.
        """
        if self.aims[0].rule == "knee" and not self._served.today:
            return [self.of(aim) for aim in self.aims]
        return [self.of(self.aims[0])]

    def by_trade(self) -> list[Contest]:
        """One of each trade: aims with the same weights are one."""
        first_aim = {aim.weights: aim for aim in reversed(self.aims)}
        return [self.of(aim) for aim in reversed(first_aim.values())]


Leads = Mapping[str, Mapping[str, Effect]]
"""By place along the trade, as people call what counts there: how far each candidate is ahead of
the reference in U, with its paired interval. It is the verdict's."""


def leads(contests: Sequence[Contest]) -> Leads:
    """How far models are ahead along the trade: a place for each aim; of two outcomes in their
    order along it.

    Elsewhere models are not compared: a kept front has few points of each, and one with more of
    them would seem ahead.
    """
    if contests and len(contests[0].served.names) == 2:
        contests = sorted(contests, key=lambda each: each.aim.weights[0] / sum(each.aim.weights))
    places = {}
    for contest in contests:
        # a limit may refuse all weights of a model: those without it stand here
        rows = contest.unlimited | contest.best
        gains = {
            point: contest.moves(row).utility for point, row in rows.items() if row != contest.start
        }
        places[contest.aim.title] = gains
    return places
