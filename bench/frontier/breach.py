"""What of a guard a point does not keep, in words, and the change of the policy that would let it through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.frontier.gains import Baseline
from bench.frontier.policy import Policy

P_NONDOMINATED = "guard.p_nondominated"
ERRORS = "guard.max_loss_in_standard_errors"
LOSS = "guard.max_loss_vs_single_task"


@dataclass(frozen=True)
class Change:
    """A setting of a policy, with another value.

    Attributes:
        setting: where the policy has it, as in `guard.at_most`.
        name: of the entry, where the setting is a table.
        value: None leaves it out.
    """

    setting: str
    name: str | None
    value: float | tuple[float, float] | None

    @property
    def toml(self) -> str:
        """As a line of a policy file; a comment, where it is to be left out."""
        what = self.setting if self.name is None else f'{self.setting}."{self.name}"'
        return f"# without {what}" if self.value is None else f"{what} = {self._shown}"

    @property
    def _shown(self) -> str:
        if isinstance(self.value, tuple):
            return f"[{', '.join(f'{each:g}' for each in self.value)}]"
        return f"{self.value:g}"

    def __str__(self) -> str:
        what = self.setting if self.name is None else f"{self.setting} '{self.name}'"
        if self.value is None:
            return f"{what}, which was not measured there, were left out"
        return f"{what} were {self._shown}"


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
    def remedy(self) -> Change:
        """What would let the point through."""
        name = None if self.setting == P_NONDOMINATED else self.name
        if math.isnan(self.value):
            return Change(self.setting, name, None)
        to = 0.0 - float(round_up(-self.value, 6)) if self.floor else float(round_up(self.value, 6))
        if self.other is None:
            return Change(self.setting, name, to)
        return Change(self.setting, name, (to, self.other) if self.floor else (self.other, to))

    def __str__(self) -> str:
        found = "was not measured" if math.isnan(self.value) else f"is {self.value:.6g}"
        return f"its {self.name} {found}, where at {'least' if self.floor else 'most'} {self.bound:.6g} is allowed"


@dataclass(frozen=True)
class Violation:
    """One objective in which a trial loses more than is allowed.

    Attributes:
        loss: as judged: by the means, or with `confidence` the bound that it does not exceed with so much of it.
        allowed: in the metric's own unit.
        error: the standard error of the difference, where it is known.
        errors: how many of them are allowed, where the guard counts them.
        seen: the loss by the means.
        every: whether one setting allows the same in all objectives.
    """

    objective: str
    loss: float
    allowed: float
    baseline: Baseline
    error: float | None = None
    errors: float | None = None
    confidence: float | None = None
    seen: float = math.nan
    every: bool = False

    @property
    def excess(self) -> float:
        """How far beyond the allowed loss: in standard errors, else relative to the baseline's value."""
        return (self.loss - self.allowed) / (self.error or abs(self.baseline.value) or 1.0)

    @property
    def remedy(self) -> Change:
        """What would let the trial through."""
        if self.errors is not None:
            return Change(ERRORS, None, float(round_up(self.loss / self.error)) if self.error else math.inf)
        return Change(LOSS, None if self.every else self.objective, float(round_up(self.loss)))

    def __str__(self) -> str:
        baseline = f"single-task {self.baseline.name} ({self.baseline.value:.5g})"
        worse = f"{self.loss:.3g} worse in {self.objective} than {baseline}"
        if self.errors is not None:
            count = f"{self.loss / self.error:.3g}" if self.error else "infinitely many"
            return f"it is {worse}, {count} standard errors of that difference, where {self.errors:g} are allowed"
        worse += f", where {self.allowed:.3g} is allowed"
        if self.confidence is None:
            return f"it is {worse}"
        return f"it may be {worse} with {self.confidence:.0%} confidence (by the means it is {self.seen + 0.0:.3g})"


def remedies(broken: Iterable[Violation | Breach]) -> tuple[Change, ...]:
    """The changes that let a point through, one a setting: the largest that it needs."""
    found: dict[tuple[str, str | None], Change] = {}
    for each in broken:
        change = each.remedy
        known = found.get((change.setting, change.name), change)
        larger = isinstance(change.value, float) and isinstance(known.value, float) and change.value > known.value
        found[change.setting, change.name] = change if larger else known
    return tuple(found.values())


def changed(policy: Policy, changes: Sequence[Change]) -> Policy:
    """The policy with other settings."""
    values = policy.model_dump(exclude_unset=True)
    for change in changes:
        table, key = change.setting.split(".")
        at = values.setdefault(table, {})
        if change.name is not None:
            at, key = at.setdefault(key, {}), change.name
        if change.value is None:
            del at[key]
        else:
            at[key] = change.value
    return Policy.model_validate(values)


def round_up(value: float, digits: int = 3) -> str:
    """So many significant digits, never below the value."""
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    rounded = f"{math.ceil(value / step) * step:.{digits}g}"
    return rounded if float(rounded) >= value else f"{(math.ceil(value / step) + 1) * step:.{digits}g}"
