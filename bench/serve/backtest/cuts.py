"""The times of a back-test: where the rows of test are cut, and the card of each cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from bench.data.times import hours, hours_of, month_of
from bench.data.values import as_text

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
        first, last = _in_words(self.first), _in_words(self.last)
        return first if first == last else f"{first} to {last}"


def _in_words(time: float | str) -> str:
    return f"{time:.15g}" if isinstance(time, float) else time


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
        places = np.flatnonzero(self.counts)
        if every is None:
            pieces = self._equal_pieces(places, number or 7)
        else:
            pieces = self._spans(places, every)
        parts = [places[pieces == piece] for piece in np.unique(pieces)]
        if len(parts) < 2:
            raise UserError("expected a test of two cuts at the least, found one")
        cuts = []
        for part in parts:
            rows = int(self.counts[part].sum())
            cuts.append(Cut(self.values[part[0]], self.values[part[-1]], rows))
        return cuts

    def _equal_pieces(self, places: NDArray[np.int64], pieces: int) -> NDArray[Any]:
        """The piece of each time of test, of about equal numbers of rows."""
        if len(places) < pieces:
            raise UserError(
                f"--cuts: expected at most {len(places)}, the times that test has, found {pieces}"
            )
        counts = self.counts[places]
        middles = np.cumsum(counts) - counts / 2
        return np.minimum((middles / counts.sum() * pieces).astype(int), pieces - 1)

    def _spans(self, places: NDArray[np.int64], every: str) -> NDArray[Any]:
        """The span of each time of test."""
        times = [self.values[place] for place in places.tolist()]
        if every == MONTH:
            return np.array([month_of(time) for time in times])
        span = hours_of(every)
        hours_by_time = [hours(time) for time in times]
        first = hours_by_time[0]
        return np.array([math.floor((hour - first) / span) for hour in hours_by_time])

    def cut_of(self, cuts: Sequence[Cut]) -> NDArray[np.int64]:
        """(n,), the cut of each row of test that has a time."""
        places = {value: place for place, value in enumerate(self.values)}
        ends = np.array([places[cut.last] for cut in cuts])
        return np.searchsorted(ends, self.of_test[self.of_test >= 0])

    def before(self, cut: Cut, window: str) -> float | str:
        """The earliest time that is at most so long before a cut."""
        earliest = hours(cut.first) - hours_of(window)
        return next(value for value in self.values if hours(value) >= earliest)


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
    codes_by_part = list[NDArray[np.int64]]()
    is_test_by_part = list[NDArray[np.bool_]]()
    code_of: dict[str, int] = {}
    for rows in rows_of(timed, home, raw, progress):
        text = as_text(rows.table[time], card.missing)
        codes_of_values = [code_of.setdefault(value, len(code_of)) for value in text.values]
        in_split = rows.split >= 0
        codes_by_part.append(np.array([*codes_of_values, -1])[text.codes][in_split])
        is_test_by_part.append((rows.split == TEST)[in_split])
    codes, is_test = np.concatenate(codes_by_part), np.concatenate(is_test_by_part)

    texts = list(code_of)
    numbers = _as_numbers(texts)
    values: list[float] | list[str]
    if numbers is not None:
        order = _order_of(numbers)
        values = [numbers[code] for code in order]
    elif card.split_times and not card.textual_time:
        raise UserError(f"{card.key}: expected numbers in '{time}', found {texts[0]!r}")
    else:
        order = _order_of([time_key(text) for text in texts])
        values = [texts[code] for code in order]

    place_of_code = np.full(len(order) + 1, -1)
    place_of_code[order] = np.arange(len(order))
    places = place_of_code[codes]
    counts = np.bincount(places[is_test & (places >= 0)], minlength=len(order))
    return Times(timed, values, counts, places[is_test])


def _as_numbers(texts: Sequence[str]) -> list[float] | None:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None


def _order_of(keys: Sequence[Any]) -> list[int]:
    return sorted(range(len(keys)), key=keys.__getitem__)


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
