"""Ali-CCP's raw pair of files: impressions (skeleton), and the features that many of them share (common).

Raw columns that a card may use: `click`, `buy`, `common_index`; every field by its number, as in `206` or `109_14`
(its heaviest ids, as many as the card has slots); and `<field>.value`, the sum of the field's values in a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.codes import UNKNOWN, IntegerCodes
from bench.data.columns import MultiValued, Numeric
from bench.data.readers.blocks import blocks, side_by_side
from bench.data.readers.feature_lists import BadLine, Lines, Wanted, scan
from bench.errors import UserError, unknown
from bench.progress import Progress

COMMON = ("101", "121", "122", "124", "125", "126", "127", "128", "129", "109_14", "110_14", "127_14", "150_14")
SKELETON = ("205", "206", "207", "210", "216", "508", "509", "702", "853", "301")
INDEX, LABELS, VALUE = "common_index", ("click", "buy"), ".value"


@dataclass(frozen=True)
class Side:
    """What the card takes from one of the two kinds of file.

    Attributes:
        ids: input -> its slots among those that are scanned.
        sums: input -> its column among the sums.
    """

    wanted: Wanted
    ids: dict[str, slice]
    sums: dict[str, int]


def sides(card: Card) -> tuple[Side, Side]:
    """What the card takes from common and from skeleton files.

    Raises:
        UserError: an input that the format does not have, or cannot have in this form.
    """
    slots: dict[str, int] = {}
    inputs: dict[str, str] = {}
    summed: dict[str, list[str]] = {}
    for name, raw in card.inputs:
        column, field = card.columns[name], raw.removesuffix(VALUE)
        if field not in (*COMMON, *SKELETON):
            raise UserError(f"{card.key}: input '{name}': {unknown('field of Ali-CCP', field, (*COMMON, *SKELETON))}")
        if column.derive is not None or (isinstance(column, Numeric) and column.buckets is not None):
            raise UserError(f"{card.key}: input '{name}': Ali-CCP is read without 'derive' and 'buckets'")
        if isinstance(column, Numeric) != raw.endswith(VALUE):
            expected = f"'{field}{VALUE}' is a number, '{field}' holds ids"
            raise UserError(f"{card.key}: input '{name}': {expected}; found '{raw}'")
        if isinstance(column, Numeric):
            summed.setdefault(field, []).append(name)
        elif field in slots:
            raise UserError(f"{card.key}: inputs '{inputs[field]}' and '{name}' both take the ids of field '{field}'")
        else:
            slots[field] = column.max_length if isinstance(column, MultiValued) else 1
            inputs[field] = name

    def side(fields: tuple[str, ...]) -> Side:
        used = tuple(field for field in fields if field in slots or field in summed)
        wanted = Wanted(used, tuple(slots.get(f, 0) for f in used), tuple(f in summed for f in used))
        ends = np.cumsum([0, *wanted.slots]).tolist()
        ids = {inputs[f]: slice(ends[i], ends[i + 1]) for i, f in enumerate(used) if f in slots}
        numbers = [f for f in used if f in summed]
        return Side(wanted, ids, {name: at for at, field in enumerate(numbers) for name in summed[field]})

    return side(COMMON), side(SKELETON)


class Coder:
    """The ids of one side as codes, a dictionary for each input."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.of_input = {name: IntegerCodes() for name in side.ids}

    def code(self, ids: NDArray[np.int64], grow: bool) -> NDArray[np.int32]:
        """Codes (n, S) of scanned ids (n, S)."""
        codes = np.empty(ids.shape, np.int32)
        for name, at in self.side.ids.items():
            self.of_input[name].code(ids[:, at], codes[:, at], grow)
        return codes

    def count(self, codes: NDArray[np.int32], weights: NDArray[np.int64]) -> None:
        """Counts the values of rows, each as often as its weight says."""
        for name, at in self.side.ids.items():
            self.of_input[name].count(codes[:, at], weights)


class Part(NamedTuple):
    """Lines of a file, and the block they were read from."""

    path: Path
    before: int
    """Lines of the file that came before."""
    block: bytes
    lines: Lines

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        earlier = self.block.count(b"\n", 0, int(self.lines.offsets[row]))
        return f"{self.path}, line {self.before + earlier + 1}"


def parts(path: Path, wanted: Wanted, labelled: bool, progress: Progress) -> Iterator[Part]:
    """The lines of a file, part by part, in order.

    Raises:
        UserError: the first line that does not fit the format.
    """
    before = 0
    scanned = side_by_side(blocks(path, progress), partial(scan, wanted=wanted, labelled=labelled))
    while True:
        try:
            block, lines = next(scanned)
        except StopIteration:
            break
        except BadLine as bad:
            raise UserError(f"{path}, line {before + bad.line + 1}: {bad.reason}") from None
        yield Part(path, before, block, lines)
        before += block.count(b"\n")
    if before == 0:
        raise UserError(f"{path}: expected lines that end with a newline, found an empty file")


class CommonTable:
    """The common lines of one file, each under the hash of its index.

    Attributes:
        codes: (n, S) int32.
        sums: (n, D).
    """

    def __init__(self, path: Path, coder: Coder, grow: bool, progress: Progress) -> None:
        self.path, self._rows = path, IntegerCodes()
        codes, sums = [], []
        for part in parts(path, coder.side.wanted, False, progress):
            first, rows = len(self._rows), self._row_numbers(part.lines, grow=True)
            expected = np.arange(first, first + len(rows))
            if (twice := rows != expected).any():
                place = part.place(int(np.argmax(twice)))
                raise UserError(f"{place}: expected each common index once, found one again")
            codes.append(coder.code(part.lines.ids, grow))
            sums.append(part.lines.sums)
        self.codes, self.sums = np.concatenate(codes), np.concatenate(sums)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of each row, as a text."""
        return tuple(f"{key:016x}" for key in self._rows.values.tolist())

    def rows(self, part: Part) -> NDArray[np.int64]:
        """(n,) the row that each impression refers to.

        Raises:
            UserError: there is none.
        """
        found = self._row_numbers(part.lines, grow=False)
        if (absent := found == UNKNOWN).any():
            row = int(np.argmax(absent))
            line = part.block[int(part.lines.offsets[row]) :].split(b"\n", 1)[0]
            index = line.split(b",")[3].decode(errors="replace")
            raise UserError(f"{part.place(row)}: expected a common index of {self.path.name}, found '{index}'")
        return found.astype(np.int64)

    def _row_numbers(self, lines: Lines, grow: bool) -> NDArray[np.int32]:
        hashes = (lines.keys & np.uint64(2**63 - 1)).astype(np.int64)[:, None]
        numbers = np.empty(hashes.shape, np.int32)
        self._rows.code(hashes, numbers, grow)
        return numbers[:, 0]
