"""What of a guard a point does not keep, in words, and the smallest change that would let it through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.errors import UserError
from bench.frontier.gains import Baseline
from bench.frontier.points import called


@dataclass(frozen=True)
class Breach:
    """A bound that a point does not keep.

    Attributes:
        name: of what is bounded.
        floor: whether the bound is from below.
        setting: where the policy sets it.
        other: the bound on the other side, where one setting holds both.
    """

    name: str
    value: float
    bound: float
    floor: bool
    setting: str
    other: float | None = None

    @property
    def excess(self) -> float:
        """How far beyond the bound, relative to it; infinite where nothing was measured."""
        gap = abs(self.value - self.bound) / (abs(self.bound) or 1.0)
        return math.inf if math.isnan(gap) else gap

    @property
    def remedy(self) -> str:
        """What would let the point through."""
        if math.isnan(self.value):
            return f"leave out {self.setting}, which was not measured there"
        to = 0.0 - float(round_up(-self.value, 6)) if self.floor else float(round_up(self.value, 6))
        if self.other is None:
            return f"set {self.setting} to {to:g}"
        low, high = (to, self.other) if self.floor else (self.other, to)
        return f"set {self.setting} to [{low:g}, {high:g}]"

    def __str__(self) -> str:
        found = "was not measured" if math.isnan(self.value) else f"is {self.value:.6g}"
        return f"its {self.name} {found}, where at {'least' if self.floor else 'most'} {self.bound:.6g} is allowed"


@dataclass(frozen=True)
class Violation:
    """One objective in which a trial loses more than is allowed.

    Attributes:
        loss: as judged: by the means, or with `confidence` the bound that it does not exceed with so much of it.
        seen: by the means.
    """

    objective: str
    loss: float
    allowed: float
    baseline: Baseline
    confidence: float | None = None
    seen: float = math.nan

    @property
    def excess(self) -> float:
        """How far beyond the allowed loss, relative to the baseline's value: comparable across units."""
        return (self.loss - self.allowed) / (abs(self.baseline.value) or 1.0)

    def __str__(self) -> str:
        baseline = f"single-task {called(self.baseline.trial, self.baseline.until)} ({self.baseline.value:.5g})"
        worse = f"{self.loss:.3g} worse in {self.objective} than {baseline}, where {self.allowed:.3g} is allowed"
        if self.confidence is None:
            return f"it is {worse}"
        return f"it may be {worse} with {self.confidence:.0%} confidence (by the means it is {self.seen + 0.0:.3g})"


def relax(broken: Mapping[str, Sequence[Violation | Breach]]) -> UserError:
    """The error where the guard lets no point through: the smallest change that lets the nearest one through.

    Args:
        broken: violations by the name of the trial, none of them empty.
    """
    name, nearest = min(broken.items(), key=lambda item: max(violation.excess for violation in item[1]))
    losses = [each for each in nearest if isinstance(each, Violation)]
    needed = " and ".join(f"'{each.objective}' to {round_up(each.loss)}" for each in losses)
    steps = [f"raise guard.max_loss_vs_single_task for {needed}"] if losses else []
    steps += [each.remedy for each in nearest if isinstance(each, Breach)]
    return UserError(
        f"the guard lets no point of the front through; the nearest is {name}: {', and '.join(map(str, nearest))}; "
        f"to let it through, {' and '.join(steps)}"
    )


def round_up(value: float, digits: int = 3) -> str:
    """So many significant digits, never below the value."""
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    rounded = f"{math.ceil(value / step) * step:.{digits}g}"
    return rounded if float(rounded) >= value else f"{(math.ceil(value / step) + 1) * step:.{digits}g}"
