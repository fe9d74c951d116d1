"""Rows that do not fit: a failure, or dropped and counted where the card says `on_bad_row = "drop"`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.progress import Progress

Place = Callable[[int], str]
"""Row -> where it is, for messages."""
BadRow = tuple[str, Callable[[], str]]
"""Reason in a word, and what gives the sentence that says where and why: finding a line's number may take a while."""


class Rejects:
    """What was dropped of a data set.

    Attributes:
        drop: whether bad rows are dropped; else the first is an error.
        counts: reason in a word -> rows.
        first: the first of them, where and why.
        unpaired: rows without a partner, in formats that come in pairs of files.
    """

    def __init__(self, drop: bool = False, limit: float = 0.0) -> None:
        self.drop, self.limit = drop, limit
        self.counts: dict[str, int] = {}
        self.first: str | None = None
        self.unpaired = 0

    @property
    def rows(self) -> int:
        """Bad rows that were dropped."""
        return sum(self.counts.values())

    def refuse(self, reason: str, sentence: Callable[[], str], rows: int = 1) -> None:
        """Counts bad rows, or raises UserError with the sentence, which says where the first of them is and why."""
        if not self.drop:
            raise UserError(sentence())
        self.counts[reason] = self.counts.get(reason, 0) + rows
        self.first = self.first or sentence()

    def check(self, key: str, kept: int) -> None:
        """Raises UserError where more rows were dropped than the card allows."""
        if self.rows > self.limit * (kept + self.rows):
            share = f"{self.rows:,} of {kept + self.rows:,} rows are bad"
            raise UserError(f"{key}: {share}, more than bad_row_limit = {self.limit:g} allows; the first: {self.first}")

    def note(self, key: str, progress: Progress) -> None:
        """Tells the user."""
        if self.counts:
            reasons = ", ".join(f"{rows:,} for {reason}" for reason, rows in self.counts.items())
            progress.note(f"{key}: dropped {self.rows:,} bad rows ({reasons}); the first: {self.first}")
        if self.unpaired:
            progress.note(f"{key}: dropped {self.unpaired:,} rows without a partner")

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        found: dict[str, Any] = {"bad_rows": dict(self.counts), "unpaired_dropped": self.unpaired}
        return found | ({"first_bad_row": self.first} if self.first else {})


class Sieve:
    """The bad rows of one part.

    Attributes:
        bad: (n,).
    """

    def __init__(self, rejects: Rejects, place: Place, rows: int) -> None:
        self.rejects, self.place = rejects, place
        self.bad = np.zeros(rows, np.bool_)

    def refuse(self, at: NDArray[np.bool_], reason: str, what: str) -> None:
        """Marks rows (n,); a row that is bad twice counts once. `what` is the sentence without the place."""
        new = at & ~self.bad
        if new.any():
            self.rejects.refuse(reason, lambda: f"{self.place(int(np.argmax(new)))}: {what}", int(new.sum()))
            self.bad |= new
