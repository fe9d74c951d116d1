"""The times of a back-test: where the rows of test are cut, and the card of each cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.system.progress import Progress
from bench.core.validation import validate
from bench.data.card import Card
from bench.data.preparation import rows_of
from bench.data.splits import TEST, time_key
from bench.data.values import as_text, hours, hours_of, month_of

MONTH = "month"


@dataclass(frozen=True)
class Cut:
    """Rows of test from `first` to `last`, both included, in the card's `time`.

    Attributes:
        rows: of test, how many.
    """

    first: float | str
    last: float | str
    rows: int

    def __str__(self) -> str:
        """As tables have it."""
        first, last = (
            f"{each:.15g}" if isinstance(each, float) else each for each in (self.first, self.last)
        )
        return first if first == last else f"{first} to {last}"


@dataclass(frozen=True)
class Times:
    """The times of a card's rows.

    Attributes:
        values: (V,) distinct, in order; numbers, or texts.
        counts: (V,) rows of test that have each.
        of_test: (N,) place among `values` of each row of test, in the store's order; -1 without a
            time.
    """

    card: Card
    values: Sequence[float] | Sequence[str]
    counts: NDArray[np.int64]
    of_test: NDArray[np.int64]

    def cuts(self, number: int | None, every: str | None) -> list[Cut]:
        """Test in `number` parts of about equal numbers of rows, or one for `every` span (`1d`,
        `2w`, `12h`, `month`).

        Raises:
            UserError: test has fewer times, or times that are no dates.
        """
        own = np.flatnonzero(self.counts)
        if every == MONTH:
            piece = np.array([month_of(self.values[at]) for at in own.tolist()])
        elif every is not None:
            span = hours_of(every)
            hour = [hours(self.values[at]) for at in own.tolist()]
            piece = np.array([math.floor((each - hour[0]) / span) for each in hour])
        else:
            asked = number or 7
            if len(own) < asked:
                raise UserError(
                    f"--cuts: expected at most {len(own)}, the times that test has, found {asked}"
                )
            done = np.cumsum(self.counts[own]) - self.counts[own] / 2
            piece = np.minimum((done / self.counts[own].sum() * asked).astype(int), asked - 1)
        parts = [own[piece == each] for each in np.unique(piece)]
        if len(parts) < 2:
            raise UserError("expected a test of two cuts at the least, found one")
        return [
            Cut(self.values[part[0]], self.values[part[-1]], int(self.counts[part].sum()))
            for part in parts
        ]

    def cut_of(self, cuts: Sequence[Cut]) -> NDArray[np.int64]:
        """(n,), the cut of each row of test that has a time."""
        place = {value: at for at, value in enumerate(self.values)}
        ends = np.array([place[cut.last] for cut in cuts])
        return np.searchsorted(ends, self.of_test[self.of_test >= 0])

    def before(self, cut: Cut, window: str) -> float | str:
        """The earliest time that is at most so long before a cut."""
        least = hours(cut.first) - hours_of(window)
        return next(value for value in self.values if hours(value) >= least)


def times_of(
    card: Card, home: Path, raw: Path | None, column: str | None, progress: Progress
) -> Times:
    """Reads the times of all rows.

    Args:
        column: raw column of the times, by default the card's `time`.

    Raises:
        UserError: there is none, or another than that of the card's split.
    """
    time = column or card.time
    if time is None:
        raise UserError(
            f"{card.key}: expected a card with 'time', or --time COLUMN, the raw column of the "
            "times"
        )
    if card.split_times and time != card.time:
        raise UserError(
            f"{card.key}: expected the time of its split, '{card.time}', found --time {time}"
        )
    timed = card if card.split_times else _with(card, {"time": time})
    codes = list[NDArray[np.int64]]()
    tests = list[NDArray[np.bool_]]()
    known = dict[str, int]()
    for rows in rows_of(timed, home, raw, progress):
        text = as_text(rows.table[time], card.missing)
        place = np.array([known.setdefault(value, len(known)) for value in text.values] + [-1])
        kept = rows.split >= 0
        codes.append(place[text.codes][kept])
        tests.append((rows.split == TEST)[kept])
    every, test = np.concatenate(codes), np.concatenate(tests)
    names, numbers = list(known), None
    with suppress(ValueError):
        numbers = [float(name) for name in names]
    if numbers is None and card.split_times and not card.textual_time:
        raise UserError(f"{card.key}: expected numbers in '{time}', found {names[0]!r}")
    keys: list[Any] = [time_key(name) for name in names] if numbers is None else numbers
    order = sorted(range(len(names)), key=keys.__getitem__)
    place = np.full(len(names) + 1, -1)
    place[order] = np.arange(len(order))
    every = place[every]
    counts = np.bincount(every[test & (every >= 0)], minlength=len(order))
    values = [names[at] if numbers is None else numbers[at] for at in order]
    return Times(timed, values, counts, every[test])  # type: ignore[arg-type]


def _with(card: Card, changes: dict[str, object]) -> Card:
    values = card.model_dump(mode="json", by_alias=True) | changes
    return validate(Card, values, card.key).with_origin(card.origin)


def card_of(times: Times, cut: Cut, **options: object) -> Card:
    """The card whose test is a cut and whose train lies before it, see
    `bench.data.splits.CutSplit`.
    """
    base = times.card.split.model_dump(mode="json")
    split = {"kind": "cut", "base": base, "by_group": times.card.split_by_group, **options}
    return _with(times.card, {"split": {"first": cut.first, "last": cut.last} | split})
