"""What a reader gives: a table of raw columns, and for each of its rows the place in the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RawTable:
    """The rows of one file.

    Attributes:
        file: the card's name of it.
        table: Arrow table of raw columns.
        place: row -> where it is, for messages, as in `/data/log.csv.gz, line 17`.
    """

    file: str
    table: Any
    place: Callable[[int], str]
