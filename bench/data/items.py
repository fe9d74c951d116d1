"""Columns of what is shown, such as its author or its age, by which outcomes of items are
measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.core.arrays import Floats
from bench.data.card import Card
from bench.data.codes import TextCodes
from bench.data.values import as_numbers


class Items:
    """The columns of items that a card names; takes the parts of its rows, in order, all splits
    together.

    Values of categories are numbered as they first appear. Their texts are not kept.
    """

    def __init__(self, card: Card) -> None:
        self._columns = [*card.items.values(), *card.item_numbers.values()]
        self._codes = [TextCodes() for _ in card.items]
        self._missing = card.missing

    def take(self, table: Any) -> dict[str, Floats]:
        """What is kept of the n rows of an Arrow table: (n, I), NaN where missing; nothing without
        such columns.
        """
        codes = (
            of.code_column(table[raw], self._missing)
            for raw, of in zip(self._columns, self._codes, strict=False)
        )
        found = [np.where(each < 0, np.nan, each) for each in codes]
        found += [
            as_numbers(table[raw], self._missing, raw) for raw in self._columns[len(self._codes) :]
        ]
        return {"items": np.stack(found, axis=1)} if found else {}
