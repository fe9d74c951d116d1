"""What the parts of an encoder have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import field_validator

from bench.data.derive import DERIVATIONS
from bench.data.spans import Spans, spans_of
from bench.data.values import as_numbers, distinct, taken_apart, whole_column
from bench.errors import UserError, unknown
from bench.registry import Config


class Source(Config):
    """The raw column a part reads, and the function it takes of it."""

    column: str
    derive: str | None = None
    missing: tuple[str, ...] = ()
    """Texts that mean missing."""
    spelled: bool = False
    """Whether "1" and "1.0" are two categories: where the column held one number in two spellings, as texts."""

    @field_validator("derive")
    @classmethod
    def _known(cls, derive: str | None) -> str | None:
        if derive is not None and derive not in DERIVATIONS:
            raise ValueError(str(unknown("derivation", derive, DERIVATIONS)))
        return derive

    def numbers(self, table: Any) -> NDArray[np.float64]:
        """(N,), NaN where missing.

        Raises:
            UserError: no such column in the table, or not numbers.
        """
        numbers = as_numbers(self._column(table), self.missing, self.column)
        return numbers if self.derive is None else DERIVATIONS[self.derive](numbers)

    def vectors(self, table: Any, length: int) -> NDArray[np.float64]:
        """(N, length) of a column of lists, as a float32 holds them; NaN where missing or not finite."""
        column = whole_column(self._column(table))
        found = np.full((len(column), length), np.nan)
        there = column.is_valid().to_numpy(zero_copy_only=False)
        if there.any():
            values = taken_apart(column)[1].cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
            found[there] = values.reshape(-1, length)
        found[~np.isfinite(found)] = np.nan
        return found

    def spans(self, table: Any, spelled: bool = False) -> tuple[NDArray[np.int32], Spans]:
        """(N,) index into categories, -1 where null; some categories may be missing or alike.

        Args:
            spelled: whether texts are taken as they stand, though the source were not `spelled`.
        """
        codes, values = distinct(self.column_of(table))
        return codes, spans_of(values, self.markers, self.spelled or spelled)

    @property
    def markers(self) -> tuple[str, ...]:
        """Texts that mean missing after the function."""
        return self.missing if self.derive is None else ()

    def column_of(self, table: Any) -> Any:
        """The Arrow column (N,), after the function.

        Raises:
            UserError: as `numbers`.
        """
        return self._column(table) if self.derive is None else pa.array(self.numbers(table), from_pandas=True)

    def _column(self, table: Any) -> Any:
        if table.schema.get_field_index(self.column) < 0:  # `column_names` is made anew each time
            raise UserError(f"expected a raw column '{self.column}', found {', '.join(table.column_names) or 'none'}")
        return table[self.column]
