"""Rows that were there before, found by fingerprints of 128 bits: 32 to 64 bytes for each distinct row are held.

Two different rows share a fingerprint by chance with odds of n^2 / 2^129: one in 10^21 for 10^9 rows.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.codes import BASIS, hash_of, mixed, stretches
from bench.data.values import distinct, is_list, taken_apart
from bench.errors import UserError

Prints = NDArray[np.uint64]
_OTHER_BASIS = np.uint64(0x9AE16A3B2F90404F)


class RowSet:
    """The rows seen so far."""

    def __init__(self) -> None:
        self._table = np.zeros((1024, 2), np.uint64)  # (0, 0) is free
        self._size = 0

    def new(self, table: Any) -> NDArray[np.bool_]:
        """(n,) whether no equal row of an Arrow table came before, here or in an earlier call.

        Rows are equal when each column of one holds what the other's does, as it stands in the file; a column that
        one of them lacks counts as null.
        """
        prints, fresh, row = fingerprints(table), np.empty(table.num_rows, np.bool_), 0
        while row < len(fresh):
            row, self._size = _add(prints, fresh, row, self._table, self._size)
            if row < len(fresh):
                larger = np.zeros((2 * len(self._table), 2), np.uint64)
                _move(self._table, larger)
                self._table = larger
        return fresh


def fingerprints(table: Any) -> Prints:
    """(n, 2), independent of the order of columns.

    Raises:
        UserError: a column of records.
    """
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
        _add_up(prints, codes, own)
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
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        null = values.is_null().to_numpy(zero_copy_only=False)
        hashes: Prints = _hash_numbers(*_bits(values), null, salt)
    else:
        hashes = _hash_texts(*stretches(values.cast(pa.large_string())), salt)
    return hashes


def _bits(values: Any) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Numbers as floats, and as integers where a float would not hold them."""
    floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) + 0.0  # no -0.0
    whole = np.zeros(len(floats), np.int64)
    if not pa.types.is_floating(values.type):
        exact = values.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        whole = np.where(np.abs(exact) > 2**53, exact, 0)
    return np.where(np.isnan(floats), np.nan, floats).view(np.uint64), whole.view(np.uint64)


@numba.njit(nogil=True, cache=True)
def _hash_numbers(floats: Any, whole: Any, null: Any, salt: Any) -> Any:
    out = np.zeros((len(floats), 2), np.uint64)
    for at in range(len(floats)):
        if not null[at]:
            out[at, 0] = mixed(mixed(floats[at] ^ salt) + whole[at])
            out[at, 1] = mixed(mixed(floats[at] + salt) ^ whole[at])
    return out


@numba.njit(nogil=True, cache=True)
def _hash_texts(data: Any, starts: Any, ends: Any, salt: Any) -> Any:
    out = np.zeros((len(starts), 2), np.uint64)
    for at in range(len(starts)):
        if starts[at] >= 0:
            out[at, 0] = mixed(hash_of(data, starts[at], ends[at], BASIS) ^ salt)
            out[at, 1] = mixed(hash_of(data, starts[at], ends[at], _OTHER_BASIS) + salt)
    return out


@numba.njit(nogil=True, cache=True)
def _hash_lists(of_item: Any, at: Any, first: Any, null: Any, salt: Any, out: Any) -> None:
    for row in range(len(out)):
        if not null[row]:
            for half in range(2):
                found = mixed(salt + np.uint64(first[row + 1] - first[row]))
                for item in range(first[row], first[row + 1]):
                    found = mixed(found ^ of_item[at[item], half]) + salt
                out[row, half] = mixed(found + np.uint64(half))


@numba.njit(nogil=True, cache=True)
def _add_up(prints: Any, codes: Any, own: Any) -> None:
    for row in range(len(codes)):
        prints[row, 0] += own[codes[row], 0]
        prints[row, 1] += own[codes[row], 1]


@numba.njit(nogil=True, cache=True)
def _add(prints: Any, fresh: Any, row: int, table: Any, size: int) -> tuple[int, int]:
    mask = np.uint64(len(table) - 1)
    while row < len(fresh):
        if 2 * (size + 1) > len(table):
            return row, size
        one, two = prints[row, 0], prints[row, 1] | np.uint64(1)
        at = one & mask
        while table[at, 1] != 0 and (table[at, 0] != one or table[at, 1] != two):
            at = (at + np.uint64(1)) & mask
        fresh[row] = table[at, 1] == 0
        if fresh[row]:
            table[at, 0], table[at, 1] = one, two
            size += 1
        row += 1
    return row, size


@numba.njit(nogil=True, cache=True)
def _move(table: Any, larger: Any) -> None:
    mask = np.uint64(len(larger) - 1)
    for old in range(len(table)):
        if table[old, 1] != 0:
            at = table[old, 0] & mask
            while larger[at, 1] != 0:
                at = (at + np.uint64(1)) & mask
            larger[at, 0], larger[at, 1] = table[old, 0], table[old, 1]
