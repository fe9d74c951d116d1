"""Rows that were there before, found by fingerprints of 64 bits: 16 to 32 bytes for each distinct
row are held.

Two of n different rows share a fingerprint by chance with odds of n^2 / 2^65: one in 3,700 for 10^8
rows, of which one is then lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.system.intrinsics import jit
from bench.data.codes import NULL, IntegerCodes, fresh, hash_of, hashes_of, mixed
from bench.data.values import distinct, filled, is_list, taken_apart

Prints = NDArray[np.uint64]


class RowSet:
    """The rows seen so far."""

    def __init__(self) -> None:
        self._prints = IntegerCodes()

    def new(self, table: Any) -> NDArray[np.bool_]:
        """(n,) whether no equal row of an Arrow table came before, here or in an earlier call.

        Rows are equal when each column of one holds what the other's does, as it stands in the
        file; a column that one of them lacks counts as null.
        """
        known = len(self._prints)
        return fresh(
            self._prints.code(np.maximum(fingerprints(table).view(np.int64), NULL + 1)), known
        )


def fingerprints(table: Any) -> Prints:
    """(n,), independent of the order of columns; raises UserError for a column of records."""
    prints = np.zeros(table.num_rows, np.uint64)
    for name in table.column_names:
        if pa.types.is_nested(kind := table[name].type) and (
            not is_list(kind) or pa.types.is_nested(kind.value_type)
        ):
            expected = "texts, numbers or lists of these to compare rows by"
            raise UserError(f"'{name}': expected {expected}, found a column of type {kind}")
        codes, values = distinct(table[name])
        spelled = np.frombuffer(name.encode(), np.uint8)
        salt = np.uint64(hash_of(spelled, 0, len(spelled)))
        # Null adds nothing, and neither does a column that is not there; the last serves code -1.
        prints += np.append(_hashes(values, salt), np.uint64(0))[codes]
    return prints


def _hashes(values: Any, salt: np.uint64) -> Prints:
    """(n,) of distinct values, 0 for null."""
    kind = values.type
    if is_list(kind):
        first, items = taken_apart(values)
        at, found = distinct(items)
        of_item = np.append(_hashes(found, salt), np.uint64(0))
        of_list = np.zeros(len(values), np.uint64)
        _hash_lists(
            of_item, at, first, values.is_null().to_numpy(zero_copy_only=False), salt, of_list
        )
        return of_list
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    if pa.types.is_integer(values.type) or pa.types.is_floating(kind):
        # As floats, and as integers where a float would not hold them.
        numbers = (
            values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) + 0.0
        )  # no -0.0
        floats, whole = (
            np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64),
            np.zeros(len(values), np.uint64),
        )
        if not pa.types.is_floating(kind):
            exact = filled(values, 0).astype(np.int64)
            whole = np.where(np.abs(exact) > 2**53, exact, 0).view(np.uint64)
        hashes: Prints = mixed(mixed(floats ^ salt) + whole)
    else:
        hashes = mixed(hashes_of(values.cast(pa.large_string())) ^ salt)
    hashes[values.is_null().to_numpy(zero_copy_only=False)] = 0
    return hashes


@jit()
def _hash_lists(of_item: Any, at: Any, first: Any, null: Any, salt: Any, out: Any) -> None:
    for row in range(len(out)):
        if not null[row]:
            found = mixed(salt + np.uint64(first[row + 1] - first[row]))
            for item in range(first[row], first[row + 1]):
                found = mixed(found ^ of_item[at[item]]) + salt
            out[row] = mixed(found)
