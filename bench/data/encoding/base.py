"""What the parts of an encoder share: the raw column they read, and known texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.registry import Config
from bench.data.codes import TextCodes
from bench.data.columns import DERIVATIONS, Derivation
from bench.data.values import as_numbers, taken_apart, whole_column


class Source(Config):
    """A raw column, and a function of its values."""

    column: str
    derive: Derivation | None = None
    """A function of numbers; the column is then read as numbers, also in serving."""
    missing: tuple[str, ...] = ()
    """Texts that mean missing."""
    spelled: bool = False
    """Whether "1" and "1.0" are two categories: where the raw texts held one number in two spellings."""

    def numbers(self, table: pa.Table) -> NDArray[np.float64]:
        """(N,), NaN where missing; raises UserError if the table lacks the column or it holds no numbers."""
        numbers = as_numbers(self._column(table), self.missing, self.column)
        return numbers if self.derive is None else DERIVATIONS[self.derive](numbers)

    def vectors(self, table: pa.Table, length: int) -> NDArray[np.float64]:
        """(N, length) of a column of lists, rounded to float32; NaN where missing or not finite."""
        column = whole_column(self._column(table))
        numbers = np.full((len(column), length), np.nan)
        there = column.is_valid().to_numpy(zero_copy_only=False)
        if there.any():
            values = taken_apart(column)[1].cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
            numbers[there] = values.reshape(-1, length)
        numbers[~np.isfinite(numbers)] = np.nan
        return numbers

    @property
    def markers(self) -> tuple[str, ...]:
        """Texts that mean missing after the function."""
        return self.missing if self.derive is None else ()

    def column_of(self, table: pa.Table) -> Any:
        """The Arrow column (N,), after the function; errors as of `numbers`."""
        return self._column(table) if self.derive is None else pa.array(self.numbers(table), from_pandas=True)

    def _column(self, table: pa.Table) -> pa.ChunkedArray:
        if table.schema.get_field_index(self.column) < 0:  # faster than `column_names`, which is built at each call
            raise UserError(f"expected a raw column '{self.column}', found {', '.join(table.column_names) or 'none'}")
        return table[self.column]


class Vocabulary(Config):
    """Categories frequent enough in train. `None` stands for missing, a category like others."""

    values: tuple[str | None, ...]

    @property
    def cardinality(self) -> int:
        """Number of local ids, unknown included."""
        return len(self.values) + 1

    @property
    def numbers(self) -> NDArray[np.int32]:
        """Local ids of the values."""
        return np.arange(1, self.cardinality, dtype=np.int32)


_BOOLEANS = (("1", "True", "true", "TRUE"), ("0", "False", "false", "FALSE"))
"""Spellings of true and of false: those of JSON and parquet (1 and 0), and of CSV files."""


def _other_booleans(values: Sequence[str | None]) -> dict[str, str]:
    """Maps other spellings of booleans to those among the values; empty unless all values are booleans."""
    known = set(values) - {None}
    own = [[text for text in spellings if text in known] for spellings in _BOOLEANS]
    if len(known) != 2 or not all(own):
        return {}
    return {text: one for (one, *_), spellings in zip(own, _BOOLEANS, strict=True) for text in spellings if text != one}


class Known:
    """Looks up texts of a fitted vocabulary. If they are true and false, every spelling of these is known.

    Args:
        values: distinct; None for missing.
        meaning: (V, ..) of each.
        missing: meaning of a missing text, where `values` has none.
        unknown: meaning of any other text.
    """

    def __init__(self, values: Sequence[str | None], meaning: NDArray[Any], missing: Any, unknown: Any) -> None:
        self.codes = TextCodes()
        other = _other_booleans(values)
        places = [at for at, value in enumerate(values) if value is not None]
        places += [values.index(value) for value in other.values()]
        self.codes.code(pa.array([*(value for value in values if value is not None), *other], pa.string()))
        absent = meaning[values.index(None)] if None in values else missing
        ends = np.stack([np.broadcast_to(each, meaning.shape[1:]) for each in (unknown, absent)]).astype(meaning.dtype)
        self.meaning = np.concatenate([meaning[places], ends])  # codes -2 (unknown) and -1 (missing) index the ends

    def of(self, source: Source, table: pa.Table) -> NDArray[Any]:
        """(N, ..) meanings of a column's values."""
        codes = self.codes.code_column(source.column_of(table), source.markers, grow=False, spelled=source.spelled)
        meanings: NDArray[Any] = self.meaning[codes]
        return meanings
