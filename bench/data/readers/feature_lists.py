"""Lines with lists of weighted features, `field \\x02 id \\x03 value` joined by `\\x01`.

A block of text becomes arrays: for each wanted field its heaviest ids, up to a given number, and the sum of all its
values. Arrow's reader of CSV takes lines apart, and then the features, each as a line of its own.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from bench.data.codes import hashes_of

ABSENT = -1
"""Id where a line lacks the field, or has fewer values than there are slots."""
COMMON = {"index": pa.binary(), "count": pa.binary(), "features": pa.binary()}
LABELLED = {"sample": pa.binary(), "click": pa.int8(), "buy": pa.int8(), **COMMON}
FEATURES = {"field": pa.dictionary(pa.int32(), pa.string()), "id": pa.int64(), "value": pa.float64()}
_VALUE = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Wanted:
    """Which fields to keep.

    Attributes:
        slots: for each field how many ids, 0 for none.
        summed: for each field whether its values are summed.
    """

    names: tuple[str, ...]
    slots: tuple[int, ...]
    summed: tuple[bool, ...]


class Lines(NamedTuple):
    """What n lines hold.

    Attributes:
        keys: (n,) hash of the common index, of 63 bits.
        labels: (n, 2) click and buy, 0 in files without.
        ids: (n, S) for each field its slots, heaviest first, `ABSENT` after the last.
        sums: (n, D), NaN where the field is absent.
        numbers: (n,) of the lines in the block, from 0.
    """

    keys: NDArray[np.uint64]
    labels: NDArray[np.int8]
    ids: NDArray[np.int64]
    sums: NDArray[np.float64]
    numbers: NDArray[np.int64]


BadLine = tuple[int, str]
"""Number of a line in the block, from 0, that does not fit the format; and why, in a clause."""


def scan(block: bytes, wanted: Wanted, labelled: bool) -> tuple[Lines, list[BadLine], int]:
    """Reads whole lines: what those hold that fit the format, those that do not, and how many lines there are.

    Args:
        labelled: whether lines are `sample, click, buy, index, count, features`, else `index, count, features`.
    """
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    ends = block.count(b"\n") + (not block.endswith(b"\n"))
    try:
        found = _parsed(block, wanted, labelled)
        if len(found.keys) == ends:
            return found, [], ends
        bad = list[BadLine]()
    except (ValueError, OverflowError):  # which lines do not fit must be asked one by one
        found = None
        reasons = ((number, _reason(line, labelled)) for number, line in enumerate(block.split(b"\n")) if line)
        bad = [(number, reason) for number, reason in reasons if reason]
    lines, wrong = block.split(b"\n"), {number for number, _ in bad}
    numbers = [number for number, line in enumerate(lines) if line and number not in wrong]
    found = found or _parsed(b"\n".join(lines[number] for number in numbers), wanted, labelled)
    return found._replace(numbers=np.array(numbers, np.int64)), bad, ends


def _table(text: bytes, types: dict[str, Any]) -> dict[str, Any]:
    """Columns of comma-separated lines, empty ones aside; raises ArrowInvalid, a ValueError, where one does not fit."""
    if not text.strip(b"\n"):
        return {name: pa.array([], kind) for name, kind in types.items()}
    reading = pacsv.ReadOptions(column_names=list(types), block_size=len(text) + 1)
    parsing = pacsv.ParseOptions(quote_char=False)
    converting = pacsv.ConvertOptions(column_types=types, null_values=[])
    table = pacsv.read_csv(pa.BufferReader(text), reading, parsing, converting)
    return {name: table[name].combine_chunks() for name in types}


def _parsed(text: bytes, wanted: Wanted, labelled: bool) -> Lines:
    """Raises ValueError where a line does not fit the format."""
    lines = _table(text, LABELLED if labelled else COMMON)
    texts, rows = lines["features"], len(lines["index"])
    labels = np.zeros((rows, 2), np.int8)
    if labelled:
        labels[:] = np.stack([lines[name].to_numpy(zero_copy_only=False) for name in ("click", "buy")], axis=1)
    there = pc.binary_length(texts).to_numpy(zero_copy_only=False) > 0
    counts = np.where(there, pc.count_substring(texts, "\x01").to_numpy(zero_copy_only=False) + 1, 0)
    joined = pc.binary_join_element_wise(texts, b"", b"\n")
    features = _table(joined.buffers()[2].to_pybytes().translate(_COMMAS) if rows else b"", FEATURES)
    ids, values = (features[name].to_numpy(zero_copy_only=False) for name in ("id", "value"))
    fits = len(ids) == counts.sum() and ids.min(initial=0) >= 0 and np.isfinite(values).all()
    if not fits or ((labels != 0) & (labels != 1)).any() or pc.any(pc.equal(lines["index"], b"")).as_py():
        raise ValueError("a line does not fit")
    known = [
        wanted.names.index(name) if name in wanted.names else -1 for name in features["field"].dictionary.to_pylist()
    ]
    field = np.array([*known, -1])[features["field"].indices.to_numpy(zero_copy_only=False)]
    found = np.full((rows, sum(wanted.slots)), ABSENT, np.int64), np.full((rows, sum(wanted.summed)), np.nan)
    first, column = (np.cumsum([0, *of]) for of in (wanted.slots, wanted.summed))
    column[:-1][~np.array(wanted.summed, np.bool_)] = -1
    _take(np.repeat(np.arange(rows), counts), field, ids, values, first, column, *found)
    return Lines(hashes_of(lines["index"]) & np.uint64(2**63 - 1), labels, *found, np.arange(rows))


_COMMAS = bytes.maketrans(b"\x01\x02\x03", b"\n,,")


def _reason(line: bytes, labelled: bool) -> str:
    """Why a line does not fit; empty where it does."""
    cells = line.decode(errors="replace").split(",")
    columns = len(LABELLED if labelled else COMMON)
    if len(cells) != columns:
        return f"expected {columns} columns separated by commas, found {len(cells)}"
    if labelled and not {*cells[1:3]} <= {"0", "1"}:
        return f"expected click and buy to be 0 or 1, found {' and '.join(cells[1:3])}"
    if not cells[-3]:
        return "expected a common index, found none"
    for feature in cells[-1].split("\x01") if cells[-1] else ():
        field, second, rest = feature.partition("\x02")
        id_, third, value = rest.partition("\x03")
        if not (field and second and third):
            expected = "features as field\\x02id\\x03value joined by \\x01"
        elif not (id_.isascii() and id_.isdigit() and int(id_) < 2**63):
            expected = "a feature's id to be a whole number below 2^63"
        elif not (_VALUE.fullmatch(value) and math.isfinite(float(value))):
            expected = "a feature's value to be a number"
        else:
            continue
        return f"expected {expected}, found {feature[:60]!r}"
    return ""


@numba.njit(nogil=True, cache=True)
def _take(rows: Any, fields: Any, ids: Any, values: Any, first: Any, column: Any, kept: Any, sums: Any) -> None:
    """Takes in features, those of a row together: each among the heaviest of its field, and into the sum."""
    weights = np.empty(kept.shape[1])
    for at in range(len(rows)):
        row, field = rows[at], fields[at]
        if field < 0:
            continue
        _keep(kept[row], weights, first[field], first[field + 1], ids[at], values[at])
        if column[field] >= 0:
            old = sums[row, column[field]]
            sums[row, column[field]] = values[at] if np.isnan(old) else old + values[at]


@numba.njit(nogil=True, cache=True)
def _keep(ids: Any, weights: Any, first: int, end: int, id_: Any, weight: Any) -> None:
    """Inserts an id among the heaviest; equal weights stay in order, an id that repeats keeps its greater weight."""
    if end == first or (ids[end - 1] >= 0 and weights[end - 1] >= weight):  # too light, whether it repeats or not
        return
    used = first
    while used < end and ids[used] >= 0:
        if ids[used] == id_:
            if weights[used] >= weight:
                return
            for place in range(used, end - 1):
                ids[place], weights[place] = ids[place + 1], weights[place + 1]
            ids[end - 1] = -1
            break
        used += 1
    used = first
    while used < end and ids[used] >= 0 and weights[used] >= weight:
        used += 1
    if used == end:
        return
    for place in range(end - 1, used, -1):
        ids[place], weights[place] = ids[place - 1], weights[place - 1]
    ids[used], weights[used] = id_, weight
