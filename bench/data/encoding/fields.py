"""Parts of an encoder that make embedding ids. Each gives local ids (N, slots); the encoder adds the offsets."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.encoding.base import Source
from bench.data.encoding.vocabulary import Vocabulary, count
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

    @classmethod
    def fit(cls, name: str, source: Source, min_count: int, train: Any) -> CategoricalField:
        """Counts values in train."""
        text = source.text(train)
        vocabulary = Vocabulary.fit([*text.values, None], count(text), min_count)
        return cls(name=name, source=source, vocabulary=vocabulary)

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
    separator: str
    slots: int
    vocabulary: Vocabulary

    @classmethod
    def fit(cls, name: str, source: Source, separator: str, slots: int, min_count: int, train: Any) -> MultiValuedField:
        """Counts values in train, those beyond the last slot left out."""
        text = source.text(train)
        counts: dict[str | None, int] = {}
        for joined, rows in zip(text.values, count(text)[:-1], strict=True):
            for value in _parts(joined, separator, slots, source.missing):
                counts[value] = counts.get(value, 0) + int(rows)
        vocabulary = Vocabulary.fit(list(counts), np.array(list(counts.values()), np.int64), min_count)
        return cls(name=name, source=source, separator=separator, slots=slots, vocabulary=vocabulary)

    @property
    def field(self) -> Field:
        """For the schema."""
        return Field(self.name, self.vocabulary.cardinality, self.slots)

    def encode(self, table: Any) -> LocalIds:
        """(N, slots), padded at the end."""
        text = self.source.text(table)
        of_value = np.full((len(text.values) + 1, self.slots), PAD, np.int32)  # the last row serves code -1
        for row, joined in enumerate(text.values):
            parts = _parts(joined, self.separator, self.slots, self.source.missing)
            of_value[row, : len(parts)] = self.vocabulary.local(parts)
        encoded: LocalIds = of_value[text.codes]
        return encoded


def _parts(joined: str, separator: str, slots: int, missing: tuple[str, ...]) -> list[str]:
    """Values in order, each once: a repeated value would weigh twice in the pool."""
    parts = (canonical(part, missing) for part in joined.split(separator))
    return list(dict.fromkeys(part for part in parts if part is not None))[:slots]


class BucketField(Config):
    """A number as one of a few ranges of about equal count in train. Missing is a range of its own."""

    kind: Literal["bucket"] = "bucket"
    name: str
    source: Source
    edges: tuple[float, ...]
    """x is in range 1 + (number of edges <= x)."""

    @classmethod
    def fit(cls, name: str, source: Source, buckets: int, train: Any) -> BucketField:
        """Cuts at quantiles of train."""
        numbers = source.numbers(train)
        return cls(name=name, source=source, edges=tuple(cut_points(numbers[~np.isnan(numbers)], buckets)))

    @property
    def field(self) -> Field:
        """For the schema."""
        return Field(self.name, len(self.edges) + 3)  # unknown, the ranges, missing

    def encode(self, table: Any) -> LocalIds:
        """(N, 1)."""
        numbers = self.source.numbers(table)
        local = 1 + np.searchsorted(np.array(self.edges), numbers, side="right")
        return np.where(np.isnan(numbers), len(self.edges) + 2, local).astype(np.int32)[:, None]


def cut_points(numbers: NDArray[np.float64], buckets: int) -> list[float]:
    """Edges between at most `buckets` ranges of about equal count.

    A value that alone holds 1 / buckets of the rows gets a range for itself, so that a spike (nine in ten people have
    no capital gains) does not swallow the quantiles of the rest.
    """
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) <= 1:
        return []
    spike = counts * buckets >= counts.sum()
    rest = np.where(spike, 0, counts)
    share = max(rest.sum() / max(buckets - spike.sum(), 1), 1)
    position = np.floor((np.cumsum(rest) - rest / 2) / share)
    new = (np.diff(position) > 0) | spike[1:] | spike[:-1]
    return [float(edge) for edge in values[1:][new]]
