"""Ali-CCP's raw pair of files: impressions (skeleton), and the features that many of them share (common).

Raw columns that a card may use: `click`, `buy`, `common_index`; every field by its number, as in `206` or `109_14`
(its heaviest ids, as many as the card has slots); and `<field>.value`, the sum of the field's values in a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.codes import IntegerCodes
from bench.data.columns import MultiValued, Numeric
from bench.data.readers.blocks import blocks, side_by_side
from bench.data.readers.feature_lists import Lines, Wanted, scan
from bench.data.rejects import Rejects
from bench.errors import UserError, unknown
from bench.progress import Progress

COMMON = ("101", "121", "122", "124", "125", "126", "127", "128", "129", "109_14", "110_14", "127_14", "150_14")
SKELETON = ("205", "206", "207", "210", "216", "508", "509", "702", "853", "301")
LABELS, VALUE = ("click", "buy"), ".value"


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
        if column.derive is not None:
            raise UserError(f"{card.key}: input '{name}': Ali-CCP is read without 'derive'")
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


def parts(
    paths: Sequence[Path], wanted: Wanted, labelled: bool, progress: Progress, rejects: Rejects
) -> Iterator[Part]:
    """The lines of files, part by part, in order; those that do not fit the format are for `rejects`.

    Raises:
        UserError: a line that does not fit the format, or an empty file.
    """
    for path in paths:
        before = 0
        for block, (lines, bad) in side_by_side(
            blocks(path, progress), partial(scan, wanted=wanted, labelled=labelled)
        ):
            for line in bad:
                sentence = f"{path}, line {before + line.line + 1}: {line.reason}"
                rejects.refuse("format", partial(str, sentence))
            yield Part(path, before, block, lines)
            before += block.count(b"\n")
        if before == 0:
            raise UserError(f"{path}: expected lines that end with a newline, found an empty file")
