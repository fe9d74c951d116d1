"""Rows that were there before, found by fingerprints of 128 bits: 24 to 40 bytes for each distinct row are held.

Two different rows share a fingerprint by chance with odds of n^2 / 2^129: one in 10^21 for 10^9 rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.codes import BASIS, NULL, IntegerCodes, fresh, hash_of, hashes_of, mixed
from bench.data.values import distinct, filled, is_list, taken_apart
from bench.system.intrinsics import jit

Prints = NDArray[np.uint64]
_OTHER_BASIS = np.uint64(0x9AE16A3B2F90404F)


class RowSet:
    """The rows seen so far."""

    def __init__(self) -> None:
        self._first, self._second = IntegerCodes(), np.empty(0, np.uint64)  # halves of fingerprints
        self._alike = set[tuple[int, int]]()
        """Fingerprints whose first half an earlier one has, too: among 10^8 rows there is one at odds of 1 in 4,000."""

    def new(self, table: Any) -> NDArray[np.bool_]:
        """(n,) whether no equal row of an Arrow table came before, here or in an earlier call.

        Rows are equal when each column of one holds what the other's does, as it stands in the file; a column that
        one of them lacks counts as null.
        """
        first, second = fingerprints(table).T
        known = len(self._first)
        codes = self._first.code(np.maximum(first.view(np.int64), NULL + 1))
        new = fresh(codes, known)
        self._second.resize(len(self._first), refcheck=False)  # in place where it can be
        self._second[known:] = second[new]
        for at in np.flatnonzero(self._second[codes] != second).tolist():
            both = int(first[at]), int(second[at])
            new[at] = both not in self._alike
            self._alike.add(both)
        return new


def fingerprints(table: Any) -> Prints:
    """(n, 2), independent of the order of columns; raises UserError for a column of records."""
    prints = np.zeros((table.num_rows, 2), np.uint64)
    for name in table.column_names:
        if pa.types.is_nested(kind := table[name].type) and (not is_list(kind) or pa.types.is_nested(kind.value_type)):
            expected = "texts, numbers or lists of these to compare rows by"
            raise UserError(f"'{name}': expected {expected}, found a column of type {kind}")
        codes, values = distinct(table[name])
        spelled = np.frombuffer(name.encode(), np.uint8)
        salt = np.uint64(hash_of(spelled, 0, len(spelled), BASIS))
        # Null adds nothing, and neither does a column that is not there; the last serves code -1.
        own = np.concatenate([_hashes(values, salt), np.zeros((1, 2), np.uint64)])
        prints += own.take(codes, axis=0)
    return prints


def _hashes(values: Any, salt: np.uint64) -> Prints:
    """(n, 2) of distinct values, 0 for null."""
    kind = values.type
    if is_list(kind):
        first, items = taken_apart(values)
        at, found = distinct(items)
        of_item = np.concatenate([_hashes(found, salt), np.zeros((1, 2), np.uint64)])
        of_list = np.zeros((len(values), 2), np.uint64)
        _hash_lists(of_item, at, first, values.is_null().to_numpy(zero_copy_only=False), salt, of_list)
        return of_list
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    if pa.types.is_integer(values.type) or pa.types.is_floating(kind):
        # As floats, and as integers where a float would not hold them.
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) + 0.0  # no -0.0
        floats, whole = np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64), np.zeros(len(values), np.uint64)
        if not pa.types.is_floating(kind):
            exact = filled(values, 0).astype(np.int64)
            whole = np.where(np.abs(exact) > 2**53, exact, 0).view(np.uint64)
        halves = mixed(mixed(floats ^ salt) + whole), mixed(mixed(floats + salt) ^ whole)
    else:
        texts = values.cast(pa.large_string())
        halves = mixed(hashes_of(texts) ^ salt), mixed(hashes_of(texts, _OTHER_BASIS) + salt)
    hashes: Prints = np.stack(halves, axis=1)
    hashes[values.is_null().to_numpy(zero_copy_only=False)] = 0
    return hashes


@jit()
def _hash_lists(of_item: Any, at: Any, first: Any, null: Any, salt: Any, out: Any) -> None:
    for row in range(len(out)):
        if not null[row]:
            for half in range(2):
                found = mixed(salt + np.uint64(first[row + 1] - first[row]))
                for item in range(first[row], first[row + 1]):
                    found = mixed(found ^ of_item[at[item], half]) + salt
                out[row, half] = mixed(found + np.uint64(half))
