"""Checks of a part's columns and labels before they are used.

Texts must be UTF-8, number columns must hold numbers, and labels the values that the task names. A
row that does not fit is a failure, or is dropped and counted where the card says `on_bad_row =
"drop"`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.system.progress import Progress
from bench.data.splits import Time, time_key
from bench.data.tasks import TaskRule
from bench.data.values import (
    DATES,
    NUMBERS,
    TEXTS,
    as_numbers,
    as_text,
    distinct,
    is_any,
    is_list,
    numbers_of,
    taken_apart,
    texts_of,
    undated,
    whole_column,
)

Place = Callable[[int], str]
"""Row -> where it is, for messages."""
BadRow = tuple[str, Callable[[], str]]
"""Reason in a word, and what gives the sentence that says where and why: finding a line's number
may take a while.
"""


class Rejects:
    """What was dropped of a data set: bad rows, if `drop`, else the first is an error; and rows
    without a partner.
    """

    def __init__(self, drop: bool = False, limit: float = 0.0) -> None:
        self.drop, self.limit = drop, limit
        self.counts: dict[str, int] = {}  # by reason in a word
        self.first: str | None = None  # where it is and why it is bad
        self.unpaired = 0

    @property
    def rows(self) -> int:
        """Bad rows that were dropped."""
        return sum(self.counts.values())

    def refuse(self, reason: str, sentence: Callable[[], str], rows: int = 1) -> None:
        """Counts bad rows, or raises UserError with the sentence, which says where the first of
        them is and why.
        """
        if not self.drop:
            raise UserError(sentence())
        self.counts[reason] = self.counts.get(reason, 0) + rows
        self.first = self.first or sentence()

    def check(self, key: str, kept: int) -> None:
        """Raises UserError where more rows were dropped than the card allows."""
        if self.rows > self.limit * (kept + self.rows):
            share = f"{self.rows:,} of {kept + self.rows:,} rows are bad"
            raise UserError(
                f"{key}: {share}, more than bad_row_limit = {self.limit:g} allows; the first: "
                f"{self.first}"
            )

    def note(self, key: str, progress: Progress) -> None:
        """Tells the user."""
        if self.counts:
            reasons = ", ".join(f"{rows:,} for {reason}" for reason, rows in self.counts.items())
            progress.note(
                f"{key}: dropped {self.rows:,} bad rows ({reasons}); the first: {self.first}"
            )
        if self.unpaired:
            progress.note(f"{key}: dropped {self.unpaired:,} rows without a partner")

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        found: dict[str, Any] = {"bad_rows": dict(self.counts), "unpaired_dropped": self.unpaired}
        return found | ({"first_bad_row": self.first} if self.first else {})


class Sieve:
    """The bad rows (n,) of one part."""

    def __init__(self, rejects: Rejects, place: Place, rows: int) -> None:
        self.rejects, self.place = rejects, place
        self.bad = np.zeros(rows, np.bool_)

    def refuse(self, at: NDArray[np.bool_], reason: str, what: str) -> None:
        """Marks rows (n,); a row that is bad twice counts once. `what` is the sentence without the
        place.
        """
        new = at & ~self.bad
        if new.any():
            self.rejects.refuse(
                reason, lambda: f"{self.place(int(np.argmax(new)))}: {what}", int(new.sum())
            )
            self.bad |= new


ColumnCheck = Callable[[str, Any, Collection[str], Sieve], None]
"""(raw column, Arrow column, markers of missing values, sieve): the sieve takes the rows that do
not fit.
"""
_EXPECTED = {
    "number": "numbers",
    "text": "texts or numbers",
    "list": "texts, numbers or lists of these",
    "vector": "lists of numbers",
}
DIGITS = str.maketrans(dict.fromkeys("123456789", "0"))


def checked(
    table: Any,
    wanted: Mapping[str, str],
    missing: Collection[str],
    sieve: Sieve,
    checks: Iterable[tuple[str, ColumnCheck]] = (),
) -> Any:
    """The table with numbers in columns that are wanted as such; the sieve takes the rows that do
    not fit.

    Raises UserError for a column of a type that does not hold what is wanted.

    Args:
        wanted: as `Card.raw_columns`.
        checks: (raw column, what its kind checks of it).
    """
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for name, column in columns.items():
        kind = column.type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if name in wanted and not _holds(kind, wanted[name]):
            raise UserError(
                f"{sieve.place(0)}: '{name}': expected {_EXPECTED[wanted[name]]}, found a column "
                f"of type {kind}"
            )
        if name in wanted and is_list(kind) and is_any(kind.value_type, TEXTS):
            _check_lists(name, column, sieve)
        if (
            name in wanted
            and is_any(kind, DATES)
            and (beyond := undated(dates := whole_column(column).cast(kind))).any()
        ):
            sieve.refuse(
                beyond, "time", f"'{name}': expected a date of the years 1 to 9999, found another"
            )
            columns[name] = pc.if_else(pa.array(beyond), None, dates)
        if not is_any(kind, TEXTS):
            continue
        codes, values = distinct(column)
        if (broken := _not_utf8(values)).any():
            sieve.refuse(np.append(broken, False)[codes], "bytes", f"'{name}': expected UTF-8 text")
            values = pa.array(
                [None if bad else value.as_py() for bad, value in zip(broken, values, strict=True)]
            )
            columns[name] = pa.DictionaryArray.from_arrays(
                pa.array(codes, mask=codes < 0), values.cast(pa.string())
            )
        if wanted.get(name) == "number":
            parsed, wrong = numbers_of(texts := texts_of(values, missing))
            for at in wrong:
                sieve.refuse(
                    codes == at, "number", f"'{name}': expected a number, found '{texts[at]}'"
                )
            columns[name] = pa.array(
                np.append(parsed, np.nan)[codes], from_pandas=True
            )  # the last serves code -1
    for name, check in checks:
        if name in columns:
            check(name, columns[name], missing, sieve)
    return pa.table(columns)


def check_times(
    column: Any, name: str, ends: Sequence[Time], missing: Collection[str], sieve: Sieve
) -> None:
    """The sieve takes rows whose time, a text, is spelled in another way than the times that the
    split compares with.

    It would compare as a text all the same, and land in one of the splits.
    """
    shapes = {str(time_key(end)).translate(DIGITS) for end in ends}
    text = as_text(column, missing)
    fits: dict[str, bool] = {"": False}
    for code, value in enumerate(text.values):
        try:
            own = time_key(value).translate(DIGITS)
        except ValueError:
            own = ""
        if own not in fits:
            fits[own] = any(own.startswith(shape) or shape.startswith(own) for shape in shapes)
        if not fits[own]:
            sieve.refuse(
                text.codes == code,
                "time",
                f"'{name}': expected a time such as '{ends[0]}', found '{value}'",
            )


def _holds(kind: Any, wanted: str) -> bool:
    if wanted == "vector":
        return pa.types.is_null(kind) or (is_list(kind) and is_any(kind.value_type, NUMBERS))
    if wanted == "list" and is_list(kind):
        kind = kind.value_type
    return is_any(kind, NUMBERS + TEXTS) if wanted == "number" else not pa.types.is_nested(kind)


def _check_lists(name: str, column: Any, sieve: Sieve) -> None:
    """The sieve takes rows whose list holds a text that is not UTF-8."""
    rows, lists = distinct(column)
    first, values = taken_apart(lists)
    if (broken := _not_utf8(values)).any():
        of_list = np.append(np.diff(np.append(0, np.cumsum(broken))[first]) > 0, False)
        sieve.refuse(of_list[rows], "bytes", f"'{name}': expected UTF-8 text")


def _not_utf8(values: Any) -> NDArray[np.bool_]:
    """(n,) which texts are not."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        known = (value or b"" for value in values.cast(pa.binary()).to_pylist())
        return np.array([value.decode(errors="ignore").encode() != value for value in known])
    return np.zeros(len(values), np.bool_)


LabelArray = NDArray[np.float32]
ZERO_ONE = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}


def read_labels(
    table: Any, rules: tuple[TaskRule, ...], missing: tuple[str, ...], sieve: Sieve
) -> LabelArray:
    """Labels (N, T) by the rules of a card's tasks; NaN where the raw value is missing.

    The sieve takes rows with a label that is not 0/1, nor among the values the task names, or with
    a number that a float32 cannot hold.
    """
    labels = np.ones((table.num_rows, len(rules)), np.float32)
    for rule, own in zip(rules, labels.T, strict=True):
        for column in rule.sources:
            read = _number_labels if rule.kind == "regression" else _binary_labels
            own *= read(table[column], rule, column, missing, sieve)
    return labels


def _number_labels(
    raw: Any, rule: TaskRule, column: str, missing: tuple[str, ...], sieve: Sieve
) -> LabelArray:
    numbers = as_numbers(raw, missing, column, infinite=True)
    with np.errstate(over="ignore"):
        labels = (numbers / rule.unit).astype(np.float32)
    if (beyond := np.isinf(labels)).any():
        found = f"{numbers[np.argmax(beyond)]:g}"
        what = (
            f"'{column}', the label of task '{rule.name}': expected a number that a float32 "
            f"holds, found {found}"
        )
        sieve.refuse(beyond, "label", what)
    return labels


def _binary_labels(
    raw: Any, rule: TaskRule, column: str, missing: tuple[str, ...], sieve: Sieve
) -> LabelArray:
    text = as_text(raw, missing)
    meaning = np.full(
        len(text.values) + 1, np.nan, np.float32
    )  # the last entry serves code -1, missing
    meanings = (
        dict.fromkeys(rule.negative, 0.0) | dict.fromkeys(rule.positive, 1.0)
        if rule.positive
        else ZERO_ONE
    )
    other = 0.0 if rule.positive and not rule.negative else None
    for code, value in enumerate(text.values):
        label = meanings.get(value if rule.positive else value.lower(), other)
        if label is not None:
            meaning[code] = label
            continue
        expected = (
            f"one of {', '.join(map(repr, rule.positive + rule.negative))}"
            if rule.positive
            else "0 or 1"
        )
        what = f"'{column}', the label of task '{rule.name}': expected {expected}, found '{value}'"
        sieve.refuse(text.codes == code, "label", what)
    return meaning[text.codes]
