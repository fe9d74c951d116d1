"""Segments, by which outcomes are compared, and columns of items, by which outcomes are measured:
as a card names them, and as a store holds them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from bench.core.arrays import Floats, Ints, Mask
from bench.core.registry import Config
from bench.core.system.mapped import mapped
from bench.data.codes import TextCodes
from bench.data.npy_files import ArrayWriter, read_parts
from bench.data.values import as_numbers

SegmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
KNOWN = ("known", "new")
OTHER = "other"
MOST_OWN_VALUES = 20
"""Values of a categorical segment that are segments of their own; all others are `OTHER`."""


class SegmentRule(Config):
    """One way to cut the rows into segments: by category, by ranges of a number, or by whether
    train holds a value.
    """

    column: str | None = None
    """Raw column: its values by their frequency on train, at most `MOST_OWN_VALUES`; all others are
    `OTHER`.
    """
    ranges: tuple[float, ...] = Field((), max_length=MOST_OWN_VALUES)
    """Ends of ranges, rising: the column is then a number, and [25, 45] makes "< 25", "25 to 45"
    and ">= 45".
    """
    known: str | None = None
    """Raw column, in place of `column`: whether a row's value is among those of train."""

    @property
    def raw(self) -> str:
        """The raw column it reads."""
        return self.column or self.known or ""

    @property
    def fixed(self) -> tuple[str, ...]:
        """Its values where data does not decide them; empty for a category."""
        if self.known is not None:
            return KNOWN
        if not self.ranges:
            return ()
        ends = [f"{end:.15g}" for end in self.ranges]
        between = [f"{low} to {high}" for low, high in pairwise(ends)]
        return (f"< {ends[0]}", *between, f">= {ends[-1]}")

    @model_validator(mode="after")
    def _one_way(self) -> SegmentRule:
        if bool(self.column) == bool(self.known):
            raise ValueError("expected either 'column' or 'known', the raw column that it reads")
        if self.ranges and self.known:
            raise ValueError("'ranges' go with 'column', not with 'known'")
        rising = all(low < high for low, high in pairwise(self.ranges))
        if not rising or not all(map(math.isfinite, self.ranges)):
            raise ValueError(f"expected ranges that rise, found {list(self.ranges)}")
        return self


BLOCK = 1 << 16
"""Rows whose segments are written at a time."""
WAITING = "provisional"
Numbers = NDArray[np.int32]


class Segments:
    """The segments that rows are in; takes the parts of a card's rows, in order, all splits
    together.

    Values of categories are numbered as they first appear. Which become segments depends on their
    counts over all of train; the numbers wait on disk until then.
    """

    def __init__(self, rules: Mapping[str, SegmentRule], missing: Collection[str]) -> None:
        self._segments = [_Segment(rule, missing) for rule in rules.values()]
        self._names = list(rules)

    def take(self, table: pa.Table, train: Mask) -> dict[str, Numbers]:
        """What is kept of the n rows of an Arrow table: provisional numbers (n, G), if there are
        segments.
        """
        if not self._segments:
            return {}
        numbers = [segment.take(table, train) for segment in self._segments]
        return {WAITING: np.stack(numbers, axis=1)}

    def finish(self, folders: Sequence[Path]) -> dict[str, Any]:
        """Writes each split's `segments.npy`, when all files are closed; returns the manifest's
        facts.
        """
        if not self._segments:
            return {}
        coded = [segment.finish() for segment in self._segments]
        for folder in folders:
            waiting = folder / f"{WAITING}.npy"
            with ArrayWriter(folder / "segments.npy", np.int16, (len(coded),)) as writer:
                for block in read_parts(mapped(waiting), BLOCK):
                    columns = [
                        segment.code_of_number[numbers]
                        for segment, numbers in zip(coded, block.T, strict=True)
                    ]
                    writer.append(np.stack(columns, axis=1))
            waiting.unlink()
        values = {name: segment.values for name, segment in zip(self._names, coded, strict=True)}
        return {"segments": values}


@dataclass(frozen=True)
class _CodedSegment:
    values: list[str]
    code_of_number: NDArray[np.int16]
    """For each provisional number the index into `values`; the last is -1, of missing values."""


class _Segment:
    def __init__(self, rule: SegmentRule, missing: Collection[str]) -> None:
        self._rule, self._missing = rule, missing
        self._values = TextCodes()
        self._train_counts: Ints = np.zeros(0, np.int64)

    def take(self, table: pa.Table, train: Mask) -> Numbers:
        """(n,) provisional: the index of a range, or the number of a value; -1 where missing."""
        column, rule = table[self._rule.raw], self._rule
        if rule.ranges:
            values = as_numbers(column, self._missing, rule.raw)
            ranges = np.searchsorted(rule.ranges, values, side="right")
            return np.where(np.isnan(values), -1, ranges).astype(np.int32)
        numbers = self._values.code_column(column, self._missing)
        counts = np.bincount(numbers[train & (numbers >= 0)], minlength=len(self._values))
        counts[: len(self._train_counts)] += self._train_counts
        self._train_counts = counts
        return numbers

    def finish(self) -> _CodedSegment:
        rule = self._rule
        if rule.ranges:
            return _coded(rule.fixed, np.arange(len(rule.fixed)))
        if rule.known is not None:
            return _coded(rule.fixed, self._train_counts == 0)
        return self._frequent_values()

    def _frequent_values(self) -> _CodedSegment:
        counts = self._train_counts
        # one more, in case `OTHER` is a value of its own
        frequent = np.argsort(-counts, kind="stable")[: MOST_OWN_VALUES + 1].tolist()
        texts = self._values.texts(frequent)
        text_of_number = {
            number: text
            for number, text in zip(frequent, texts, strict=True)
            if counts[number] and text != OTHER
        }
        numbers = list(text_of_number)[:MOST_OWN_VALUES]
        values = [text_of_number[number] for number in numbers]

        codes = np.full(len(counts), len(numbers))
        codes[numbers] = np.arange(len(numbers))
        if len(numbers) < len(counts):
            values.append(OTHER)
        return _coded(values, codes)


def _coded(values: Sequence[str], codes: NDArray[Any]) -> _CodedSegment:
    return _CodedSegment(list(values), np.append(codes, -1).astype(np.int16))


class Items:
    """The columns of items that a card names; takes the parts of its rows, in order, all splits
    together.

    Values of categories are numbered as they first appear. Their texts are not kept.
    """

    def __init__(
        self, categories: Iterable[str], numbers: Iterable[str], missing: Collection[str]
    ) -> None:
        """Of the raw columns of categories, and those of numbers."""
        self._categories = [(raw, TextCodes()) for raw in categories]
        self._numbers = list(numbers)
        self._missing = missing

    def take(self, table: pa.Table) -> dict[str, Floats]:
        """What is kept of the n rows of an Arrow table: (n, I), NaN where missing; nothing without
        such columns.
        """
        columns: list[Floats] = []
        for raw, text_codes in self._categories:
            codes = text_codes.code_column(table[raw], self._missing)
            columns.append(np.where(codes < 0, np.nan, codes))
        for raw in self._numbers:
            columns.append(as_numbers(table[raw], self._missing, raw))
        return {"items": np.stack(columns, axis=1)} if columns else {}
