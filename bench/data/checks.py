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

from bench.core.arrays import Floats, Mask
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
    by_code,
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
Sentence = Callable[[], str]
"""Gives the sentence that says where a row is and why it is bad: finding a line's number may take a
while.
"""
BadRow = tuple[str, Sentence]
"""Reason in a word, and the sentence."""


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

    def refuse(self, reason: str, sentence: Sentence, rows: int = 1) -> None:
        """Counts bad rows, or raises UserError with the sentence on the first of them."""
        if not self.drop:
            raise UserError(sentence())
        self.counts[reason] = self.counts.get(reason, 0) + rows
        self.first = self.first or sentence()

    def check(self, key: str, kept_rows: int) -> None:
        """Raises UserError where more rows were dropped than the card allows."""
        total = kept_rows + self.rows
        if self.rows > self.limit * total:
            raise UserError(
                f"{key}: {self.rows:,} of {total:,} rows are bad, more than bad_row_limit = "
                f"{self.limit:g} allows; the first: {self.first}"
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
        facts: dict[str, Any] = {"bad_rows": dict(self.counts), "unpaired_dropped": self.unpaired}
        if self.first:
            facts["first_bad_row"] = self.first
        return facts


class Sieve:
    """The bad rows (n,) of one part."""

    def __init__(self, rejects: Rejects, place: Place, rows: int) -> None:
        self.rejects, self.place = rejects, place
        self.bad = np.zeros(rows, np.bool_)

    def refuse(self, rows: Mask, reason: str, problem: str) -> None:
        """Marks rows (n,); a row that is bad twice counts once. `problem` is the sentence without
        the place.
        """
        new = rows & ~self.bad
        if new.any():
            first, count = int(np.argmax(new)), int(new.sum())
            self.rejects.refuse(reason, lambda: f"{self.place(first)}: {problem}", count)
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
_DIGITS = str.maketrans(dict.fromkeys("123456789", "0"))


def checked(
    table: pa.Table,
    wanted: Mapping[str, str],
    missing: Collection[str],
    sieve: Sieve,
    checks: Iterable[tuple[str, ColumnCheck]] = (),
) -> pa.Table:
    """The table with numbers in columns that are wanted as such; the sieve takes the rows that do
    not fit.

    Raises UserError for a column of a type that does not hold what is wanted.

    Args:
        wanted: as `Card.raw_columns`.
        checks: (raw column, what its kind checks of it).
    """
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for name, column in columns.items():
        wanted_as = wanted.get(name)
        kind = column.type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if wanted_as is not None:
            if not _holds(kind, wanted_as):
                raise UserError(
                    f"{sieve.place(0)}: '{name}': expected {_EXPECTED[wanted_as]}, found a column "
                    f"of type {kind}"
                )
            if is_list(kind) and is_any(kind.value_type, TEXTS):
                _check_lists(name, column, sieve)
            if is_any(kind, DATES):
                columns[name] = _checked_dates(name, column, kind, sieve)
        if is_any(kind, TEXTS):
            columns[name] = _checked_texts(name, column, wanted_as == "number", missing, sieve)
    for name, check in checks:
        if name in columns:
            check(name, columns[name], missing, sieve)
    return pa.table(columns)


def _checked_dates(name: str, column: pa.Array, kind: pa.DataType, sieve: Sieve) -> pa.Array:
    dates = whole_column(column).cast(kind)
    beyond = undated(dates)
    if not beyond.any():
        return column
    sieve.refuse(beyond, "time", f"'{name}': expected a date of the years 1 to 9999, found another")
    return pc.if_else(pa.array(beyond), None, dates)


def _checked_texts(
    name: str, column: pa.Array, as_number: bool, missing: Collection[str], sieve: Sieve
) -> pa.Array:
    """The column, or its numbers; null in rows whose text is not UTF-8."""
    codes, values = distinct(column)
    broken = _not_utf8(values)
    if broken.any():
        sieve.refuse(by_code(broken, codes, False), "bytes", f"'{name}': expected UTF-8 text")
        whole = pc.if_else(pa.array(broken), None, values)
        values = pa.array(whole.to_pylist())
        indices = pa.array(codes, mask=codes < 0)
        column = pa.DictionaryArray.from_arrays(indices, values.cast(pa.string()))
    if not as_number:
        return column

    texts = texts_of(values, missing)
    numbers, wrong_codes = numbers_of(texts)
    for code in wrong_codes:
        problem = f"'{name}': expected a number, found '{texts[code]}'"
        sieve.refuse(codes == code, "number", problem)
    return pa.array(by_code(numbers, codes, np.nan), from_pandas=True)


def check_times(
    column: pa.Array, name: str, ends: Sequence[Time], missing: Collection[str], sieve: Sieve
) -> None:
    """The sieve takes rows whose time, a text, is spelled in another way than the times that the
    split compares with.

    It would compare as a text all the same, and land in one of the splits.
    """
    expected_shapes = {spelling(str(end)) for end in ends}
    text = as_text(column, missing)
    fits: dict[str, bool] = {"": False}
    for code, value in enumerate(text.values):
        try:
            shape = spelling(value)
        except ValueError:
            shape = ""
        if shape not in fits:
            fits[shape] = _begins_like_any(shape, expected_shapes)
        if not fits[shape]:
            problem = f"'{name}': expected a time such as '{ends[0]}', found '{value}'"
            sieve.refuse(text.codes == code, "time", problem)


def spelling(time: Time) -> str:
    """The spelling of a time, with 0 for each digit."""
    return str(time_key(time)).translate(_DIGITS)


def _begins_like_any(shape: str, expected_shapes: Iterable[str]) -> bool:
    return any(
        shape.startswith(expected) or expected.startswith(shape) for expected in expected_shapes
    )


def _holds(kind: Any, wanted: str) -> bool:
    if wanted == "vector":
        return pa.types.is_null(kind) or (is_list(kind) and is_any(kind.value_type, NUMBERS))
    if wanted == "list" and is_list(kind):
        kind = kind.value_type
    if wanted == "number":
        return is_any(kind, NUMBERS + TEXTS)
    return not pa.types.is_nested(kind)


def _check_lists(name: str, column: pa.Array, sieve: Sieve) -> None:
    """The sieve takes rows whose list holds a text that is not UTF-8."""
    codes, lists = distinct(column)
    starts, values = taken_apart(lists)
    broken = _not_utf8(values)
    if broken.any():
        broken_before = np.append(0, np.cumsum(broken))
        list_broken = np.diff(broken_before[starts]) > 0
        sieve.refuse(by_code(list_broken, codes, False), "bytes", f"'{name}': expected UTF-8 text")


def _not_utf8(values: pa.Array) -> Mask:
    """(n,) which texts are not."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        texts = [value or b"" for value in values.cast(pa.binary()).to_pylist()]
        return np.array([text.decode(errors="ignore").encode() != text for text in texts])
    return np.zeros(len(values), np.bool_)


LabelArray = NDArray[np.float32]
ZERO_ONE = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}


def read_labels(
    table: pa.Table, rules: tuple[TaskRule, ...], missing: tuple[str, ...], sieve: Sieve
) -> LabelArray:
    """Labels (N, T) by the rules of a card's tasks; NaN where the raw value is missing.

    The sieve takes rows with a label that is not 0/1, nor among the values the task names, or with
    a number that a float32 cannot hold.
    """
    labels = np.ones((table.num_rows, len(rules)), np.float32)
    for task, rule in enumerate(rules):
        read = _number_labels if rule.kind == "regression" else _binary_labels
        for column in rule.sources:
            labels[:, task] *= read(table[column], rule, column, missing, sieve)
    return labels


def _number_labels(
    raw: pa.Array, rule: TaskRule, column: str, missing: tuple[str, ...], sieve: Sieve
) -> LabelArray:
    numbers: Floats = as_numbers(raw, missing, column, infinite=True)
    with np.errstate(over="ignore"):
        labels = (numbers / rule.unit).astype(np.float32)
    beyond = np.isinf(labels)
    if beyond.any():
        problem = (
            f"'{column}', the label of task '{rule.name}': expected a number that a float32 "
            f"holds, found {numbers[np.argmax(beyond)]:g}"
        )
        sieve.refuse(beyond, "label", problem)
    return labels


def _binary_labels(
    raw: pa.Array, rule: TaskRule, column: str, missing: tuple[str, ...], sieve: Sieve
) -> LabelArray:
    text = as_text(raw, missing)
    labels = np.full(len(text.values), np.nan, np.float32)
    for code, value in enumerate(text.values):
        label = _binary_label(value, rule)
        if label is not None:
            labels[code] = label
            continue
        expected = "0 or 1"
        if rule.positive:
            expected = f"one of {', '.join(map(repr, rule.positive + rule.negative))}"
        sieve.refuse(
            text.codes == code,
            "label",
            f"'{column}', the label of task '{rule.name}': expected {expected}, found '{value}'",
        )
    return text.by_row(labels, np.nan)


def _binary_label(value: str, rule: TaskRule) -> float | None:
    """None for a value that the rule does not allow."""
    if not rule.positive:
        return ZERO_ONE.get(value.lower())
    if value in rule.positive:
        return 1.0
    if value in rule.negative or not rule.negative:
        return 0.0
    return None
