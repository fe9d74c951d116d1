"""The inputs of a card: kinds of columns and their options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, field_validator

from bench.data.derive import DERIVATIONS
from bench.errors import unknown
from bench.registry import Config

Keep = Literal["first", "last"]
"""Which values of a list stay where it has more than there are slots."""


class _Column(Config):
    """What all kinds have in common."""

    source: str | None = Field(None, alias="from")
    """Raw column it is made from; its own name where absent."""
    derive: str | None = None
    """A function of the raw column, from `bench.data.derive`."""

    @field_validator("derive")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in DERIVATIONS:
            raise ValueError(str(unknown("derivation", name, DERIVATIONS)))
        return name


class Categorical(_Column):
    """An id or a label of few values: one embedding row for each value that train holds often enough."""

    kind: Literal["categorical"] = "categorical"
    min_count: int | None = Field(None, ge=1)
    """Rows of train a value needs; rarer ones share the field's unknown. Absent: the card's."""


class Numeric(_Column):
    """A quantity: standardised with the mean and deviation of train, and as a range between quantiles of train."""

    kind: Literal["numeric"] = "numeric"
    log1p: bool = False
    """Take sign(x) log(1 + |x|) first, for heavy tails."""
    missing_flag: bool = False
    """Keep the 0/1 column `<name>_missing` even where train lacks no value."""


class MultiValued(_Column):
    """A list of categories, as parquet holds lists or in one text: several slots of one field, pooled by the model."""

    kind: Literal["multi-valued"] = "multi-valued"
    separator: str = Field(",", min_length=1)
    """Between the values of a text; lists need none."""
    max_length: int = Field(5, ge=1, le=1000)
    """Slots; a longer list keeps as many distinct values."""
    keep: Keep = "first"
    """Which values of a longer list stay."""
    min_count: int | None = Field(None, ge=1)


class Vector(_Column):
    """A list of numbers of one length, as an embedding that was computed elsewhere: that many dense columns."""

    kind: Literal["vector"] = "vector"
    length: int = Field(ge=1, le=4096)
    missing_flag: bool = False
    """Keep the 0/1 column `<name>_missing` even where train lacks no vector."""
    derive: None = None


def _expand(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


Column = Annotated[
    Annotated[Categorical | Numeric | MultiValued | Vector, Discriminator("kind")], BeforeValidator(_expand)
]
"""`"numeric"` is short for `{ kind = "numeric" }`."""
