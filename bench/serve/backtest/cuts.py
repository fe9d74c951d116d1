"""The times of a back-test: where the rows of test are cut, and the card of each cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.core.arrays import Ints
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
        first = _in_words(self.first)
        last = _in_words(self.last)
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
    values: Sequence[float | str]
    counts: Ints
    of_test: Ints

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
        cuts = []
        for piece in np.unique(pieces):
            times = places[pieces == piece]
            first = self.values[times[0]]
            last = self.values[times[-1]]
            rows = int(self.counts[times].sum())
            cuts.append(Cut(first, last, rows))
        if len(cuts) < 2:
            raise UserError("expected a test of two cuts at the least, found one")
        return cuts

    def _equal_pieces(self, places: Ints, pieces: int) -> Ints:
        """The piece of each time of test, of about equal numbers of rows."""
        if len(places) < pieces:
            raise UserError(
                f"--cuts: expected at most {len(places)}, the times that test has, found {pieces}"
            )
        counts = self.counts[places]
        middles = np.cumsum(counts) - counts / 2
        piece = (middles / counts.sum() * pieces).astype(np.int64)
        return np.asarray(piece.clip(max=pieces - 1))

    def _spans(self, places: Ints, every: str) -> Ints:
        """The span of each time of test."""
        times = [self.values[place] for place in places.tolist()]
        if every == MONTH:
            return np.array(list(map(month_of, times)))
        since_1970 = np.array(list(map(hours, times)))
        since_first = since_1970 - since_1970[0]
        return np.asarray(np.floor(since_first / hours_of(every)).astype(np.int64))

    def cut_of(self, cuts: Sequence[Cut]) -> Ints:
        """(n,), the cut of each row of test that has a time."""
        places = {value: place for place, value in enumerate(self.values)}
        ends = [places[cut.last] for cut in cuts]
        cut_of_row: Ints = np.searchsorted(ends, self.of_test[self.of_test >= 0])
        return cut_of_row

    def before(self, cut: Cut, window: str) -> float | str:
        """The earliest time that is at most so long before a cut."""
        earliest = hours(cut.first) - hours_of(window)
        return next(value for value in self.values if hours(value) >= earliest)


def times_of(
    card: Card,
    home: Path,
    raw: Path | None,
    column: str | None,
    progress: Progress,
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
    codes_by_part = []
    is_test_by_part = []
    code_of: dict[str, int] = {}
    for rows in rows_of(timed, home, raw, progress):
        text = as_text(rows.table[time], card.missing)
        codes_of_values = [code_of.setdefault(value, len(code_of)) for value in text.values]
        in_split = rows.split >= 0
        codes = np.array([*codes_of_values, -1])[text.codes]
        codes_by_part.append(codes[in_split])
        is_test_by_part.append((rows.split == TEST)[in_split])
    codes = np.concatenate(codes_by_part)
    is_test = np.concatenate(is_test_by_part)

    texts = list(code_of)
    numbers = _as_numbers(texts)
    if numbers is None and card.split_times and not card.textual_time:
        raise UserError(f"{card.key}: expected numbers in '{time}', found {texts[0]!r}")
    keys = list(map(time_key, texts)) if numbers is None else numbers
    sorted_codes = sorted(range(len(keys)), key=keys.__getitem__)
    values = texts if numbers is None else numbers
    sorted_values = [values[code] for code in sorted_codes]

    place_of_code = np.full(len(keys) + 1, -1)
    place_of_code[sorted_codes] = np.arange(len(keys))
    places = place_of_code[codes]
    of_test = places[is_test]
    counts = np.bincount(of_test[of_test >= 0], minlength=len(keys))
    return Times(timed, sorted_values, counts, of_test)


def _as_numbers(texts: Sequence[str]) -> list[float] | None:
    try:
        return list(map(float, texts))
    except ValueError:
        return None


def _with(card: Card, changes: dict[str, object]) -> Card:
    values = card.model_dump(mode="json", by_alias=True) | changes
    return validate(Card, values, card.key).with_origin(card.origin)


def card_of(times: Times, cut: Cut, **options: object) -> Card:
    """The card whose test is a cut and whose train lies before it, see
    `bench.data.splits.CutSplit`.
    """
    card = times.card
    split = {
        "first": cut.first,
        "last": cut.last,
        "kind": "cut",
        "base": card.split.model_dump(mode="json"),
        "by_group": card.split_by_group,
    }
    return _with(card, {"split": split | options})
