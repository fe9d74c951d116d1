"""Scores raw rows, from a data frame or JSON records, encoded as in training: every task's
probability, and one score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from bench.core.arrays import Floats, Ids, Mask, Singles
from bench.core.errors import UserError
from bench.core.schema import SCORE, Schema
from bench.data.checks import Place, Rejects, Sieve, checked
from bench.data.columns.base import Reads, read_as
from bench.data.encoding.encoder import Encoder
from bench.data.values import canonical
from bench.deciding.score import Score, prediction_names
from bench.serve.bounds import ROWS
from bench.serve.calibration_maps import Calibration, all_prediction_names
from bench.serve.engines import Engine
from bench.serve.kept_history import KeptHistory

_LISTS = (list, tuple, np.ndarray)
_NUMBERS = (int, float, np.number)
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
        kinds = read_as((part.source.column, part.wanted) for part in parts)
        required = {part.source.column for part in parts if part.needed}
        computed = () if history is None else history.columns
        columns: dict[str, RawColumn] = {}
        if history is not None:
            for name, needed in history.needed.items():
                columns[name] = RawColumn(name, needed, False)
        for name, kind in kinds.items():
            if name not in computed:
                columns[name] = RawColumn(name, kind, name not in required)
        self.columns = tuple(columns.values())
        self.kinds = {name: column.kind for name, column in columns.items()}
        self._history = history

        markers: dict[str, None] = {}
        checks = {}
        for part in parts:
            markers |= dict.fromkeys(part.source.missing)
            column = part.source.column
            checks[column, part.kind] = column, part.check
        self._markers = tuple(markers)
        self._checks = list(checks.values())

    def table(self, rows: Any) -> pa.Table:
        """Converts rows to a checked Arrow table (N, columns): numbers where numbers are needed,
        UTF-8 in texts.

        Rows are a data frame, an Arrow table, or a sequence of mappings; further columns are
        ignored. Raises UserError for an absent required column, or a value that does not fit, with
        the row, counted from 1.
        """
        return self.checked(self.arrow(rows), numbered)

    def checked(self, table: pa.Table, place: Place) -> pa.Table:
        """Checks an Arrow table's columns as `table` does; absent optional ones are missing in each
        row.
        """
        rows = table.num_rows
        names = set(table.column_names)
        absent = self.absent(names) if rows else []
        if absent:
            columns = ", ".join(table.column_names) or "none"
            raise UserError(
                f"expected a column '{absent[0]}' in every row, found the columns {columns}"
            )
        arrays = {}
        for column in self.columns:
            if column.name in names:
                arrays[column.name] = table[column.name]
            elif column.kind == "vector":
                arrays[column.name] = pa.nulls(rows)
            else:
                arrays[column.name] = pa.nulls(rows, pa.string())
        for column in self.columns:
            if column.kind in _EXACT:
                _refuse_rounded_ids(column.name, arrays[column.name], place)

        sieve = Sieve(Rejects(), place, rows)
        table = checked(pa.table(arrays), self.kinds, self._markers, sieve, self._checks)
        return table if self._history is None else self._history.with_history(table)

    def absent(self, names: Collection[str]) -> list[str]:
        """Required columns that are not among these names; all columns if the names include
        none.
        """
        absent = [column for column in self.columns if column.name not in names]
        if len(absent) < len(self.columns):
            absent = [column for column in absent if not column.optional]
        return [column.name for column in absent]

    def arrow(self, rows: Any) -> pa.Table:
        """Rows as an Arrow table of the model's columns that they have."""
        if isinstance(rows, pa.Table):
            return rows
        frame = rows if isinstance(rows, pd.DataFrame) else _frame(rows)
        counts = Counter(frame.columns)
        arrays = {}
        for column in self.columns:
            name = column.name
            if counts[name] > 1:
                raise UserError(f"expected each column once, found '{name}' {counts[name]} times")
            if name in counts:
                arrays[name] = _array(frame[name], column)
        if not arrays:  # a table without columns has no rows
            names = list(map(str, counts)) or [""]
            arrays = dict.fromkeys(names, pa.nulls(len(frame)))
        return pa.table(arrays)


def _refuse_rounded_ids(name: str, column: pa.ChunkedArray, place: Place) -> None:
    if pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False)
        rounded = _may_be_rounded(values)
        if rounded.any():
            row = int(np.argmax(rounded))
            raise UserError(f"{place(row)}: {_sentence_of_rounded(name, values[row])}")


def _may_be_rounded(values: ArrayLike) -> Mask:
    """Which floats (N,) may be a rounded id of 64 bits: so large that not every whole number is a
    float.
    """
    floats = np.asarray(values)
    sizes: Floats = np.abs(floats, dtype=np.float64)
    least = 2.0 ** (np.finfo(floats.dtype).nmant + 1)
    return (sizes >= least) & (sizes <= 2.0**64)


def _sentence_of_rounded(name: str, value: float | np.floating) -> str:
    return (
        f"'{name}': expected an id as a whole number or a text, found the float {value:.0f}, "
        "which has lost digits"
    )


def numbered(row: int) -> str:
    """Names a row by its number in a request, from 1 on."""
    return f"row {row + 1}"


def _frame(rows: object) -> pd.DataFrame:
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
    columns: dict[str, None] = {}
    for row in rows:
        columns |= dict.fromkeys(row)
    frame = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        frame[name] = pd.Series(values, dtype=object)
    return pd.DataFrame(frame)


def _array(series: pd.Series[Any], column: RawColumn) -> pa.Array:
    if series.dtype != object:
        return pa.array(series, from_pandas=True)
    values = series.tolist()
    rows = enumerate(values, 1)
    if column.kind == "list" and any(type(value) in _LISTS for value in values):
        lists = [_list(value, column, row) for row, value in rows]
        return pa.array(lists, pa.list_(pa.string()))
    if column.kind == "vector":
        vectors = [_vector(value, column, row) for row, value in rows]
        return pa.array(vectors, pa.list_(pa.float64()))
    texts = [_text(value, column, row) for row, value in rows]
    return pa.array(texts, pa.string())


def _list(value: Any, column: RawColumn, row: int) -> list[str | None] | None:
    if type(value) in _LISTS:
        return [_text(member, column, row) for member in value]
    text = _text(value, column, row)
    if text is not None:
        raise UserError(
            f"row {row}: '{column.name}': expected a list, as other rows have, found '{text}'"
        )
    return None


def _vector(value: Any, column: RawColumn, row: int) -> list[float] | None:
    if value is None:
        return None
    if type(value) in _LISTS and all(isinstance(number, _NUMBERS) for number in value):
        return [float(number) for number in value]
    raise UserError(
        f"row {row}: '{column.name}': expected a list of numbers, found {str(value)[:40]!r}"
    )


def _text(value: object, column: RawColumn, row: int) -> str | None:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    word = _WORDS.get(type(value))
    if word is not None:
        expected = _EXPECTED[column.kind]
        raise UserError(f"row {row}: '{column.name}': expected {expected}, found {word}")
    if isinstance(value, (float, np.floating)) and column.kind in _EXACT and _may_be_rounded(value):
        raise UserError(f"row {row}: {_sentence_of_rounded(column.name, value)}")
    if isinstance(value, np.floating):
        return canonical(float(str(value)))
    return canonical(value.item() if isinstance(value, np.generic) else value)


def example_rows(encoder: Encoder) -> pd.DataFrame:
    """A few rows by raw column: train's most frequent categories, and mean numbers."""
    examples: dict[str, list[object]] = {}
    for part in encoder.inputs:
        examples.setdefault(part.source.column, part.examples())
    frame = {}
    for name in RawRows(encoder).kinds:
        frame[name] = pd.Series(examples[name], dtype=object)
    return pd.DataFrame(frame)


@contextmanager
def made_for(package_dataset: str, dataset: str) -> Iterator[None]:
    """Prefixes a UserError inside it if a package was made for another data set."""
    try:
        yield
    except UserError as error:
        if package_dataset == dataset:
            raise
        raise UserError(
            f"expected a package made for {dataset}, found one made for {package_dataset}: {error}"
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
        self.schema = schema
        self.engine = engine
        self.calibrations = dict(calibrations)
        self.rows = RawRows(encoder, history)
        self.score = score.of(schema.tasks)
        self.dataset = dataset
        self.names = (*all_prediction_names(schema.tasks), SCORE)
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
        conditional_chunks = []
        joint_chunks = []
        for start in range(0, max(len(ids), 1), CHUNK):
            rows = slice(start, start + CHUNK)
            conditional, joint = self.engine(ids[rows], dense[rows])
            conditional_chunks.append(conditional)
            joint_chunks.append(joint)
        conditional = np.concatenate(conditional_chunks)
        joint = np.concatenate(joint_chunks)

        named = scored(self.schema, conditional, joint, self.calibrations, self.score)
        for name, values in named.items():
            fits = np.abs(values) <= _LARGEST
            if not fits.all():
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
    raw: dict[str, Singles] = {}
    for column, task in enumerate(schema.tasks):
        for name, predictions in zip(prediction_names(task), (conditional, joint), strict=False):
            raw[name] = predictions[:, column]

    named = {}
    for name, predictions in raw.items():
        named[name] = predictions.astype(np.float64)
        if name in calibrations:
            named[name] = calibrations[name].apply(named[name])
    with np.errstate(over="ignore", invalid="ignore"):
        named[SCORE] = score.apply(raw if score.on == "raw" else named)
    return named
