"""The kinds of limits that a policy sets. Each is one class: which choices keep it, and what one
breaks, in words.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

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
        choices, confidence = self.choices, self.confidence
        is_floor = self.sign > 0
        self.side = "at least" if is_floor else "at most"
        self.means = choices.values([self.name])[:, 0]
        self.now = math.nan
        if choices.current is not None:
            self.now = float(self.means[choices.current])

        if confidence is None:
            self.surely = ""
            self.sure = None
            self.drawn = self.kept(np.zeros((0, len(self.means))))
            self.passing = self.kept(self.means)
        else:
            self.surely = f" with {confidence:.0%} confidence"
            self.sure = choices.sure_shares(self.name, confidence, is_floor)
            self.drawn = self.kept(choices.posterior([self.name])[..., 0])
            self.passing = self.drawn.mean(axis=0) >= confidence

    def threshold(self, values: Floats) -> Floats:
        """What each row's value must reach, or not exceed: (..., rows), of values (..., rows)."""
        if not self.relative:
            return np.full(values.shape, self.bound)
        now = np.broadcast_to(values[..., self.choices.current, None], values.shape)
        # a loss is a fraction of its size, also of one below 0
        return np.asarray(now + (self.bound - 1) * np.abs(now))

    def kept(self, values: Floats, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Which rows keep it: (..., rows), of values (..., rows).

        Args:
            tolerance: that much of |threshold| is forgiven; of a head's metric in thousandths, of
                .1.
        """
        threshold = self.threshold(values)
        size = np.abs(threshold)
        is_in_thousandths = self.choices.in_thousandths(self.name)
        unit = THOUSANDTHS if is_in_thousandths else size
        slack = tolerance * unit + ROUNDING * size
        return np.asarray(self.sign * values >= self.sign * threshold - slack)

    @abstractmethod
    def breach(self, row: int) -> Breach:
        """What a choice that does not keep it breaks."""

    def _breach(self, text: str, excess: float, value: SettingValue) -> Breach:
        name = self.name if self.keyed else None
        return Breach(text, excess, Remedy(self.setting, name, value))


@dataclass(kw_only=True, eq=False)
class Bound(Limit):
    """A bound that a policy writes, such as "98% of current".

    Attributes:
        written: as the policy has it.
    """

    written: float | str

    def breach(self, row: int) -> Breach:
        """By how far a value is beyond the bound."""
        value = float(self.means[row])
        if self.sure is not None and not math.isnan(value):
            return self._breach_of_share(float(self.sure[row]), value)
        threshold = float(self.threshold(self.means)[row])
        written = ""
        if self.relative:
            written = f" ({self.written})"
        text = (
            f"its {self.name} {_measured(value)}, where {self.side} {threshold:.6g}{written} is "
            "allowed"
        )
        if math.isnan(value):
            return self._breach(text, math.inf, None)
        setting = self._loosened(value, value, self.now)
        return self._breach(text, _excess(value, threshold), setting)

    def _breach_of_share(self, share: float, value: float) -> Breach:
        """Of a row that surely keeps a share of current's value, which is too small."""
        text = (
            f"its {self.name} is {self.side} {_percent(share)} of current{self.surely}, where "
            f"{self.side} {self.written} is allowed"
        )
        setting = self._loosened(share, value, now=1.0)
        return self._breach(text, _excess(share, self.bound), setting)

    def _loosened(self, reached: float, value: float, now: float) -> SettingValue:
        """The bound that a row would keep, by what it reaches, where current has `now`."""
        is_floor = self.sign > 0
        if self.relative and reached < LEAST_SHARE * abs(now):
            # too small for a share of current: a number
            return loosened(0.0, value, now, is_floor)
        return loosened(self.written, reached, now, is_floor)

    def __str__(self) -> str:
        if isinstance(self.written, str):
            return f"{self.name} {self.side} {self.written}"
        return f"{self.name} {self.side} {self.written:g}"


@dataclass(kw_only=True, eq=False)
class AllowedLoss(Limit):
    """A loss as a share of the current point's value."""

    def breach(self, row: int) -> Breach:
        """By how much more is, or may be, lost than is allowed."""
        verb, loss = "loses", math.inf
        if self.sure is not None:
            verb, loss = "may lose", self.sign * (1 - float(self.sure[row]))
        elif self.now:
            loss = self.sign * (self.now - float(self.means[row])) / abs(self.now)
        allowed = self.sign * (1 - self.bound)
        text = (
            f"it {verb} {loss:.2%} of current's {self.name}{self.surely}, where "
            f"{_percent(allowed)} is allowed"
        )
        setting = math.inf
        if loss <= 1 or self.keyed:
            setting = float(round_up(loss))
        return self._breach(text, loss - allowed, setting)

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
        setting = loosened(0.0, value, math.nan, floor=True)
        remedy = Remedy("guard.at_least", self.name, setting)
        return Breach(text, _excess(value, self.bound), remedy)

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
        count = math.inf
        if error:
            count = lost / error
        text = (
            f"it is {lost:.3g} worse in {self.name} than current ({self.now:.5g}), {count:.3g} "
            f"standard errors of that difference, where {self.count:g} are allowed"
        )
        threshold = float(self.threshold(self.means)[row])
        return self._breach(text, _excess(value, threshold), float(round_up(count)))

    def __str__(self) -> str:
        return f"{self.name} at most {self.count:g} standard errors behind current"


@dataclass
class Everywhere:
    """What may be lost in any segment, beyond what noise allows for.

    Attributes:
        slices: of the confirmation rows of `choices`.
        allowed: what may be lost, by outcome.
        gain: (rows, slices, outcomes), over the current point.
        sure_loss: the same; with the guard's confidence, for all of a row together, more than this
            is lost.
        beyond: the same, where that is more than is allowed.
        passing: (rows,), which choices lose no more anywhere.
        unjudged: segments in which too few rows are positive to judge an outcome of any choice.
    """

    guard: SegmentGuard
    choices: Choices
    slices: Sequence[str]
    allowed: Mapping[str, float]

    def __post_init__(self) -> None:
        self.gain = self._cells("gain")
        self.sure_loss = self._sure_loss()
        allowed = np.array(list(self.allowed.values()))
        self.beyond = np.nan_to_num(self.sure_loss, nan=-np.inf) > allowed + ROUNDING
        self.beyond[self.choices.current] = False
        self.passing: NDArray[np.bool_] = ~np.asarray(self.beyond.any(axis=(1, 2)))

        is_measured: NDArray[np.bool_] = np.isfinite(self.gain)
        is_measured[self.choices.current] = False
        is_judged = np.all(is_measured.any(axis=0), axis=1)
        self.unjudged = list(compress(self.slices, ~is_judged))

    def _cells(self, part: str) -> Floats:
        """(rows, slices, outcomes), a part of the ledger's cells."""
        outcomes = [self.choices.names.index(name) for name in self.allowed]
        by_slice = [self.choices.at(CONFIRM, part, slice) for slice in self.slices]
        return np.stack(by_slice, axis=1)[..., outcomes]

    def _sure_loss(self) -> Floats:
        low, high = self._cells("gain_low"), self._cells("gain_high")
        tests = np.isfinite(self.gain + low + high).sum(axis=(1, 2), keepdims=True)
        error = (high - low) / (2 * ndtri(0.5 + LEVEL / 2))
        # Bonferroni over all that is tested of a row
        tail = (1 - self.guard.confidence) / np.maximum(tests, 1)
        return np.asarray(-(self.gain + ndtri(1 - tail) * error))

    def breaches(self, row: int) -> list[Breach]:
        """What a choice loses in segments."""
        breaches = []
        for segment, outcome in np.argwhere(self.beyond[row]).tolist():
            breaches.append(self._breach(row, segment, outcome))
        return breaches

    def _breach(self, row: int, segment: int, outcome: int) -> Breach:
        name, allowed = list(self.allowed.items())[outcome]
        loss = float(self.sure_loss[row, segment, outcome])
        text = (
            f"it loses {-self.gain[row, segment, outcome]:.2%} of current's {name} in the segment "
            f"{self.slices[segment]} (at least {loss:.2%} with {self.guard.confidence:.0%} "
            f"confidence), where {_percent(allowed)} is allowed"
        )
        key = None
        if isinstance(self.guard.max_loss, dict):
            key = name
        remedy = Remedy("guard.segments.max_loss", key, float(round_up(loss)))
        return Breach(text, loss - allowed, remedy)

    def __str__(self) -> str:
        segments = ""
        if self.guard.of:
            segments = f" of {listed(list(self.guard.of))}"
        return f"no segment{segments} that loses more than allowed"


def _measured(value: float) -> str:
    if math.isnan(value):
        return "was not measured"
    return f"is {value:.6g}"


def _excess(value: float, bound: float) -> float:
    """How far a value is beyond a bound, as a fraction of it."""
    if math.isnan(value):
        return math.inf
    return abs(value - bound) / (abs(bound) or 1.0)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g}%"
