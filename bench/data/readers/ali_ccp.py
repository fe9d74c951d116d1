"""Reads Ali-CCP's pairs of files: impressions (skeleton), and the features that many of them share
(common).

Raw columns are `click`, `buy`, `common_index` (its hash in hexadecimal), and two of every field:
its number, as in `206` or `109_14`, has its heaviest id, or a list of them, as many as a
multi-valued input has slots; `<field>.value` has the sum of its values in a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.arrays import Mask
from bench.core.errors import UserError
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.checks import BadRow
from bench.data.codes import UNKNOWN, Codes, IntegerCodes
from bench.data.readers.base import RawTable
from bench.data.readers.blocks import blocks, work_in_threads
from bench.data.readers.feature_lists import ABSENT, Lines, WantedFields, scan
from bench.data.sources import AliCcpReader
from bench.data.values import first_seen


class StoredLines(NamedTuple):
    """m common lines, with the arrays of `Lines`."""

    ids: NDArray[np.int64]
    sums: NDArray[np.float64]
    keys: NDArray[np.uint64]


class CommonLines:
    """The common lines of one file of impressions: 16 to 32 bytes each in memory, 8 for each id and
    sum on disk.
    """

    def __init__(self, wanted: WantedFields, file: Any) -> None:
        self._n_ids = sum(wanted.slots)
        self._width = self._n_ids + sum(wanted.summed) + 1
        self._rows = IntegerCodes()
        self._file = file

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, lines: Lines) -> int | None:
        """Adds lines and returns the first whose index is repeated, if any."""
        first = len(self._rows)
        keys = lines.keys.view(np.int64)
        is_repeated = self._rows.code(keys) != np.arange(first, first + len(keys))
        self._file.write(np.hstack([lines.ids, lines.sums.view(np.int64), keys[:, None]]).data)
        if not is_repeated.any():
            return None
        return int(np.argmax(is_repeated))

    def rows(self, keys: NDArray[np.uint64]) -> Codes:
        """(n,) the row of each index, UNKNOWN if absent."""
        return self._rows.code(keys.view(np.int64), grow=False)

    def take(self, rows: NDArray[np.int64]) -> StoredLines:
        """Reads rows (m,) from the file; runs of consecutive rows at once."""
        numbers = np.empty((len(rows), self._width), np.int64)
        bytes_per_row = 8 * self._width
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()
        for start, end in pairwise([*starts, len(rows)]):
            self._file.seek(int(rows[start]) * bytes_per_row)
            self._file.readinto(numbers[start:end].data)
        sums = np.ascontiguousarray(numbers[:, self._n_ids : -1]).view(np.float64)
        keys = numbers[:, -1].view(np.uint64)
        return StoredLines(numbers[:, : self._n_ids], sums, keys)


COMMON = (
    *("101", "121", "122", "124", "125", "126", "127", "128", "129"),
    *("109_14", "110_14", "127_14", "150_14"),
)
SKELETON = ("205", "206", "207", "210", "216", "508", "509", "702", "853", "301")
LABELS, INDEX, VALUE = ("click", "buy"), "common_index", ".value"


class Scanned(NamedTuple):
    """Scanned lines of a block, and those of its lines that do not fit the format."""

    path: Path
    before: int
    """Number of the file's earlier lines."""
    block: bytes
    lines: Lines
    bad: tuple[BadRow, ...]

    def place(self, row: int) -> str:
        """File and line of a row, for messages."""
        earlier = self.block.count(b"\n", 0, int(self.lines.offsets[row]))
        return f"{self.path}, line {self.before + earlier + 1}"

    def only(self, rows: Mask) -> Scanned:
        """Some of its lines, by a mask (n,)."""
        arrays: list[Any] = [array[rows] for array in self.lines]
        return self._replace(lines=Lines(*arrays))


def read_ali_ccp(
    card: Card, paths: Mapping[str, Sequence[Path]], progress: Progress, folder: Path | None = None
) -> Iterator[RawTable]:
    """Reads impressions joined with their common lines, part by part; `folder` is for a temporary
    file of common lines.

    Raises UserError for a line that does not fit the format, or a repeated or unknown index.
    """
    reader = card.reader
    assert isinstance(reader, AliCcpReader)
    common_side, side = Side(card, COMMON), Side(card, SKELETON)
    for file in card.row_files:
        if file not in reader.common:
            raise UserError(f"{card.key}: reader.common names no common file for '{file}'")
        first_path = paths[file][0]
        empty = _empty_table((common_side, side))
        yield RawTable(file, empty, partial(_path_of_row, first_path))
        common_paths = paths[reader.common[file]]
        common_names = " or ".join(path.name for path in common_paths)
        with TemporaryFile(dir=folder) as storage:
            common = CommonLines(common_side.wanted, storage)
            bad = list[BadRow]()
            for part in parts(common_paths, common_side.wanted, False, progress, reader.drops):
                bad += part.bad
                repeated_row = common.add(part.lines)
                if repeated_row is not None:
                    raise UserError(
                        f"{part.place(repeated_row)}: expected each common index once, found one "
                        "again"
                    )
            for part in parts(paths[file], side.wanted, True, progress, reader.drops):
                bad += part.bad
                rows = common.rows(part.lines.keys)
                has_common = rows != UNKNOWN
                if not has_common.all():
                    absent = np.flatnonzero(~has_common)
                    bad += _without_common(part, absent, common_names, reader.drops)
                    part = part.only(has_common)
                    rows = rows[has_common]
                columns = _columns(common_side, side, common, part.lines, rows)
                table = {raw: columns[raw] for raw in card.raw_columns if raw in columns}
                yield RawTable(file, pa.table(table), part.place, tuple(bad))
                bad.clear()


def _path_of_row(path: Path, row: int) -> str:
    return str(path)


def parts(
    paths: Sequence[Path],
    wanted: WantedFields,
    labelled: bool,
    progress: Progress,
    drop: bool = False,
) -> Iterator[Scanned]:
    """Scans files part by part; raises UserError for an empty file and, unless `drop`, for a line
    that does not fit.
    """
    for path in paths:
        before = 0
        scanned_blocks = work_in_threads(
            blocks(path, progress), partial(scan, wanted=wanted, labelled=labelled)
        )
        for block, (lines, reasons, line_ends) in scanned_blocks:
            bad = list[BadRow]()
            for line, reason in reasons:
                message = f"{path}, line {before + line + 1}: {reason}"
                if not drop:
                    raise UserError(message)
                bad.append(("format", partial(str, message)))
            yield Scanned(path, before, block, lines, tuple(bad))
            before += line_ends
        if before == 0:
            raise UserError(f"{path}: expected lines that end with a newline, found an empty file")


class Side:
    """A card's columns from one of the two kinds of file: the `wanted` fields are scanned.

    Attributes:
        ids: raw column -> its slots among the scanned ones, and whether it is a column of lists.
        sums: raw column -> its index among the sums.
    """

    def __init__(self, card: Card, fields: Sequence[str]) -> None:
        list_slots = dict[str, int]()
        for name, raw in card.inputs:
            column = card.columns[name]
            if column.wanted == "list":
                list_slots[raw] = max(list_slots.get(raw, 0), column.slots)

        self.ids = dict[str, tuple[slice, bool]]()
        self.sums = dict[str, int]()
        names, slots, summed = [], [], []
        end = 0
        for field in fields:
            has_ids = field in card.raw_columns
            has_sum = field + VALUE in card.raw_columns
            if not has_ids and not has_sum:
                continue
            width = list_slots.get(field, 1) if has_ids else 0
            if has_ids:
                self.ids[field] = slice(end, end + width), field in list_slots
                end += width
            if has_sum:
                self.sums[field + VALUE] = len(self.sums)
            names.append(field)
            slots.append(width)
            summed.append(has_sum)
        self.wanted = WantedFields(tuple(names), tuple(slots), tuple(summed))

    def columns(
        self, ids: NDArray[np.int64], sums: NDArray[np.float64]
    ) -> Iterator[tuple[str, Any]]:
        """Yields (raw column, Arrow array) of scanned ids (n, S) and sums (n, D)."""
        for raw, (slots, is_list) in self.ids.items():
            yield raw, _lists(ids[:, slots]) if is_list else _single_ids(ids[:, slots])
        for raw, column in self.sums.items():
            yield raw, pa.array(np.ascontiguousarray(sums[:, column]))


def _lists(ids: NDArray[np.int64]) -> pa.ListArray:
    present = ids != ABSENT
    starts = np.append(0, np.cumsum(present.sum(axis=1)))
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(ids[present]))


def _single_ids(ids: NDArray[np.int64]) -> pa.Array:
    is_valid = pa.py_buffer(np.packbits(ids != ABSENT, bitorder="little"))
    return pa.Array.from_buffers(pa.int64(), len(ids), [is_valid, pa.py_buffer(ids.copy())])


def _columns(
    common_side: Side, side: Side, common: CommonLines, lines: Lines, rows: Codes
) -> dict[str, Any]:
    """All raw columns of impressions, as Arrow arrays; `rows` (n,) are their common lines.

    Each common line is decoded once a part and referred to through a dictionary.
    """
    codes, distinct_rows = first_seen(rows, len(common))
    stored = common.take(distinct_rows)
    columns = dict(side.columns(lines.ids, lines.sums))
    for raw, column in common_side.columns(stored.ids, stored.sums):
        if raw in common_side.sums:
            columns[raw] = column.take(pa.array(codes))
        else:
            columns[raw] = pa.DictionaryArray.from_arrays(codes, column)
    digits = pa.array([f"{key:016x}" for key in stored.keys.tolist()], pa.string())
    columns[INDEX] = pa.DictionaryArray.from_arrays(codes, digits)
    for number, name in enumerate(LABELS):
        columns[name] = pa.array(lines.labels[:, number])
    return columns


def _empty_table(sides: Sequence[Side]) -> pa.Table:
    types: dict[str, pa.DataType] = {}
    for field in (*COMMON, *SKELETON):
        types[field] = pa.int64()
    for side in sides:
        for field, (_, is_list) in side.ids.items():
            if is_list:
                types[field] = pa.list_(pa.int64())
    for field in (*COMMON, *SKELETON):
        types[field + VALUE] = pa.float64()
    types |= dict.fromkeys(LABELS, pa.int8())
    types[INDEX] = pa.string()
    return pa.schema(types).empty_table()


def _without_common(part: Scanned, rows: NDArray[np.int64], names: str, drop: bool) -> list[BadRow]:
    """Raises, or reports as bad rows, impressions whose common line is absent."""
    if not drop:
        raise UserError(_no_common_line(part, names, int(rows[0])))
    return [("common index", partial(_no_common_line, part, names, int(row))) for row in rows]


def _no_common_line(part: Scanned, names: str, row: int) -> str:
    line = part.block[int(part.lines.offsets[row]) :].split(b"\n", 1)[0]
    index = line.split(b",")[3].decode(errors="replace")
    return f"{part.place(row)}: expected a common index of {names}, found '{index}'"
