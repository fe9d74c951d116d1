"""Candidates against each other, each at its best weights by one aim, as test judges them.

Weights are chosen on validation and confirmation rows, within the policy's limits; values come from
one posterior over all candidates, see `bench.ledger.served.joint`. Its interval holds on average
over candidates, but not for one that alone is ahead; the measured one holds for each, but not for
the best of many. What is told spans both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.core.arrays import Floats, Ints
from bench.core.rows import TEST
from bench.deciding.aims import PolicyAim
from bench.deciding.judging import Judge
from bench.ledger.effect import Effect
from bench.ledger.served.climb import ROOM, Goal
from bench.ledger.served.joint import Moves, moves, posterior
from bench.ledger.served.served import Served


@dataclass(frozen=True)
class JudgedOutcomes:
    """Outcomes of all S serving points on the rows that judge.

    Attributes:
        values: (S, M), means.
        drawn_back, measured: (D, S, M), draws of them, drawn back and as measured.
    """

    values: Floats
    drawn_back: Floats
    measured: Floats


class Contest:
    """Candidates at their best weights by one aim, as test judges them.

    Attributes:
        best: by candidate its row; where none passes the guard, one that fails by noise alone.
        unlimited: by candidate its row if there were no limits.
        start: what candidates are compared with: today's model at its w*, else what stands for it.
        on_test: what test says of outcomes.
        of_utility: what is said of U: by both ways round, where rows are few. At the other way's
            weights a model trades outcomes otherwise, so changes by outcome are of test alone.
        both_ways: whether there are two.
        row_of_whole: where events have values, the current row: gains are fractions of what it
            earns. Else None.
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
        current = served.current
        current_point = str(served.table["point"][current])
        self._is_first = pick is not None
        self.best = self._best(served, judge, pick)
        self.unlimited = self._best(served, judge, pick, limits=False)
        self.best.setdefault(current_point, current)
        self.start = self.best.get(served.model or current_point, current)

        values, measured = served.at(TEST), served.draws[TEST].astype(np.float64)
        self.goal = Goal(aim, values[current], served.random)
        self.row_of_whole = None if aim.rule else current
        self.on_test = self._judged(values, measured, seed)
        self.of_utility = self.on_test
        self.both_ways = turned is not None
        if turned is not None:
            self.of_utility = self._judged(*self._with(*turned), seed)

    def best_of(self, point: str) -> tuple[int, bool]:
        """A candidate's best row, and whether any of its rows keeps the policy's limits; else it is
        the best of all.
        """
        if point in self.best:
            return self.best[point], True
        return self.unlimited[point], False

    def moves(self, to: int, start: int | None = None) -> Moves:
        """The effect of changing to a row, from `start` or another one."""
        if start is None:
            start = self.start
        on_test = self._moves(self.on_test, to, start)
        if not self.both_ways:
            return on_test
        both_ways = self._moves(self.of_utility, to, start)
        return replace(on_test, utility=both_ways.utility)

    def utility_gains(self, to: int, start: int | None = None, measured: bool = False) -> Floats:
        """(D,) draws of U over `start`, or another row, see `PolicyAim.fraction`.

        Args:
            measured: before anything is drawn back.
        """
        draws = self.of_utility.measured if measured else self.of_utility.drawn_back
        if start is None:
            start = self.start
        utility = self.goal.utility
        gains = utility(draws[:, to]) - utility(draws[:, start])
        if self.row_of_whole is not None:
            gains = gains / (1 + utility(draws[:, self.row_of_whole]))
        return np.asarray(gains)

    def _judged(self, values: Floats, measured: Floats, seed: int) -> JudgedOutcomes:
        rows = list(self.best.values())
        drawn_back = posterior(values, measured, rows, self.start, self.goal.utility, seed)
        return JudgedOutcomes(values, drawn_back, measured)

    def _moves(self, judged: JudgedOutcomes, to: int, start: int) -> Moves:
        """With intervals that span those of draws that are drawn back, and as measured."""
        drawn_back = self._moves_by(judged.values, judged.drawn_back, to, start)
        return drawn_back.spanning(self._moves_by(judged.values, judged.measured, to, start))

    def _moves_by(self, values: Floats, draws: Floats, to: int, start: int) -> Moves:
        utility, fraction = self.goal.utility, self.aim.fraction
        names = self.served.names
        return moves(values, draws, to, start, utility, fraction, names, self.row_of_whole)

    def _with(self, turned: Served, judge: Judge) -> tuple[Floats, Floats]:
        """Values and draws, means of both ways round: of each candidate's row and of its best row
        in the other way.

        Each way counts by the precision of what it says of U.
        """
        values, draws = self.on_test.values, self.on_test.measured
        rows = self._rows_of_turned(turned, judge)
        turned_values = turned.at(TEST)[rows]
        turned_draws = turned.draws[TEST].astype(np.float64)[:, rows]
        if not len(turned_draws) or not len(draws):
            return (values + turned_values) / 2, draws

        variance, turned_variance = self._variance(draws), self._variance(turned_draws)
        total = variance + turned_variance
        share = 0.5
        if total:
            share = turned_variance / total
        mean_values = share * values + (1 - share) * turned_values
        mean_draws = share * draws + (1 - share) * turned_draws
        return mean_values, mean_draws

    def _rows_of_turned(self, turned: Served, judge: Judge) -> Ints:
        """(S,), the rows of the other way that stand for the rows of this one: the best of the same
        candidate; what ranks as today's does stays so.
        """
        best = self._best(turned, judge, None, limits=False) | self._best(turned, judge, None)
        rows = [best[point] for point in self.served.table["point"]]
        outcomes = np.concatenate([self.on_test.values[None], self.on_test.measured])
        of_today = outcomes[:, [self.served.current]]
        ranks_as_today = (outcomes == of_today).all(axis=(0, 2))
        return np.where(ranks_as_today, turned.current, rows)

    def _variance(self, draws: Floats) -> float:
        """The mean variance of what draws (D, S, M) say of U over the start."""
        utility = self.goal.utility
        best_rows = list(self.best.values())
        gains = utility(draws[:, best_rows]) - utility(draws[:, [self.start]])
        return float(gains.var(axis=0).mean())

    def _best(
        self, served: Served, judge: Judge, pick: int | None, limits: bool = True
    ) -> dict[str, int]:
        """By candidate its best row within the policy's limits: where none keeps them surely, by
        its mean.

        By the first aim a reference that nobody serves has the weights that all other gains are
        over, too.
        """
        choices, points = judge.choices, served.table["point"].to_numpy()
        values = choices.values(choices.names)
        # as climbs ask it of all: a point of the sweep may just keep a floor
        room = 0.0 if served.today else ROOM
        goal = Goal(self.aim, values[served.current], served.random, room)
        scores = goal.worth(values)
        if pick is not None:  # equal scores are settled by the pick
            scores[pick] = np.inf
        is_known = scores > -np.inf
        allowed = [is_known]
        if limits:  # what passes surely replaces what may fail by noise
            allowed = [is_known & judge.noise, is_known & judge.passing]

        best = {}
        for point in dict.fromkeys(points):
            for is_allowed in allowed:
                rows = np.flatnonzero((points == point) & is_allowed)
                if len(rows):
                    best[str(point)] = int(rows[scores[rows].argmax()])
        if self._is_first and not served.today:
            best[str(points[served.current])] = served.current
        return best


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
        self.aims, self.served, self.judge = aims, served, judge
        self._seed, self._pick, self._turned = seed, pick, turned
        self._contest_of_aim: dict[PolicyAim, Contest] = {}

    def of(self, aim: PolicyAim) -> Contest:
        """That of an aim."""
        if aim not in self._contest_of_aim:
            pick = self._pick if aim is self.aims[0] else None
            contest = Contest(self.served, self.judge, aim, self._seed, pick, self._turned)
            self._contest_of_aim[aim] = contest
        return self._contest_of_aim[aim]

    def of_verdict(self) -> list[Contest]:
        """What a verdict looks at: where nobody said what is served, the rule `knee` looks at all
        anchors.
        """
        if self.aims[0].rule == "knee" and not self.served.today:
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
        contests = sorted(contests, key=_first_share)
    places = {}
    for contest in contests:
        # a limit may refuse all weights of a model: those without it stand here
        rows = contest.unlimited | contest.best
        gains = {}
        for point, row in rows.items():
            if row != contest.start:
                gains[point] = contest.moves(row).utility
        places[contest.aim.title] = gains
    return places


def _first_share(contest: Contest) -> float:
    weights = contest.aim.weights
    return weights[0] / sum(weights)
