"""Kinds of columns that a card may name. To add one, write a file and add a line to `KINDS`; see
`base`.

    KINDS["numeric"](log1p=True).fitter("price", Source(column="price"), min_count=1)

A draft takes the first kind that claims a column, in the order of the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BeforeValidator, Discriminator

from bench.data.columns.base import DensePart, FieldPart, Kind, Part
from bench.data.columns.categorical import Categorical, Position
from bench.data.columns.date_part import DatePart
from bench.data.columns.multi_valued import MultiValued
from bench.data.columns.numeric import Numeric
from bench.data.columns.vector import Vector

KINDS: dict[str, type[Kind]] = {
    "vector": Vector,
    "multi-valued": MultiValued,
    "date-part": DatePart,
    "position": Position,
    "categorical": Categorical,
    "numeric": Numeric,
}
PARTS: list[type[Part]] = [part for kind in KINDS.values() for part in kind.parts]
"""The parts of an encoder that they make."""
FIELDS = tuple(part for part in PARTS if issubclass(part, FieldPart))
DENSE = tuple(part for part in PARTS if issubclass(part, DensePart))


def by_kind(classes: tuple[type, ...]) -> Any:
    """A union that is told apart by `kind`, for pydantic."""
    return Annotated[Union[classes], Discriminator("kind")]  # noqa: UP007


if TYPE_CHECKING:
    Column = Kind
else:
    Column = Annotated[
        by_kind(tuple(KINDS.values())),
        BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value),
    ]
    """`"numeric"` is short for `{ kind = "numeric" }`."""
