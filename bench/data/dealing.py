"""Rows assigned to splits part by part.

What stays together (a group, or a value that is hashed) is drawn for once, and two bytes are held of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.codes import ABSENT, Codes
from bench.data.spans import spans_of
from bench.data.splits import TRAIN, VALID, Assignment, HashSplit, SplitInput, ValidOfTrain, halved
from bench.data.text_codes import TextCodes
from bench.data.values import Text, as_text, distinct


class Numbering:
    """The values of a raw column, numbered as they first appear."""

    def __init__(self, column: str, missing: Collection[str]) -> None:
        self.column, self.missing, self.values = column, missing, TextCodes()

    def take(self, table: Any) -> Codes:
        """(n,) the number of each row's value, -1 where it is missing."""
        rows, values = distinct(table[self.column])
        numbers: Codes = np.append(self.values.code(spans_of(values, self.missing)), np.int32(ABSENT))
        return numbers[rows]


class Dealer:
    """Assigns rows by the card's split and halves its validation, as if it saw all rows at once.

    Attributes:
        rows: assigned so far.
    """

    def __init__(self, card: Card, groups: Numbering | None) -> None:
        self.card, self.rows = card, 0
        hashed = card.split.column if isinstance(card.split, HashSplit) else None
        self._hashed = None if hashed is None else Numbering(hashed, card.missing)
        self._groups = groups
        self._units = groups if card.split_by_group else self._hashed
        self._together = groups or self._hashed  # what halving leaves on one side
        self._split = np.empty(0, np.int8)  # of each unit
        self._half = np.empty(0, np.int8)  # of each of what stays together, were it in validation

    def deal(self, file: int, table: Any, group: Codes, time: NDArray[np.float64] | Text | None) -> Assignment:
        """(n,) the split of each row of a part.

        Args:
            file: index of the rows' file.
            group: (n,) the number of each row's group, -1 for none.
        """
        files = np.full(table.num_rows, file, np.int16)
        none = Text(np.full(table.num_rows, ABSENT, np.int32), ())
        column = none if self._hashed else None
        if column is None and self.card.split_column is not None:
            column = as_text(table[self.card.split_column], self.card.missing)
        value = self._hashed.take(table) if self._hashed else group
        rows = self._input(files, time, none, column)
        split = self.card.split.assign(rows)
        if self._units is not None:
            unit = value if self._units is self._hashed else group
            self._split = self._known(self._split, self._units, self._drawn)
            drawn = unit >= 0
            if isinstance(self.card.split, ValidOfTrain):  # only train's rows are drawn for
                drawn &= (split == TRAIN) | (split == VALID)
            split[drawn] = self._split[unit[drawn]]
        of_valid = split == VALID
        apart = of_valid
        if self._together is not None:
            unit = group if self._groups else value
            self._half = self._known(self._half, self._together, self._halved)
            kept, apart = of_valid & (unit >= 0), of_valid & (unit < 0)
        if apart.any():  # these are drawn for one by one
            split[apart] = halved(split, rows, None)[apart]
        if self._together is not None:
            split[kept] = self._half[unit[kept]]
        self.rows += table.num_rows
        return split

    def _known(self, known: Assignment, units: Numbering, draw: Callable[[SplitInput, Text], Assignment]) -> Assignment:
        """What is drawn for each unit, after those that are new were drawn for."""
        first, names = len(known), units.values
        if len(names) == first:
            return known
        new = Text(np.arange(len(names) - first, dtype=np.int32), tuple(names.texts(range(first, len(names)))))
        files = np.zeros(len(new.codes), np.int16)
        return np.append(known, draw(self._input(files, None, new, new), new))

    def _drawn(self, rows: SplitInput, new: Text) -> Assignment:
        rule = self.card.split
        if isinstance(rule, ValidOfTrain):
            return rule.carve(np.full(len(new.codes), TRAIN, np.int8), rows)
        return rule.assign(rows)

    def _halved(self, rows: SplitInput, new: Text) -> Assignment:
        return halved(np.full(len(new.codes), VALID, np.int8), rows, new)

    def _input(self, files: NDArray[np.int16], time: Any, group: Text, column: Text | None) -> SplitInput:
        return SplitInput(self.card.row_files, files, time, group, column, self.rows)
