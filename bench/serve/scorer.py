"""Scores raw rows, from a data frame or JSON records, encoded as in training: every task's
probability, and one score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.core.arrays import Floats, Ids, Singles
from bench.core.errors import UserError
from bench.core.schema import SCORE, Schema
from bench.data.checks import Place, Rejects, Sieve, checked
from bench.data.columns.base import Reads, read_as
from bench.data.encoding.encoder import Encoder
from bench.data.values import canonical
from bench.deciding.score import Score, prediction_names
from bench.serve.bounds import ROWS
from bench.serve.calibration import Calibration
from bench.serve.engines import Engine
from bench.serve.kept_history import KeptHistory

_LISTS = (list, tuple, np.ndarray)
_EXACT = ("text", "list")  # kinds whose values are compared as texts
_EXPECTED = {
    "number": "a number",
    "text": "a text or a number",
    "list": "a text, a number or a list of these",
}
_WORDS = dict.fromkeys((*_LISTS, set), "a list") | {dict: "an object"}


@dataclass(frozen=True)
class RawColumn:
    """A raw column that a model reads.

    Its kind is `number` if it is used as one anywhere, `list` (which may be one text) or `vector`
    if only so, else `text`. Rows may lack it if it is `optional`: the model has learnt missing
    values, or a list may be empty.
    """

    name: str
    kind: Reads
    optional: bool


class RawRows:
    """The raw columns of an encoder; `history` computes columns that rows then need not have."""

    def __init__(self, encoder: Encoder, history: KeptHistory | None = None) -> None:
        parts = [*encoder.fields, *encoder.dense]
        needed = {part.source.column for part in parts if part.needed}
        self.markers = tuple(
            dict.fromkeys(marker for part in parts for marker in part.source.missing)
        )
        kinds = read_as((part.source.column, part.wanted) for part in parts)
        self.columns = tuple(
            RawColumn(name, kind, name not in needed) for name, kind in kinds.items()
        )
        checks = {(part.source.column, part.kind): part.check for part in parts}
        self._checks = [(name, check) for (name, _), check in checks.items()]
        self._history = history
        if history is not None:
            own = {
                column.name: column for column in self.columns if column.name not in history.made
            }
            more = {name: RawColumn(name, kind, False) for name, kind in history.needed.items()}
            self.columns = tuple((more | own).values())

    def table(self, rows: Any) -> pa.Table:
        """Converts rows to a checked Arrow table (N, columns): numbers where numbers are needed,
        UTF-8 in texts.

        Rows are a data frame, an Arrow table, or a sequence of mappings; further columns are
        ignored. Raises UserError for an absent required column, or a value that does not fit, with
        the row, counted from 1.
        """
        return self.checked(self._arrow(rows), numbered)

    def checked(self, table: pa.Table, place: Place) -> pa.Table:
        """Checks an Arrow table's columns as `table` does; absent optional ones are missing in each
        row.
        """
        if table.num_rows and (absent := self.absent(table.column_names)):
            columns = ", ".join(table.column_names) or "none"
            raise UserError(
                f"expected a column '{absent[0]}' in every row, found the columns {columns}"
            )
        given, none = (
            set(table.column_names),
            (pa.nulls(table.num_rows, pa.string()), pa.nulls(table.num_rows)),
        )
        table = pa.table(
            {
                c.name: table[c.name] if c.name in given else none[c.kind == "vector"]
                for c in self.columns
            }
        )
        for column in self.columns:
            if column.kind in _EXACT and pa.types.is_floating(table[column.name].type):
                values = table[column.name].to_numpy(zero_copy_only=False)
                if (rounded := _rounded(values)).any():
                    at = int(np.argmax(rounded))
                    raise UserError(f"{place(at)}: {_said_of_rounded(column.name, values[at])}")
        wanted = {column.name: column.kind for column in self.columns}
        table = checked(
            table, wanted, self.markers, Sieve(Rejects(), place, table.num_rows), self._checks
        )
        return table if self._history is None else self._history.beside(table)

    def absent(self, names: Sequence[str]) -> list[str]:
        """Required columns that are not among these names; all columns if the names include
        none.
        """
        given = set(names)
        none = given.isdisjoint(column.name for column in self.columns)
        return [c.name for c in self.columns if c.name not in given and (none or not c.optional)]

    def _arrow(self, rows: Any) -> pa.Table:
        if isinstance(rows, pa.Table):
            return rows
        frame = rows if isinstance(rows, pd.DataFrame) else _frame(rows)
        names = Counter(frame.columns)
        wanted = [column for column in self.columns if column.name in names]
        for column in wanted:
            if names[column.name] > 1:
                raise UserError(
                    f"expected each column once, found '{column.name}' {names[column.name]} times"
                )
        arrays = {column.name: _array(frame[column.name], column) for column in wanted}
        if not arrays:  # a table without columns has no rows
            arrays = {str(name): pa.nulls(len(frame)) for name in names or [""]}
        return pa.table(arrays)


def _rounded(values: Any) -> Any:
    """Which floats (N,) may be a rounded id of 64 bits: so large that not every whole number is a
    float.
    """
    values = np.asarray(values)
    sizes = np.abs(values, dtype=np.float64)
    return (sizes >= 2.0 ** (np.finfo(values.dtype).nmant + 1)) & (sizes <= 2.0**64)


def _said_of_rounded(name: str, value: float | np.floating) -> str:
    return (
        f"'{name}': expected an id as a whole number or a text, found the float {value:.0f}, "
        "which has lost digits"
    )


def numbered(row: int) -> str:
    """Names a row by its number in a request, from 1 on."""
    return f"row {row + 1}"


def _frame(rows: Any) -> pd.DataFrame:
    if isinstance(rows, Mapping) or not isinstance(rows, Sequence) or isinstance(rows, str):
        raise UserError(
            f"expected rows as a data frame or a list of objects, found {type(rows).__name__}"
        )
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise UserError(
                f"row {number}: expected an object of columns and values, found "
                f"{type(row).__name__}"
            )
    names = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names}
    )


def _array(series: Any, column: RawColumn) -> pa.Array:
    if series.dtype != object:
        return pa.array(series, from_pandas=True)
    values = series.tolist()
    if column.kind == "list" and any(type(value) in _LISTS for value in values):
        lists = [_list(value, column, row) for row, value in enumerate(values, 1)]
        return pa.array(lists, pa.list_(pa.string()))
    if column.kind == "vector":
        return pa.array(
            [_vector(value, column, row) for row, value in enumerate(values, 1)],
            pa.list_(pa.float64()),
        )
    texts = [_text(value, column, row) for row, value in enumerate(values, 1)]
    return pa.array(texts, pa.string())


def _list(value: Any, column: RawColumn, row: int) -> list[str | None] | None:
    if type(value) in _LISTS:
        return [_text(item, column, row) for item in value]
    if (text := _text(value, column, row)) is not None:
        raise UserError(
            f"row {row}: '{column.name}': expected a list, as other rows have, found '{text}'"
        )
    return None


def _vector(value: Any, column: RawColumn, row: int) -> list[float] | None:
    if value is None:
        return None
    if type(value) in _LISTS and all(isinstance(item, (int, float, np.number)) for item in value):
        return [float(item) for item in value]
    raise UserError(
        f"row {row}: '{column.name}': expected a list of numbers, found {str(value)[:40]!r}"
    )


def _text(value: Any, column: RawColumn, row: int) -> str | None:
    if value is None or isinstance(value, str) or value is pd.NA or value is pd.NaT:
        return value if isinstance(value, str) else None
    if (word := _WORDS.get(type(value))) is not None:
        expected = _EXPECTED[column.kind]
        raise UserError(f"row {row}: '{column.name}': expected {expected}, found {word}")
    if isinstance(value, (float, np.floating)) and column.kind in _EXACT and _rounded(value):
        raise UserError(f"row {row}: {_said_of_rounded(column.name, value)}")
    if isinstance(value, np.generic):
        value = float(str(value)) if isinstance(value, np.floating) else value.item()
    return canonical(value)


def example_rows(encoder: Encoder) -> pd.DataFrame:
    """A few rows by raw column: train's most frequent categories, and mean numbers."""
    examples: dict[str, list[Any]] = {}
    for part in encoder.inputs:
        examples.setdefault(part.source.column, part.examples())
    columns = [column.name for column in RawRows(encoder).columns]
    return pd.DataFrame({name: pd.Series(examples[name], dtype=object) for name in columns})


@contextmanager
def made_for(dataset: str, given: str) -> Iterator[None]:
    """Prefixes a UserError inside it if a package was made for another data set than `given`."""
    try:
        yield
    except UserError as error:
        if dataset == given:
            raise
        raise UserError(
            f"expected a package made for {given}, found one made for {dataset}: {error}"
        ) from None


CHUNK = ROWS
_LARGEST = float(np.finfo(np.float32).max)


class Scorer:
    """A model with its encoder, calibrations and score, which is the last of the predictions'
    `names`.
    """

    def __init__(
        self,
        schema: Schema,
        encoder: Encoder,
        engine: Engine,
        calibrations: Mapping[str, Calibration],
        score: Score,
        dataset: str,
        history: KeptHistory | None = None,
    ) -> None:
        self.schema, self.engine, self.calibrations = schema, engine, dict(calibrations)
        self.rows = RawRows(encoder, history)
        self.score, self.dataset = score.of(schema.tasks), dataset
        self.names = (*(name for task in schema.tasks for name in prediction_names(task)), SCORE)
        self._encoder = encoder

    def predict(self, rows: Any) -> pd.DataFrame:
        """Predictions (N, names) of raw rows, in order; raises UserError, with column and row, for
        a row that does not fit.

        A task without parent has its probability, `click`; one with a parent the conditional and
        the joint one, `purchase.cvr` and `purchase.ctcvr`, each with the calibration of its name; a
        regression its value; and there is `score`. Values that train lacked are unknown, and empty
        ones missing, as in training. No rows give no predictions.
        """
        return pd.DataFrame(self.predict_table(self.rows.table(rows)))

    def predict_table(self, table: pa.Table) -> dict[str, Floats]:
        """Name -> predictions (N,) of a checked Arrow table, see `RawRows.checked`."""
        return self.predict_encoded(*self.encode(table))

    def encode(self, table: pa.Table) -> tuple[Ids, Singles]:
        """Encodes a checked Arrow table as ids (N, S) and dense (N, D)."""
        return self._encoder.encode(table)

    def predict_encoded(
        self, ids: Ids, dense: Singles, place: Place = numbered
    ) -> dict[str, Floats]:
        """Predictions by name (N,) of ids (N, S), dense (N, D); raises UserError, naming the row,
        if beyond float32.
        """
        starts = range(0, max(len(ids), 1), CHUNK)
        predictions = [
            self.engine(ids[start : start + CHUNK], dense[start : start + CHUNK])
            for start in starts
        ]
        conditional, joint = (np.concatenate(each) for each in zip(*predictions, strict=True))
        named = scored(self.schema, conditional, joint, self.calibrations, self.score)
        for name, values in named.items():
            if not (fits := np.abs(values) <= _LARGEST).all():
                row = int(np.argmin(fits))
                raise UserError(
                    f"{place(row)}: expected a finite number as '{name}', found {values[row]:g}"
                )
        return named


def scored(
    schema: Schema,
    conditional: Singles,
    joint: Singles,
    calibrations: Mapping[str, Calibration],
    score: Score,
) -> dict[str, Floats]:
    """Name -> calibrated predictions (N,), and `score`, from a model's predictions (N, T)."""
    columns = {
        name: values[:, at]
        for at, task in enumerate(schema.tasks)
        for name, values in zip(prediction_names(task), (conditional, joint), strict=False)
    }
    named = {name: values.astype(np.float64) for name, values in columns.items()}
    named |= {
        name: calibrations[name].apply(values)
        for name, values in named.items()
        if name in calibrations
    }
    with np.errstate(over="ignore", invalid="ignore"):
        named[SCORE] = score.apply(columns if score.on == "raw" else named)
    return named
