"""The `[training]` table of a configuration file: how to train a picked point as the search did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from bench.validation import validate

TABLE = "training."


class Recipe(BaseModel):
    """The `[training]` table of a configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Training samples at which to stop, on the schedule of full length; none trains to the end."""
    tasks: tuple[str, ...] = ()
    """Tasks to train; empty means the card's."""
    objectives: tuple[str, ...] = ()
    """Metrics without split whose mean decides which state is kept; empty means every task's primary metric."""


def split(dotted: Mapping[str, Any], where: str) -> tuple[Recipe, dict[str, Any]]:
    """The recipe among dotted names, and the rest, which is the configuration.

    Raises:
        UserError: an unknown key or a bad value.
    """
    given = {name.removeprefix(TABLE): value for name, value in dotted.items() if name.startswith(TABLE)}
    rest = {name: value for name, value in dotted.items() if not name.startswith(TABLE)}
    return validate(Recipe, given, where, "training"), rest
