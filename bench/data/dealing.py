"""Rows dealt to splits part by part.

What stays together (a group, or a value that is hashed) is drawn for once, and a byte is held of it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.codes import ABSENT, Codes
from bench.data.spans import spans_of
from bench.data.splits import Assignment, HashSplit, SplitInput, ValidOfTrain
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
    """Deals rows by the card's split, as if it saw all of them at once.

    Attributes:
        rows: dealt so far.
    """

    def __init__(self, card: Card, groups: Numbering | None) -> None:
        self.card, self.rows = card, 0
        self._units, self._hashed = groups if card.split_by_group else None, isinstance(card.split, HashSplit)
        if self._hashed and card.split_column is not None:
            self._units = Numbering(card.split_column, card.missing)
        self._split = np.empty(0, np.int8)  # of each unit

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
        split = self.card.split.assign(self._input(files, time, none, column))
        self.rows += table.num_rows
        if self._units is not None:
            unit = self._units.take(table) if self._hashed else group
            self._draw()
            drawn = unit >= 0
            if isinstance(self.card.split, ValidOfTrain):  # only train's rows are drawn for
                drawn &= (split == 0) | (split == 1)
            split[drawn] = self._split[unit[drawn]]
        return split

    def _draw(self) -> None:
        """The split of units not met before."""
        assert self._units is not None
        first, names = len(self._split), self._units.values
        if len(names) == first:
            return
        new = Text(np.arange(len(names) - first, dtype=np.int32), tuple(names.texts(range(first, len(names)))))
        rule, files = self.card.split, np.zeros(len(new.codes), np.int16)
        if isinstance(rule, ValidOfTrain):
            drawn = rule.carve(np.zeros(len(new.codes), np.int8), self._input(files, None, new, new))
        else:
            drawn = rule.assign(self._input(files, None, new, new))
        self._split = np.append(self._split, drawn)

    def _input(self, files: NDArray[np.int16], time: Any, group: Text, column: Text | None) -> SplitInput:
        return SplitInput(self.card.row_files, files, time, group, column, self.rows)
