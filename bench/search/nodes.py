"""The kinds of parameter in a search space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from bench.errors import UserError, unknown
from bench.records import Scalar

Value = StrictBool | StrictInt | StrictFloat | StrictStr


class _Leaf(BaseModel):
    """A parameter with one value; its fields are the keys of its TOML table, all but `type`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    type: ClassVar[str]

    def describe(self) -> dict[str, Any]:
        """Its options as plain values."""
        return {"type": self.type} | self.model_dump(mode="json")


class Int(_Leaf):
    """A whole number in [low, high]."""

    type: ClassVar[str] = "int"
    low: StrictInt
    high: StrictInt
    default: StrictInt
    log: StrictBool = False
    step: StrictInt = Field(1, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Int:
        _check_range(self.low, self.high, self.default, self.log)
        if self.log and self.step != 1:
            raise ValueError(f"expected step = 1 where log = true, found step = {self.step}")
        for name, value in (("high", self.high), ("default", self.default)):
            if (value - self.low) % self.step:
                raise ValueError(
                    f"expected {name} to be low plus a multiple of step = {self.step}, found {name} = {value}"
                )
        return self

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """Values that, if they are accepted, speak for all others."""
        return (self.low, self.high)

    def draw(self, rng: np.random.Generator) -> int:
        """A value, uniform on its scale."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(self.high, max(self.low, round(value)))
        return self.low + self.step * int(rng.integers((self.high - self.low) // self.step + 1))


class Float(_Leaf):
    """A number in [low, high]."""

    type: ClassVar[str] = "float"
    low: float
    high: float
    default: float
    log: StrictBool = False

    @model_validator(mode="after")
    def _check(self) -> Float:
        _check_range(self.low, self.high, self.default, self.log)
        return self

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """Values that, if they are accepted, speak for all others."""
        return (self.low, self.high)

    def draw(self, rng: np.random.Generator) -> float:
        """A value, uniform on its scale."""
        if self.log:
            return min(self.high, max(self.low, math.exp(rng.uniform(math.log(self.low), math.log(self.high)))))
        return float(rng.uniform(self.low, self.high))


class Choice(_Leaf):
    """One of several values, without order."""

    type: ClassVar[str] = "choice"
    options: tuple[Value, ...] = Field(min_length=1)
    default: Value

    @model_validator(mode="after")
    def _check(self) -> Choice:
        seen = [(type(option), option) for option in self.options]
        if twice := next((option for option in seen if seen.count(option) > 1), None):
            raise ValueError(f"option {twice[1]!r} is listed twice")
        if (type(self.default), self.default) not in seen:
            raise ValueError(f"expected default to be one of {list(self.options)}, found {self.default!r}")
        return self

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """Values that, if they are accepted, speak for all others: every one."""
        return self.options

    def draw(self, rng: np.random.Generator) -> Scalar:
        """A value, each as likely."""
        return self.options[int(rng.integers(len(self.options)))]


Leaf = Int | Float | Choice


@dataclass(frozen=True)
class Constant:
    """A value held fixed."""

    value: Scalar

    def describe(self) -> dict[str, Any]:
        """Itself as plain values."""
        return {"type": "constant", "value": self.value}


@dataclass(frozen=True)
class Simplex:
    """Relative weights of tasks: the first task's is left alone, every other's is log-uniform in [1/spread, spread].

    Only ratios of weights matter, so that leaving one alone loses nothing; on the log scale no task is favoured.

    Attributes:
        pinned: weights that are held fixed, by task.
    """

    spread: float
    pinned: Mapping[str, Scalar] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Itself as plain values."""
        return {"type": "simplex", "spread": self.spread, "pinned": dict(self.pinned)}

    def expand(self, name: str, tasks: Sequence[str]) -> dict[str, Leaf | Constant]:
        """The weights as parameters `<name>.<task>`.

        Raises:
            UserError: a weight is pinned for a task that is not among them.
        """
        for task in self.pinned:
            if task not in tasks:
                raise UserError(f"{name}.{task}: {unknown('task', task, tasks)}")
        weight = Float(low=1 / self.spread, high=self.spread, default=1.0, log=True)
        weights: dict[str, Leaf | Constant] = {f"{name}.{task}": weight for task in tasks[1:]}
        return weights | {f"{name}.{task}": Constant(value) for task, value in self.pinned.items()}


@dataclass(frozen=True)
class Switch:
    """A choice whose every option brings parameters of its own."""

    default: str
    branches: Mapping[str, Tree]

    def describe(self) -> dict[str, Any]:
        """Its options as plain values."""
        return {"type": "switch", "default": self.default, "options": list(self.branches)}

    def draw(self, rng: np.random.Generator) -> str:
        """A branch, each as likely."""
        return list(self.branches)[int(rng.integers(len(self.branches)))]


Node = Leaf | Constant | Simplex | Switch
Tree = Mapping[str, Node]
"""Parameters by dotted name, in the order in which they are sampled."""


def _check_range(low: float, high: float, default: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"expected finite bounds with low <= high, found low = {low} and high = {high}")
    if log and low <= 0:
        raise ValueError(f"expected low > 0 where log = true, found low = {low}")
    if not low <= default <= high:
        raise ValueError(f"expected default in [{low}, {high}], found {default}")
