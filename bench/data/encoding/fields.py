"""Parts of an encoder that make embedding ids. Each gives local ids (N, slots); the encoder adds the offsets."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limits
from pydantic import FiniteFloat, field_validator

from bench.data.encoding.base import Source
from bench.data.encoding.vocabulary import Vocabulary
from bench.data.values import canonical
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
        return self.vocabulary.encode(self.source.text(table))[:, None]


class MultiValuedField(Config):
    """Several values in one text. A row without any has only padding."""

    kind: Literal["multi-valued"] = "multi-valued"
    name: str
    source: Source
    separator: str = Limits(min_length=1)
    slots: int = Limits(ge=1, le=2**16)
    vocabulary: Vocabulary

    @property
    def field(self) -> Field:
        """For the schema."""
        return Field(self.name, self.vocabulary.cardinality, self.slots)

    def encode(self, table: Any) -> LocalIds:
        """(N, slots), padded at the end."""
        text = self.source.text(table, spelled=True)
        of_value = np.full((len(text.values) + 1, self.slots), PAD, np.int32)  # the last row serves code -1
        for row, joined in enumerate(text.values):
            parts = self._parts(joined)
            of_value[row, : len(parts)] = self.vocabulary.local(parts)
        encoded: LocalIds = of_value[text.codes]
        return encoded

    def _parts(self, joined: str) -> list[str]:
        """Values in order, each once: a repeated value would weigh twice in the pool."""
        missing, spelled = self.source.missing, self.source.spelled
        parts = (canonical(part, missing, spelled) for part in joined.split(self.separator))
        return list(dict.fromkeys(part for part in parts if part is not None))[: self.slots]


class BucketField(Config):
    """A number as one of a few ranges of about equal count in train. Missing is a range of its own."""

    kind: Literal["bucket"] = "bucket"
    name: str
    source: Source
    edges: tuple[FiniteFloat, ...]
    """x is in range 1 + (number of edges <= x)."""

    @field_validator("edges")
    @classmethod
    def _ascending(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if any(after < before for before, after in pairwise(edges)):
            raise ValueError("expected edges in ascending order")
        return edges

    @property
    def field(self) -> Field:
        """For the schema."""
        return Field(self.name, len(self.edges) + 3)  # unknown, the ranges, missing

    def encode(self, table: Any) -> LocalIds:
        """(N, 1)."""
        return self.encode_numbers(self.source.numbers(table))

    def encode_numbers(self, numbers: NDArray[np.float64]) -> LocalIds:
        """As `encode`, for numbers (N,) at hand."""
        local = 1 + np.searchsorted(np.array(self.edges), numbers, side="right")
        return np.where(np.isnan(numbers), len(self.edges) + 2, local).astype(np.int32)[:, None]
