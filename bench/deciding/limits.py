"""The kinds of limits that a policy sets. Each is one class: which choices keep it, and what one
breaks, in words.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.core.arrays import Floats
from bench.core.errors import listed
from bench.core.rows import CONFIRM
from bench.deciding.choices import THOUSANDTHS, Choices
from bench.deciding.policy import LEAST_SHARE, SegmentGuard
from bench.deciding.remedies import Breach, Remedy, SettingValue, loosened, round_up
from bench.ledger.effect import LEVEL
from bench.ledger.errors.intervals import error_of
from bench.ledger.ledger import Ledger

ROUNDING = 1e-12
"""Relative: means of the same numbers differ in the last bit."""


@dataclass(kw_only=True, eq=False)
class Limit(ABC):
    """A limit on one metric. Its text is how a sentence names it.

    Attributes:
        sign: +1 of a limit from below, -1 from above.
        setting: of the policy.
        bound: a number, or a multiple of current's value where `relative`.
        confidence: the share of draws in which it must be kept; None where the mean decides.
        keyed: whether the setting is a table by metric.
        means: (rows,), mean values; `now` is the current point's.
        sure: (rows,), the share of current's value that each row keeps with `confidence`.
        drawn: (D, rows), in which draws each row keeps it; D is 0 where the mean decides.
        passing: (rows,), which choices keep it, with `confidence` or by their means.
    """

    choices: Choices
    name: str
    sign: float
    setting: str
    bound: float = 1.0
    relative: bool = True
    confidence: float | None = None
    keyed: bool = True

    def __post_init__(self) -> None:
        choices, at = self.choices, self.confidence
        self.side = f"at {'least' if self.sign > 0 else 'most'}"
        self.surely = "" if at is None else f" with {at:.0%} confidence"
        self.means = choices.values([self.name])[:, 0]
        self.now = math.nan if choices.current is None else float(self.means[choices.current])
        self.sure = None if at is None else choices.sure_shares(self.name, at, self.sign > 0)
        posterior = (
            choices.posterior([self.name])[..., 0]
            if at is not None
            else np.zeros((0, len(self.means)))
        )
        self.drawn = self.kept(posterior)
        self.passing = self.kept(self.means) if at is None else self.drawn.mean(axis=0) >= at

    def threshold(self, values: Floats) -> Floats:
        """What each row's value must reach, or not exceed: (..., rows), of values (..., rows)."""
        if not self.relative:
            return np.full(values.shape, self.bound)
        now = np.broadcast_to(values[..., self.choices.current, None], values.shape)
        return np.asarray(
            now + (self.bound - 1) * np.abs(now)
        )  # a loss is a fraction of its size, also of one below 0

    def kept(self, values: Floats, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Which rows keep it: (..., rows), of values (..., rows).

        Args:
            tolerance: that much of |threshold| is forgiven; of a head's metric in thousandths, of
                .1.
        """
        at = self.threshold(values)
        unit = THOUSANDTHS if self.choices.in_thousandths(self.name) else np.abs(at)
        slack = tolerance * unit + ROUNDING * np.abs(at)
        return np.asarray(self.sign * values >= self.sign * at - slack)

    @abstractmethod
    def breach(self, row: int) -> Breach:
        """What a choice that does not keep it breaks."""

    def _breach(self, text: str, excess: float, value: SettingValue) -> Breach:
        return Breach(text, excess, Remedy(self.setting, self.name if self.keyed else None, value))


@dataclass(kw_only=True, eq=False)
class Bound(Limit):
    """A bound that a policy writes, such as "98% of current".

    Attributes:
        written: as the policy has it.
    """

    written: float | str

    def breach(self, row: int) -> Breach:
        """By how far a value is beyond the bound."""
        value, at, now = float(self.means[row]), float(self.threshold(self.means)[row]), self.now
        is_, today = _measured(value), f" ({self.written})" if self.relative else ""
        text = f"its {self.name} {is_}, where {self.side} {at:.6g}{today} is allowed"
        if math.isnan(value):
            return self._breach(text, math.inf, None)
        told = value
        if self.sure is not None:
            told, at, now = float(self.sure[row]), self.bound, 1.0
            share = f"{self.side} {_percent(told)} of current{self.surely}"
            text = f"its {self.name} is {share}, where {self.side} {self.written} is allowed"
        none = self.relative and told < LEAST_SHARE * abs(now)  # no share of current: a number
        to = loosened(0.0 if none else self.written, value if none else told, now, self.sign > 0)
        return self._breach(text, _excess(told, at), to)

    def __str__(self) -> str:
        return (
            f"{self.name} {self.side} "
            f"{self.written if isinstance(self.written, str) else f'{self.written:g}'}"
        )


@dataclass(kw_only=True, eq=False)
class AllowedLoss(Limit):
    """A loss as a share of the current point's value."""

    def breach(self, row: int) -> Breach:
        """By how much more is, or may be, lost than is allowed."""
        loss = (
            self.sign * (self.now - float(self.means[row])) / abs(self.now)
            if self.now
            else math.inf
        )
        if self.sure is not None:
            loss = self.sign * (1 - float(self.sure[row]))
        verb, allowed = "loses" if self.sure is None else "may lose", self.sign * (1 - self.bound)
        text = (
            f"it {verb} {loss:.2%} of current's {self.name}{self.surely}, where "
            f"{_percent(allowed)} is allowed"
        )
        return self._breach(
            text, loss - allowed, math.inf if loss > 1 and not self.keyed else float(round_up(loss))
        )

    def __str__(self) -> str:
        return f"{self.name} {self.side} {100 * self.bound:.4g}% of current{self.surely}"


@dataclass(kw_only=True, eq=False)
class Chance(Limit):
    """No less than a random order has."""

    relative: bool = False

    def breach(self, row: int) -> Breach:
        """By how much a value is below."""
        value = float(self.means[row])
        text = f"its {self.name} {_measured(value)}, where a random order has {self.bound:.6g}"
        to = loosened(0.0, value, math.nan, floor=True)
        return Breach(text, _excess(value, self.bound), Remedy("guard.at_least", self.name, to))

    def __str__(self) -> str:
        return f"{self.name} at least that of a random order"


@dataclass(kw_only=True, eq=False)
class Noise(Limit):
    """A loss of some standard errors of the difference from current."""

    count: float

    def __post_init__(self) -> None:
        drawn = self.choices.posterior([self.name])[:, :, 0]
        self.errors = error_of(drawn - drawn[:, self.choices.current, None])
        super().__post_init__()

    def threshold(self, values: Floats) -> Floats:
        """What each row's value must reach, or not exceed."""
        return np.asarray(super().threshold(values) - self.sign * self.count * self.errors)

    def breach(self, row: int) -> Breach:
        """How many standard errors are lost."""
        value, error = float(self.means[row]), float(self.errors[row])
        lost = self.sign * (self.now - value)
        count = lost / error if error else math.inf
        text = (
            f"it is {lost:.3g} worse in {self.name} than current ({self.now:.5g}), {count:.3g} "
            f"standard errors of that difference, where {self.count:g} are allowed"
        )
        return self._breach(
            text, _excess(value, float(self.threshold(self.means)[row])), float(round_up(count))
        )

    def __str__(self) -> str:
        return f"{self.name} at most {self.count:g} standard errors behind current"


@dataclass
class Everywhere:
    """What may be lost in any segment, beyond what noise allows for.

    Attributes:
        ledger: of the choices, in whose confirmation rows `slices` are.
        allowed: what may be lost, by outcome.
        gain: (rows, slices, outcomes), over the current point.
        least: the same; with the guard's confidence, for all of a row together, more than this is
            lost.
        beyond: the same, where that is more than is allowed.
        passing: (rows,), which choices lose no more anywhere.
        untold: segments in which too few rows are positive to judge an outcome of any choice.
    """

    guard: SegmentGuard
    ledger: Ledger
    current: int
    slices: Sequence[str]
    allowed: Mapping[str, float]

    def __post_init__(self) -> None:
        columns = [self.ledger.names.index(name) for name in self.allowed]
        self.gain, low, high = (
            np.stack(
                [self.ledger.at(CONFIRM, f"gain{end}", slice)[:, columns] for slice in self.slices],
                axis=1,
            )
            for end in ("", "_low", "_high")
        )
        tests = np.isfinite(self.gain + low + high).sum(axis=(1, 2), keepdims=True)
        error = (high - low) / (2 * ndtri(0.5 + LEVEL / 2))
        self.least = -(
            self.gain + ndtri(1 - (1 - self.guard.confidence) / np.maximum(tests, 1)) * error
        )
        self.beyond = (
            np.nan_to_num(self.least, nan=-np.inf) > np.array([*self.allowed.values()]) + ROUNDING
        )
        self.beyond[self.current] = False
        self.passing = ~self.beyond.any(axis=(1, 2))
        known = np.isfinite(np.delete(self.gain, self.current, axis=0))
        self.untold = [
            slice for at, slice in enumerate(self.slices) if not known[:, at].any(axis=0).all()
        ]

    def breaches(self, row: int) -> list[Breach]:
        """What a choice loses in segments."""
        found, keyed = [], isinstance(self.guard.max_loss, dict)
        for place, at in np.argwhere(self.beyond[row]).tolist():
            name, loss = list(self.allowed)[at], float(self.least[row, place, at])
            text = (
                f"it loses {-self.gain[row, place, at]:.2%} of current's {name} in the segment "
                f"{self.slices[place]} (at least {loss:.2%} with {self.guard.confidence:.0%} "
                f"confidence), where {_percent(self.allowed[name])} is allowed"
            )
            remedy = Remedy(
                "guard.segments.max_loss", name if keyed else None, float(round_up(loss))
            )
            found.append(Breach(text, loss - self.allowed[name], remedy))
        return found

    def __str__(self) -> str:
        of = f" of {listed(list(self.guard.of))}" if self.guard.of else ""
        return f"no segment{of} that loses more than allowed"


def _measured(value: float) -> str:
    return "was not measured" if math.isnan(value) else f"is {value:.6g}"


def _excess(value: float, bound: float) -> float:
    return math.inf if math.isnan(value) else abs(value - bound) / (abs(bound) or 1.0)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g}%"
