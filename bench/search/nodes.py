"""Kinds of parameters in a search space, and the encoding of their values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeGuard

import numpy as np
from pydantic import Field, PlainValidator, StrictBool, StrictFloat, StrictInt, model_validator

from bench.core.arrays import Floats
from bench.core.errors import check_known
from bench.core.records import Scalar
from bench.core.registry import Config


def _plain(value: object) -> Scalar:
    if isinstance(value, bool | int | float | str):
        return value
    kind = "a table" if isinstance(value, dict) else value
    raise ValueError(f"expected text, a number, true or false, found {kind}")


PlainValue = Annotated[Scalar, PlainValidator(_plain)]


class _Table(Config):
    """A parameter whose fields are the keys of its TOML table, except `type`."""

    type: ClassVar[str]

    def describe(self) -> dict[str, object]:
        return {"type": self.type} | self.model_dump(mode="json")


class _Number(_Table):
    """A number in [low, high], encoded as its position in [0, 1] on a linear or logarithmic
    scale.
    """

    options: ClassVar[tuple[Scalar, ...]] = ()
    low: StrictFloat
    high: StrictFloat
    default: StrictFloat
    log: StrictBool = False

    @model_validator(mode="after")
    def _check_range(self) -> _Number:
        low, high = self.low, self.high
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(
                f"expected finite bounds with low <= high, found low = {low} and high = {high}"
            )
        if self.log and low <= 0:
            raise ValueError(f"expected low > 0 where log = true, found low = {low}")
        if not low <= self.default <= high:
            raise ValueError(f"expected default in [{low}, {high}], found {self.default}")
        return self

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """Values that represent all others in checks."""
        return (self.low, self.high)

    def encode(self, value: Scalar) -> float:
        assert isinstance(value, int | float)
        low, high = self._scale()
        if low == high:
            return 0.5
        return ((math.log(value) if self.log else value) - low) / (high - low)

    def decode(self, place: float) -> Scalar:
        """Value at a position, rounded to the nearest valid one."""
        low, high = self._scale()
        value = low + place * (high - low)
        return self._valid(math.exp(value) if self.log else value)

    def nearest(self, value: Scalar) -> Scalar:
        """The nearest valid value to a number; the default for anything else."""
        return self._valid(value) if _is_number(value) else self.default

    def draw(self, rng: np.random.Generator) -> Scalar:
        return self.decode(rng.random())

    def _valid(self, value: float) -> Scalar:
        return float(min(self.high, max(self.low, value)))

    def _scale(self, margin: float = 0.0) -> tuple[float, float]:
        low, high = self.low - margin, self.high + margin
        return (math.log(low), math.log(high)) if self.log else (low, high)


class Float(_Number):
    """A number in [low, high]."""

    type: ClassVar[str] = "float"


class Int(_Number):
    """A whole number in [low, high]."""

    type: ClassVar[str] = "int"
    low: StrictInt
    high: StrictInt
    default: StrictInt
    step: StrictInt = Field(1, ge=1)

    @model_validator(mode="after")
    def _check_step(self) -> Int:
        if self.log and self.step != 1:
            raise ValueError(f"expected step = 1 where log = true, found step = {self.step}")
        for name, value in (("high", self.high), ("default", self.default)):
            if (value - self.low) % self.step:
                raise ValueError(
                    f"expected {name} to be low plus a multiple of step = {self.step}, found "
                    f"{name} = {value}"
                )
        return self

    @property
    def count(self) -> int:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def draw(self, rng: np.random.Generator) -> Scalar:
        """Draws a value; all are equally likely on a linear scale."""
        if self.log:
            return super().draw(rng)
        return self.low + self.step * int(rng.integers(self.count))

    def snap(self, places: Floats) -> Floats:
        """Rounds positions (N,) to those of valid values."""
        low, high = self._scale()
        scaled = low + places * (high - low)
        values = np.exp(scaled) if self.log else scaled
        values = self.low + self.step * np.round((values - self.low) / self.step)
        values = np.clip(values, self.low, self.high)
        scaled = np.log(values) if self.log else values
        return np.asarray((scaled - low) / (high - low))

    def _valid(self, value: float) -> Scalar:
        bounded = min(self.high, max(self.low, value))
        return self.low + self.step * round((bounded - self.low) / self.step)

    def _scale(self, margin: float = 0.0) -> tuple[float, float]:
        # A number stands for the interval around it, so that both ends are as wide as the rest.
        return super()._scale(self.step / 2)


class _Options:
    """Several unordered values, encoded by their indices."""

    options: tuple[Scalar, ...]
    default: Scalar

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        return self.options

    def encode(self, value: Scalar) -> float:
        typed = [(type(option), option) for option in self.options]
        return float(typed.index((type(value), value)))

    def decode(self, number: float) -> Scalar:
        return self.options[int(number)]

    def nearest(self, value: Scalar) -> Scalar:
        """The value if it is an option; else the nearest numeric option, or the default."""
        if value in self.options:
            return value
        numbers = [option for option in self.options if _is_number(option)]
        if not numbers or not _is_number(value):
            return self.default
        return min(numbers, key=lambda option: abs(float(option) - float(value)))

    def draw(self, rng: np.random.Generator) -> Scalar:
        return self.options[int(rng.integers(len(self.options)))]


class Choice(_Options, _Table):
    """One of several unordered values."""

    type: ClassVar[str] = "choice"
    options: tuple[PlainValue, ...] = Field(min_length=1)
    default: PlainValue

    @model_validator(mode="after")
    def _check(self) -> Choice:
        typed = [(type(option), option) for option in self.options]
        for pair in typed:
            if typed.count(pair) > 1:
                raise ValueError(f"option {pair[1]!r} is listed twice")
        if (type(self.default), self.default) not in typed:
            raise ValueError(
                f"expected default to be one of {list(self.options)}, found {self.default!r}"
            )
        return self


Leaf = Int | Float | Choice


class Constant(_Table):
    """A fixed value."""

    type: ClassVar[str] = "constant"
    value: Scalar


class Simplex(_Table):
    """Relative weights of tasks: the first task's is fixed, every other's is log-uniform in
    [1/spread, spread].

    Only ratios matter, so fixing one loses nothing; the log scale favours no task. `pinned` weights
    are fixed, by task.
    """

    type: ClassVar[str] = "simplex"
    spread: StrictFloat = Field(16.0, gt=1, le=1e6)
    pinned: Mapping[str, Scalar] = {}

    def expand(self, name: str, tasks: Sequence[str]) -> dict[str, Leaf | Constant]:
        """Returns the weights as parameters `<name>.<task>`; raises UserError if one is pinned for
        an unknown task.
        """
        for task in self.pinned:
            check_known("task", task, tasks, f"{name}.{task}")
        weight = Float(low=1 / self.spread, high=self.spread, default=1.0, log=True)
        weights: dict[str, Leaf | Constant] = {f"{name}.{task}": weight for task in tasks[1:]}
        for task, value in self.pinned.items():
            weights[f"{name}.{task}"] = Constant(value=value)
        return weights


@dataclass(frozen=True)
class Switch(_Options):
    """A choice whose options bring their own parameters; if `in_groups`, searched only on data with
    groups.
    """

    default: str
    branches: Mapping[str, Tree]
    in_groups: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.branches))

    def describe(self) -> dict[str, object]:
        """Options as plain values."""
        return {"type": "switch", "default": self.default, "options": list(self.branches)}


Node = Leaf | Constant | Simplex | Switch
Tree = Mapping[str, Node]
"""Parameters by dotted name, in sampling order."""


def _is_number(value: Scalar) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
