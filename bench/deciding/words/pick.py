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
from bench.deciding.stability import SELDOM, Stability
from bench.deciding.words.verdict import named
from bench.ledger.effect import MARGIN
from bench.ledger.fusion import in_words
from bench.ledger.ledger import ENDS

RIVALS = 3
"""What comes first instead of the pick, at most."""


def called(choices: Choices, row: int, titles: Mapping[str, str] | None = None) -> str:
    """A choice in words: `MMoE, 4 experts, with the weights click .8, like .2 (power)`."""
    of = choices.table.iloc[row]
    who = named(of, titles)
    return (
        f"{who} with the weights {in_words(of['weights'])} ({of['kind']})" if of["weights"] else who
    )


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
        who, holds = self._called(self.chosen), self.stability.holds
        if self.chosen == self.choices.current:
            return self._keep()
        sure = "" if holds is None else f"; it holds in {holds:.0%} of retrainings"
        against, told = self._gains()
        gains = f", against {against}: {told}" if against else f" with {told}"
        return f"The pick is {who}{gains}{sure}."

    @property
    def _who(self) -> str:
        """The model alone: a verdict has its score."""
        return named(self.choices.table.iloc[self.chosen], self.titles)

    def _called(self, row: int) -> str:
        return called(self.choices, row, self.titles)

    def _keep(self) -> str:
        within, who = " within the limits" if self.limited else "", self._who
        if not self.choices.today:
            return f"The pick is {who}: nothing{within} is ahead of it."
        return f"Keep what you have: nothing{within} gains on the current point, {who}."

    @property
    def reason(self) -> str:
        """The same with values on the rows that chose, how often the pick holds, the guard's part,
        and how often nothing dominates the pick."""
        against, told = ("", "") if self.chosen == self.choices.current else self._gains()
        rows = "On the rows that chose, against" if self.choices.served else "Against"
        gains = f"{rows} {against}: {told}." if against else told and f"It has {told}."
        chance = float(self.choices.of("p_nondominated", self.chosen))
        sure = "" if np.isnan(chance) else f"P(non-dominated) is {chance:.2f}."
        parts = [
            self._first(),
            gains,
            self._basis(),
            self._doubt(),
            self._simpler(),
            self._guarded(),
            sure,
        ]
        return " ".join(filter(None, parts))

    def challenger(self, within: bool) -> str:
        """A point that a user asked for, with the weights that are best for it, and what it gains
        where it was chosen.

        Args:
            within: whether these keep the policy's limits.
        """
        limits = "within its limits" if within else "none of which keep its limits"
        best = f", the best for it by the policy, {limits}" if self.choices.served else ""
        first = f"As asked: {self._called(self.chosen)}{best}."
        if self.chosen == self.choices.current:
            return f"{first} It is what all are compared with."
        against, told = self._gains()
        gains = f"Against {against}: {told}" if against else f"It has {told}"
        return f"{first} {gains}. {self._basis().replace(', by which it was picked', '')}"

    def _first(self) -> str:
        if self.chosen == self.choices.current:
            return self._keep()
        return f"The pick is {self._who}: it {self._because()}."

    def _basis(self) -> str:
        if self.choices.current is None and not len(self.choices.draws):
            return f"Values are those of {NAMES[SEARCH]}, from one run each: nothing was confirmed."
        return (
            "Values here are means over replicates on validation and confirmation rows, by "
            "which it was picked."
        )

    def _because(self) -> str:
        if self.judge.passing.sum() == 1:
            return "is the only choice that passes the guard"
        judge, policy = self.judge, self.judge.policy
        weights = (
            dict(zip(judge.scored, judge.terms.weights, strict=True)) if policy.weights else {}
        )
        names = listed(
            [f"{name} ({weights[name]:.0%})" if name in weights else name for name in judge.scored]
        )
        words = PICK_RULES[policy.rule].because.format(names=names)
        kept = [str(limit) for limit in judge.limits if isinstance(limit, Bound) and limit.keyed]
        return f"{words}{f' with {listed(kept)}' if kept else ''}"

    def _gains(self) -> tuple[str, str]:
        """The current point, and differences from it in the objectives and in what the rule scores,
        with intervals; without a current point the values themselves."""
        choices = self.choices
        names = list(dict.fromkeys([*self.choices.objectives, *self.judge.scored]))
        values = choices.values(names)
        if choices.current is None:
            own = zip(names, values[self.chosen], strict=True)
            return "", ", ".join(f"{name} {value:.5g}" for name, value in own)
        gains, now = choices.gains(names, values)[self.chosen], values[choices.current]
        drawn = choices.gains(names, choices.posterior(names))[:, self.chosen]
        ends = np.quantile(drawn, ENDS, axis=0) if len(drawn) else ()
        parts = [
            f"{name} {value:.3g} (there: 0)"  # of which nothing is a per cent
            if base == 0 and not choices.in_thousandths(name)
            else f"{name} {difference(choices, name, *gain)}"
            for name, value, base, *gain in zip(
                names, values[self.chosen], now, gains, *ends, strict=True
            )
        ]
        against = (
            str(choices.of("name", choices.current))
            if choices.today
            else self._called(choices.current)
        )
        return against, ", ".join(parts)

    def _doubt(self) -> str:
        """How often the pick holds; where that is seldom, what else comes first."""
        holds = self.stability.holds
        if holds is None:
            return ""
        if holds >= SELDOM:
            return f"It holds in {holds:.0%} of retrainings."
        own, keeps = self.choices.of("point", self.chosen), self.stability.keeps or 0.0
        by_rule = {each.point: each.by_rule or 0.0 for each in self.stability.points}
        others = [
            each
            for each in self.stability.points
            if each.point != own and by_rule[each.point] >= 0.01
        ]
        names = [
            self.titles.get(each.name)
            or f"{each.name}{f' ({each.architecture})' if each.point[0].isdigit() else ''}"
            for each in others
        ]
        behind = [" (behind in every head)" if self._behind(each.point) else "" for each in others]
        shares = [f" in {each.by_rule:.0%}" for each in others]
        names = ["".join(parts) for parts in zip(names, shares, behind, strict=True)][:RIVALS]
        broken = f", and breaks a limit in {1 - keeps:.0%}" if keeps < 1 else ""
        if by_rule[own] and self.choices.served:
            broken += f"; with some weights this model comes first in {by_rule[own]:.0%}"
        instead = f" First instead: {listed(names)}." if names else ""
        return f"Unsure: it holds in only {holds:.0%} of retrainings{broken}.{instead}"

    def _behind(self, point: str) -> bool:
        rows = np.flatnonzero(self.choices.table["point"] == point)
        return self.choices.behind_in_every_head(int(rows[0]), self.chosen)

    def _simpler(self) -> str:
        sizes = {row: self.choices.of("size", row) for row in self.as_good}
        names = [
            self._called(row) + (f" of {size:,.0f} parameters" if np.isfinite(size) else "")
            for row, size in sizes.items()
        ]
        per = (
            f"{MARGIN:.1%} in every outcome"
            if self.choices.served
            else f"{MARGIN / 10:g} in every objective"
        )
        verb = "is" if len(names) == 1 else "are"
        return f"As good within noise (and within {per}) {verb} {listed(names)}." if names else ""

    def _guarded(self) -> str:
        judge = self.judge
        parts = [str(limit) for limit in (*self.judge.limits, *self.judge.segments)]
        if parts and judge.unsure:
            parts.append(
                f"by their means, as nothing keeps them with {judge.policy.guard.confidence:.0%} "
                "confidence"
            )
        gone, noise = int((~judge.passing).sum()), int(judge.noise.sum())
        few = (
            f", {noise} of them by noise alone: too few rows show that nothing is lost"
            if noise
            else ""
        )
        told = (
            f"The guard ({'; '.join(parts)}) excluded {gone} of {len(self.choices)} choices{few}."
        )
        sentences = [told] if parts else []
        for why in dict.fromkeys(judge.unjudged.values()):
            names = ", ".join(name for name, each in judge.unjudged.items() if each == why)
            sentences.append(f"The guard could not judge {names}: {why}.")
        for names in (listed(each.untold) for each in judge.segments if each.untold):
            sentences.append(
                f"The guard could not judge every outcome in {names}: too few positives."
            )
        return " ".join(sentences)


def difference(choices: Choices, name: str, gain: float, *ends: float) -> str:
    """A gain in words, with the ends of its interval if they differ: per cent of current, signed as
    the value moves; of a head's metric in its own unit."""
    low, *_, high = sorted(end * choices.sign(name) for end in ends or (gain, gain))
    own = choices.in_thousandths(name)
    told, *interval = (
        f"{each / 10 + 0.0:+.4f}"
        if own
        else f"{100 * moved:+.{'2g' if abs(moved) < 0.1 else '0f'}}%"
        for each in (gain * choices.sign(name), low, high)
        for moved in [round(each, 6) + 0.0]
    )
    return f"{told} ({' to '.join(interval)})" if low != high else told
