"""Parts of an encoder that make embedding ids. Each gives local ids (N, slots); the encoder adds the offsets."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limits
from pydantic import FiniteFloat, NonNegativeInt, model_validator

from bench.data.codes import ABSENT
from bench.data.columns import Keep
from bench.data.encoding.base import Source
from bench.data.encoding.known import Known
from bench.data.encoding.lists import Lists, list_codes
from bench.data.encoding.vocabulary import Vocabulary
from bench.registry import Config
from bench.schema import Field

PAD = -1
"""Local id of an unused slot; it becomes row 0."""
LocalIds = NDArray[np.int32]


class CategoricalField(Config):
    """One value a row."""

    kind: Literal["categorical"] = "categorical"
    name: str
    source: Source
    vocabulary: Vocabulary

    @property
    def field(self) -> Field:
        """For the schema."""
        return Field(self.name, self.vocabulary.cardinality)

    def encode(self, table: Any) -> LocalIds:
        """(N, 1)."""
        return self.known.of(self.source, table)[:, None]

    @cached_property
    def known(self) -> Known:
        """Its categories, to look texts up in."""
        return Known(self.vocabulary.values, self.vocabulary.numbers, 0, 0)


class MultiValuedField(Config):
    """Several values in one text or list. A row without any has only padding."""

    kind: Literal["multi-valued"] = "multi-valued"
    name: str
    source: Source
    separator: str = Limits(min_length=1)
    """Between the values of a text."""
    slots: int = Limits(ge=1, le=2**16)
    keep: Keep
    """Which of a longer list's values have slots."""
    vocabulary: Vocabulary

    @property
    def field(self) -> Field:
        """For the schema."""
        return Field(self.name, self.vocabulary.cardinality, self.slots)

    def encode(self, table: Any) -> LocalIds:
        """(N, slots), each value of a row once and in order, padded at the end."""
        known = self._known
        found: LocalIds = known.meaning[
            list_codes(self.lists, known.codes, table, grow=False, spelled=self.source.spelled)
        ]
        return found

    @property
    def lists(self) -> Lists:
        """How its column is read."""
        return Lists(self.source, self.separator, self.slots, self.keep)

    @cached_property
    def _known(self) -> Known:
        return Known(self.vocabulary.values, self.vocabulary.numbers, PAD, 0)


class HistoryField(Config):
    """The newest values of another field in earlier rows of the group, newest first, repeats and all."""

    kind: Literal["history"] = "history"
    name: str
    source: Source
    """A list, or a text with commas between, in rows that bring their history."""
    of: str
    """The field whose values and rows of the table these are."""
    slots: int = Limits(ge=2, le=2**16)

    def field(self, owner: CategoricalField) -> Field:
        """For the schema."""
        return Field(self.name, owner.vocabulary.cardinality, self.slots, self.of)

    def encode(self, table: Any, owner: CategoricalField) -> LocalIds:
        """(N, slots), padded at the end."""
        known = owner.known
        lists = Lists(self.source, ",", self.slots, "first", repeats=True)
        codes = list_codes(lists, known.codes, table, grow=False, spelled=owner.source.spelled)
        return np.where(codes == ABSENT, PAD, known.meaning[codes])


class BucketField(Config):
    """A number as one of V ranges of about equal count in train. Missing is a range of its own."""

    kind: Literal["bucket"] = "bucket"
    number: str
    """The numeric input that is divided."""
    source: Source
    edges: tuple[FiniteFloat, ...]
    """V - 1; x is in range 1 + (number of edges <= x)."""
    low: FiniteFloat
    high: FiniteFloat
    """Least and greatest number of train."""
    counts: tuple[NonNegativeInt, ...]
    """(V,) rows of train in each range."""

    @model_validator(mode="after")
    def _consistent(self) -> BucketField:
        if any(after < before for before, after in pairwise((self.low, *self.edges, self.high))):
            raise ValueError("expected low, edges and high in ascending order")
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(f"expected {len(self.edges) + 1} counts of ranges, found {len(self.counts)}")
        return self

    @property
    def name(self) -> str:
        """Of the field."""
        return f"{self.number}_bucket"

    @property
    def field(self) -> Field:
        """For the schema."""
        return Field(self.name, len(self.edges) + 3)  # unknown, the ranges, missing

    def encode(self, table: Any) -> LocalIds:
        """(N, 1)."""
        return self.encode_numbers(self.source.numbers(table))

    def encode_numbers(self, numbers: NDArray[np.float64]) -> LocalIds:
        """As `encode`, for numbers (N,) at hand."""
        local = (1 + np.searchsorted(self._cuts, numbers, side="right")).astype(np.int32)
        local[np.isnan(numbers)] = len(self.edges) + 2
        return local[:, None]

    @cached_property
    def _cuts(self) -> NDArray[np.float64]:
        return np.array(self.edges)
