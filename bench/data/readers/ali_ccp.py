"""Reads Ali-CCP's pairs of files: impressions (skeleton), and the features that many of them share
(common).

Raw columns are `click`, `buy`, `common_index` (its hash in hexadecimal), and two of every field:
its number, as in `206` or `109_14`, has its heaviest id, or a list of them, as many as a
multi-valued input has slots; `<field>.value` has the sum of its values in a line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.checks import BadRow
from bench.data.codes import UNKNOWN, Codes, IntegerCodes
from bench.data.readers.base import RawTable
from bench.data.readers.blocks import blocks, side_by_side
from bench.data.readers.feature_lists import ABSENT, Lines, WantedFields, scan
from bench.data.sources import AliCcpReader
from bench.data.values import first_seen


class CommonLines:
    """The common lines of one file of impressions: 16 to 32 bytes each in memory, 8 for each id and
    sum on disk.
    """

    def __init__(self, wanted: WantedFields, file: Any) -> None:
        self._ids, self._rows, self._file = sum(wanted.slots), IntegerCodes(), file
        self._width = self._ids + sum(wanted.summed) + 1

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, lines: Lines) -> int | None:
        """Adds lines and returns the first whose index is repeated, if any."""
        seen, keys = len(self._rows), lines.keys.view(np.int64)
        again = self._rows.code(keys) != np.arange(seen, seen + len(keys))
        self._file.write(np.hstack([lines.ids, lines.sums.view(np.int64), keys[:, None]]).data)
        return int(np.argmax(again)) if again.any() else None

    def rows(self, keys: NDArray[np.uint64]) -> Codes:
        """(n,) the row of each index, UNKNOWN if absent."""
        return self._rows.code(keys.view(np.int64), grow=False)

    def take(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint64]]:
        """Reads ids, sums and keys of rows (m,), see `Lines`; runs of consecutive rows at once."""
        numbers, size = np.empty((len(rows), self._width), np.int64), 8 * self._width
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            self._file.seek(int(rows[start]) * size)
            self._file.readinto(numbers[start:end].data)
        ids, sums, keys = np.split(numbers, [self._ids, self._width - 1], axis=1)
        return ids, np.ascontiguousarray(sums).view(np.float64), keys[:, 0].view(np.uint64)


COMMON = (
    "101",
    "121",
    "122",
    "124",
    "125",
    "126",
    "127",
    "128",
    "129",
    "109_14",
    "110_14",
    "127_14",
    "150_14",
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


def read_ali_ccp(
    card: Card, paths: Mapping[str, Sequence[Path]], progress: Progress, folder: Path | None = None
) -> Iterator[RawTable]:
    """Reads impressions joined with their common lines, part by part; `folder` is for a temporary
    file of common lines.

    Raises UserError for a line that does not fit the format, or a repeated or unknown index.
    """
    reader = card.reader
    assert isinstance(reader, AliCcpReader)
    drop, wanted, sides = (
        reader.drops,
        card.raw_columns,
        [Side(card, fields) for fields in (COMMON, SKELETON)],
    )
    for file in card.row_files:
        if file not in reader.common:
            raise UserError(f"{card.key}: reader.common names no common file for '{file}'")
        shared = reader.common[file]
        yield RawTable(file, _nothing(sides), lambda row, at=paths[file][0]: str(at))  # type: ignore[misc]
        with TemporaryFile(dir=folder) as kept:
            common, bad = CommonLines(sides[0].wanted, kept), list[BadRow]()
            for part in parts(paths[shared], sides[0].wanted, False, progress, drop):
                bad += part.bad
                if (row := common.add(part.lines)) is not None:
                    raise UserError(
                        f"{part.place(row)}: expected each common index once, found one again"
                    )
            for part in parts(paths[file], sides[1].wanted, True, progress, drop):
                bad += part.bad
                rows = common.rows(part.lines.keys)
                if not (there := rows != UNKNOWN).all():
                    bad += _without(
                        part,
                        np.flatnonzero(~there),
                        " or ".join(path.name for path in paths[shared]),
                        drop,
                    )
                    part, rows = (
                        part._replace(lines=Lines(*(each[there] for each in part.lines))),
                        rows[there],
                    )
                table = _table(wanted, sides, common, part.lines, rows)
                yield RawTable(file, table, part.place, tuple(bad))
                bad.clear()


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
        for block, (lines, bad, ends) in side_by_side(
            blocks(path, progress), partial(scan, wanted=wanted, labelled=labelled)
        ):
            unfit = [
                ("format", partial(str, f"{path}, line {before + line + 1}: {why}"))
                for line, why in bad
            ]
            if unfit and not drop:
                raise UserError(unfit[0][1]())
            yield Scanned(path, before, block, lines, tuple(unfit))
            before += ends
        if before == 0:
            raise UserError(f"{path}: expected lines that end with a newline, found an empty file")


class Side:
    """A card's columns from one of the two kinds of file: the `wanted` fields are scanned.

    Attributes:
        ids: raw column -> its slots among the scanned ones, and whether it is a column of lists.
        sums: raw column -> its index among the sums.
    """

    def __init__(self, card: Card, fields: Sequence[str]) -> None:
        kinds, slots = card.raw_columns, dict[str, int]()
        for name, raw in card.inputs:
            column = card.columns[name]
            if column.wanted == "list":
                slots[raw] = max(slots.get(raw, 0), column.slots)
        used = [field for field in fields if field in kinds or field + VALUE in kinds]
        wide = [slots.get(field, 1) if field in kinds else 0 for field in used]
        summed = [field + VALUE in kinds for field in used]
        self.wanted = WantedFields(tuple(used), tuple(wide), tuple(summed))
        ends = np.cumsum([0, *wide]).tolist()
        self.ids = {
            field: (slice(ends[at], ends[at + 1]), field in slots)
            for at, field in enumerate(used)
            if field in kinds
        }
        self.sums = {
            field + VALUE: at for at, field in enumerate(f for f in used if f + VALUE in kinds)
        }

    def columns(
        self, ids: NDArray[np.int64], sums: NDArray[np.float64]
    ) -> Iterator[tuple[str, Any]]:
        """Yields (raw column, Arrow array) of scanned ids (n, S) and sums (n, D)."""
        for raw, (at, lists) in self.ids.items():
            own = ids[:, at]
            there = own != ABSENT
            if lists:
                first = np.append(0, np.cumsum(there.sum(axis=1)))
                yield (
                    raw,
                    pa.ListArray.from_arrays(pa.array(first, pa.int32()), pa.array(own[there])),
                )
            else:
                known = pa.py_buffer(np.packbits(there, bitorder="little"))
                yield (
                    raw,
                    pa.Array.from_buffers(pa.int64(), len(own), [known, pa.py_buffer(own.copy())]),
                )
        for raw, column in self.sums.items():
            yield raw, pa.array(np.ascontiguousarray(sums[:, column]))


def _table(
    wanted: Collection[str], sides: Sequence[Side], common: CommonLines, lines: Lines, rows: Codes
) -> Any:
    """Builds the wanted raw columns of impressions; `rows` (n,) are their common lines.

    Each common line is decoded once a part and referred to through a dictionary.
    """
    at, order = first_seen(rows, len(common))
    ids, sums, keys = common.take(order)
    columns = dict(sides[1].columns(lines.ids, lines.sums))
    for raw, column in sides[0].columns(ids, sums):
        one_by_one = raw in sides[0].sums
        columns[raw] = (
            column.take(pa.array(at)) if one_by_one else pa.DictionaryArray.from_arrays(at, column)
        )
    digits = pa.array([f"{key:016x}" for key in keys.tolist()], pa.string())
    columns[INDEX] = pa.DictionaryArray.from_arrays(at, digits)
    columns |= {name: pa.array(lines.labels[:, number]) for number, name in enumerate(LABELS)}
    return pa.table({raw: columns[raw] for raw in wanted if raw in columns})


def _nothing(sides: Sequence[Side]) -> Any:
    fields = (*COMMON, *SKELETON)
    kinds = dict.fromkeys(fields, pa.int64())
    kinds |= {
        field: pa.list_(pa.int64())
        for side in sides
        for field, (_, lists) in side.ids.items()
        if lists
    }
    kinds |= {field + VALUE: pa.float64() for field in fields} | dict.fromkeys(LABELS, pa.int8())
    return pa.schema(kinds | {INDEX: pa.string()}).empty_table()


def _without(part: Scanned, absent: NDArray[np.int64], names: str, drop: bool) -> list[BadRow]:
    """Raises, or reports as bad rows, impressions whose common line is absent."""

    def sentence(row: int) -> str:
        line = part.block[int(part.lines.offsets[row]) :].split(b"\n", 1)[0]
        index = line.split(b",")[3].decode(errors="replace")
        return f"{part.place(row)}: expected a common index of {names}, found '{index}'"

    if not drop:
        raise UserError(sentence(int(absent[0])))
    return [("common index", partial(sentence, int(row))) for row in absent]
