"""What is asked of a plan: options of `seesaw plan`."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Annotated

from pydantic import BeforeValidator, Field

from bench.core.errors import shortened
from bench.core.option import Option
from bench.core.registry import Config


def _per_day(value: object) -> object:
    if not isinstance(value, str):
        return value
    number, slash, day = value.partition("/")
    if not slash or day.strip() != "day":
        raise ValueError(f"expected N/day, as in 200000/day, found '{shortened(value)}'")
    return number


def _margin(value: object) -> object:
    """A fraction, of a text in per cent."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(-.*)%", value.strip())
    with suppress(ValueError):
        if match is not None:
            return float(match[1]) / 100
    raise ValueError(f"expected -N%, as in -0.5%, found '{shortened(value)}'")


Margin = Annotated[float, BeforeValidator(_margin), Field(gt=-1, lt=0)]


class PlanOptions(Config):
    """What is asked of a plan."""

    point: Annotated[str | None, Option(form="ID")] = None
    """A point of `seesaw show`, as 7 or trees, in place of the pick."""
    traffic: Annotated[
        float | None, BeforeValidator(_per_day), Option(form="N/day"), Field(gt=0, lt=math.inf)
    ] = None
    """Units that enter the test a day, both arms: 200000/day."""
    unit: str | None = None
    """Column of what has one arm. Default: the card's units."""
    guardrails: Annotated[dict[str, Margin], Option("guardrail", "TASK=-N%", "click=-0.5%")] = (
        Field(default_factory=dict)
    )
    """The most that a task may lose: click=-0.5%."""
