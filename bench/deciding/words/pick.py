"""Sentences that explain a pick by its policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import listed
from bench.core.rows import NAMES, SEARCH
from bench.deciding.choices import Choices
from bench.deciding.judging import Judge
from bench.deciding.limits import Bound
from bench.deciding.policy import PICK_RULES
from bench.deciding.stability import SELDOM, PointStability, Stability
from bench.deciding.words.verdict import named
from bench.ledger.effect import MARGIN
from bench.ledger.fusion import in_words
from bench.ledger.ledger import ENDS

RIVALS = 3
"""What comes first instead of the pick, at most."""


def called(choices: Choices, row: int, titles: Mapping[str, str] | None = None) -> str:
    """A choice in words: `MMoE, 4 experts, with the weights click .8, like .2 (power)`."""
    facts = choices.table.iloc[row]
    who = named(facts, titles)
    if not facts["weights"]:
        return who
    return f"{who} with the weights {in_words(facts['weights'])} ({facts['kind']})"


@dataclass(frozen=True)
class Told:
    """A pick in words.

    Attributes:
        chosen: row of the pick.
        as_good: rows of simpler choices that are as good within noise.
        limited: whether only the limits make the current point the pick.
        titles: how points are called, by their names; see `titles_of`.
    """

    judge: Judge
    chosen: int
    as_good: Sequence[int]
    stability: Stability
    limited: bool
    titles: Mapping[str, str]

    @property
    def choices(self) -> Choices:
        """What was picked from."""
        return self.judge.choices

    @property
    def sentence(self) -> str:
        """What is picked and why, and what simpler choice is as good. Its gains are the verdict's,
        on test.
        """
        return " ".join(filter(None, [self._first(), self._simpler()]))

    @property
    def short(self) -> str:
        """The same in one sentence: what is picked, what it gains, and how often it holds."""
        if self.chosen == self.choices.current:
            return self._keep()
        sentence = f"The pick is {self._called(self.chosen)}"
        against, gains = self._gains()
        if against:
            sentence += f", against {against}: {gains}"
        else:
            sentence += f" with {gains}"
        if self.stability.holds is not None:
            sentence += f"; it holds in {self.stability.holds:.0%} of retrainings"
        return f"{sentence}."

    @property
    def _who(self) -> str:
        """The model alone: a verdict has its score."""
        return named(self.choices.table.iloc[self.chosen], self.titles)

    def _called(self, row: int) -> str:
        return called(self.choices, row, self.titles)

    def _keep(self) -> str:
        nothing = "nothing within the limits" if self.limited else "nothing"
        if not self.choices.today:
            return f"The pick is {self._who}: {nothing} is ahead of it."
        return f"Keep what you have: {nothing} gains on the current point, {self._who}."

    @property
    def reason(self) -> str:
        """The same with values on the rows that chose, how often the pick holds, the guard's part,
        and how often nothing dominates the pick."""
        sentences = [
            self._first(),
            self._gains_where_chosen(),
            self._basis(),
            self._doubt(),
            self._simpler(),
            self._guarded(),
        ]
        chance = float(self.choices.of("p_nondominated", self.chosen))
        if not np.isnan(chance):
            sentences.append(f"P(non-dominated) is {chance:.2f}.")
        return " ".join(filter(None, sentences))

    def _gains_where_chosen(self) -> str:
        if self.chosen == self.choices.current:
            return ""
        against, gains = self._gains()
        if not against:
            return gains and f"It has {gains}."
        rows = "On the rows that chose, against" if self.choices.served else "Against"
        return f"{rows} {against}: {gains}."

    def challenger(self, keeps_limits: bool) -> str:
        """A point that a user asked for, with the weights that are best for it, and what it gains
        where it was chosen.

        Args:
            keeps_limits: whether these keep the policy's limits.
        """
        first = f"As asked: {self._called(self.chosen)}"
        if self.choices.served:
            limits = "within its limits" if keeps_limits else "none of which keep its limits"
            first += f", the best for it by the policy, {limits}"
        first += "."
        if self.chosen == self.choices.current:
            return f"{first} It is what all are compared with."
        against, gains = self._gains()
        gains = f"Against {against}: {gains}" if against else f"It has {gains}"
        basis = self._basis().replace(", by which it was picked", "")
        return f"{first} {gains}. {basis}"

    def _first(self) -> str:
        if self.chosen == self.choices.current:
            return self._keep()
        return f"The pick is {self._who}: it {self._because()}."

    def _basis(self) -> str:
        if self.choices.current is None and not len(self.choices.drawn):
            return f"Values are those of {NAMES[SEARCH]}, from one run each: nothing was confirmed."
        return (
            "Values here are means over replicates on validation and confirmation rows, by "
            "which it was picked."
        )

    def _because(self) -> str:
        if self.judge.passing.sum() == 1:
            return "is the only choice that passes the guard"
        judge, policy = self.judge, self.judge.policy
        names = judge.scored
        if policy.weights:
            weights = zip(judge.scored, judge.terms.weights, strict=True)
            names = [f"{name} ({weight:.0%})" for name, weight in weights]
        because = PICK_RULES[policy.rule].because.format(names=listed(names))
        bounds = [str(limit) for limit in judge.limits if isinstance(limit, Bound) and limit.keyed]
        if bounds:
            because += f" with {listed(bounds)}"
        return because

    def _gains(self) -> tuple[str, str]:
        """The current point, and differences from it in the objectives and in what the rule scores,
        with intervals; without a current point the values themselves."""
        choices = self.choices
        names = list(dict.fromkeys([*choices.names, *self.judge.scored]))
        if choices.current is None:
            values = choices.values(names)[self.chosen]
            pairs = zip(names, values, strict=True)
            return "", ", ".join(f"{name} {value:.5g}" for name, value in pairs)
        against = self._called(choices.current)
        if choices.today:
            against = str(choices.of("name", choices.current))
        return against, ", ".join(self._gains_on(choices.current, names))

    def _gains_on(self, current: int, names: Sequence[str]) -> list[str]:
        choices = self.choices
        values = choices.values(names)
        gains = choices.gains(names, values)[self.chosen]
        drawn = choices.gains(names, choices.posterior(names))[:, self.chosen]
        ends = np.zeros((0, len(names)))
        if len(drawn):
            ends = np.quantile(drawn, ENDS, axis=0)

        gains_in_words = []
        for place, name in enumerate(names):
            if values[current, place] == 0 and not choices.in_thousandths(name):
                # of which nothing is a per cent
                gain = f"{values[self.chosen, place]:.3g} (there: 0)"
            else:
                gain = difference(choices, name, gains[place], *ends[:, place])
            gains_in_words.append(f"{name} {gain}")
        return gains_in_words

    def _doubt(self) -> str:
        """How often the pick holds; where that is seldom, what else comes first."""
        holds = self.stability.holds
        if holds is None:
            return ""
        if holds >= SELDOM:
            return f"It holds in {holds:.0%} of retrainings."
        keeps = self.stability.keeps or 0.0
        doubt = f"Unsure: it holds in only {holds:.0%} of retrainings"
        if keeps < 1:
            doubt += f", and breaks a limit in {1 - keeps:.0%}"
        point = self.choices.of("point", self.chosen)
        rivals = []
        for stability in self.stability.points:
            share_first = stability.by_rule or 0.0
            if stability.point == point:
                if share_first and self.choices.served:
                    doubt += f"; with some weights this model comes first in {share_first:.0%}"
            elif share_first >= 0.01:
                rivals.append(self._rival(stability))
        doubt += "."
        if rivals:
            doubt += f" First instead: {listed(rivals[:RIVALS])}."
        return doubt

    def _rival(self, stability: PointStability) -> str:
        """A point that comes first in some draws: `trial 7 (mmoe) in 12%`."""
        name = self.titles.get(stability.name)
        if not name:
            name = stability.name
            if stability.point[0].isdigit():  # a trial
                name += f" ({stability.architecture})"
        behind = ""
        if self._behind(stability.point):
            behind = " (behind in every head)"
        return f"{name} in {stability.by_rule:.0%}{behind}"

    def _behind(self, point: str) -> bool:
        first_row = int(self.choices.rows_of(point).argmax())
        return self.choices.behind_in_every_head(first_row, self.chosen)

    def _simpler(self) -> str:
        if not self.as_good:
            return ""
        names = []
        for row in self.as_good:
            name, size = self._called(row), self.choices.of("size", row)
            if np.isfinite(size):
                name += f" of {size:,.0f} parameters"
            names.append(name)
        margin = f"{MARGIN / 10:g} in every objective"
        if self.choices.served:
            margin = f"{MARGIN:.1%} in every outcome"
        verb = "is" if len(names) == 1 else "are"
        return f"As good within noise (and within {margin}) {verb} {listed(names)}."

    def _guarded(self) -> str:
        judge = self.judge
        limits = list(map(str, [*judge.limits, *judge.segments]))
        sentences = []
        if limits:
            sentences.append(self._excluded(limits))
        names_by_reason: dict[str, list[str]] = {}
        for name, reason in judge.unjudged.items():
            names_by_reason.setdefault(reason, []).append(name)
        for reason, names in names_by_reason.items():
            sentences.append(f"The guard could not judge {', '.join(names)}: {reason}.")
        for segments in judge.segments:
            if segments.unjudged:
                sentences.append(
                    f"The guard could not judge every outcome in {listed(segments.unjudged)}: too "
                    "few positives."
                )
        return " ".join(sentences)

    def _excluded(self, limits: Sequence[str]) -> str:
        judge = self.judge
        guard = "; ".join(limits)
        if judge.unsure:
            confidence = judge.policy.guard.confidence
            guard += f"; by their means, as nothing keeps them with {confidence:.0%} confidence"
        excluded, by_noise = int((~judge.passing).sum()), int(judge.noise.sum())
        sentence = f"The guard ({guard}) excluded {excluded} of {len(self.choices)} choices"
        if by_noise:
            sentence += (
                f", {by_noise} of them by noise alone: too few rows show that nothing is lost"
            )
        return f"{sentence}."


def difference(choices: Choices, name: str, gain: float, *ends: float) -> str:
    """A gain in words, with the ends of its interval if they differ: per cent of current, signed as
    the value moves; of a head's metric in its own unit."""
    sign, in_thousandths = choices.sign(name), choices.in_thousandths(name)
    value = _move_in_words(gain * sign, in_thousandths)
    moves = sorted(end * sign for end in ends)
    if not moves or moves[0] == moves[-1]:
        return value
    low = _move_in_words(moves[0], in_thousandths)
    high = _move_in_words(moves[-1], in_thousandths)
    return f"{value} ({low} to {high})"


def _move_in_words(move: float, in_thousandths: bool) -> str:
    move = round(move, 6) + 0.0  # no minus before 0
    if in_thousandths:
        return f"{move / 10 + 0.0:+.4f}"
    if abs(move) < 0.1:
        return f"{100 * move:+.2g}%"
    return f"{100 * move:+.0f}%"
