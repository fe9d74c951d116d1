"""The case of a verdict: a policy's pick among candidates, as test judges them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.deciding.aims import PolicyAim
from bench.deciding.attribution import Gain
from bench.deciding.contest import Contest
from bench.deciding.judging import Judge
from bench.deciding.words import verdict as words
from bench.ledger.effect import Effect
from bench.ledger.served.joint import effect_of
from bench.ledger.served.served import Served

Attributed = Callable[[str, Gain, PolicyAim], Sequence[str]]
"""Of a point that gains, sentences on what makes that gain; see `bench.deciding.attribution`."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """The case of a verdict.

    Attributes:
        contests: of the policy's aims: the first one settled by the pick, then the others that a
            gain is a mean over.
        judge: of the choices, which are the front's rows.
        pick: row of the pick in the served front.
        against: what the current point is, in words: "the current model (todays.toml)".
        unlimited: the row that the policy would pick without its limits, where these make it keep
            the current point.
        holds: in which share of retrainings the pick holds, see `bench.deciding.stability`.
        first_instead: points that come first in the other retrainings, in words.
        ahead_in_heads: of a point the names of those that are surely ahead of it in every head.
        titles: how points are called, by their names; see `words.titles_of`.
        suspicion: sentences on the data and the pick, see `Frontier.suspicion` and
            `bench.ledger.within`.
        attributed: see `Attributed`.
    """

    contests: Sequence[Contest]
    judge: Judge
    pick: int
    against: str
    unlimited: int | None = None
    holds: float | None = None
    first_instead: Sequence[str] = ()
    ahead_in_heads: Callable[[str], Sequence[str]] = lambda point: ()
    titles: Mapping[str, str] = field(default_factory=dict)
    suspicion: str = ""
    attributed: Attributed = lambda point, gain, aim: ()

    @property
    def first(self) -> Contest:
        """By the policy's own aim."""
        return self.contests[0]

    @property
    def aim(self) -> PolicyAim:
        """The policy's own."""
        return self.first.aim

    @property
    def overall(self) -> str:
        """The outcomes that its gains are of, at the end of a sentence."""
        return words.overall(self.aim)

    @property
    def served(self) -> Served:
        """The served front."""
        return self.first.served

    @property
    def current(self) -> int:
        """The row that is served today, or that stands for it."""
        return self.served.current

    @property
    def only_one_keeps_limits(self) -> bool:
        """Whether every model but one breaks a limit at all of its weights."""
        return len(self.first.best) == 1 and len(self.first.unlimited) > 1

    def title(self, row: int) -> str:
        """A row's model in words."""
        return words.named(self.served.table.iloc[row], self.titles)

    def point(self, row: int) -> str:
        """The id of a row's model."""
        return str(self.served.table["point"].iloc[row])

    @property
    def pick_title(self) -> str:
        """The picked model in words."""
        return self.title(self.pick)

    @property
    def pick_point(self) -> str:
        """The id of the picked model."""
        return self.point(self.pick)

    @property
    def current_point(self) -> str:
        """The id of the model that is served today, or that stands for it."""
        return self.point(self.current)

    def gain_if_compared(self, point: str, base: str) -> Effect | None:
        """The same as `mean_gain`; None where the policy's own contest lacks one of them."""
        if {point, base} <= self.first.best.keys():
            return self.mean_gain(point, base)
        return None

    def mean_gain(self, point: str, base: str) -> Effect:
        """The gain in U of a candidate over another one, each at its best weights, on average over
        contests.
        """
        drawn_back = self._mean_gain(point, base, measured=False)
        return drawn_back.spanning(self._mean_gain(point, base, measured=True))

    def _mean_gain(self, point: str, base: str, measured: bool) -> Effect:
        differences = []
        for contest in self.contests:
            if {point, base} <= contest.best.keys():
                rows = contest.best[point], contest.best[base]
                differences.append(contest.utility_gains(*rows, measured))
        draws = np.mean(differences, axis=0)
        return effect_of(draws.mean(), draws, self.aim.fraction)
