"""Fits an encoder on rows that come in parts, then encodes these rows from what was kept of them.

Kept are provisional codes (int32, one for each slot of a categorical or multi-valued field) and numbers (float64, one
for each numeric input): see `bench.data.spill`. No raw file is read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.core.arrays import Ids
from bench.core.errors import UserError, repeated
from bench.data.card import Card
from bench.data.codes import ABSENT, Codes, ColumnCodes, count_codes, look_up
from bench.data.columns import Categorical, MultiValued, Numeric, Vector
from bench.data.encoding.base import Source, Vocabulary
from bench.data.encoding.encoder import DensePart, Encoder, FieldPart
from bench.data.encoding.fields import (
    PAD,
    BucketField,
    CategoricalField,
    HistoryField,
    Lists,
    MultiValuedField,
    fitted_lists,
)
from bench.data.encoding.numeric import Dense, DistinctNumbers, NumericColumn, RunningMoments, VectorColumns
from bench.data.encoding.rates import RatesFitter
from bench.data.values import texts_of
from bench.system.progress import Progress, Silent

Mask = NDArray[np.bool_]


class _TextFitter:
    """Codes values by their spelling until all are known.

    Attributes:
        source: final after `finish`.
        spellings: one number in two spellings, if there is one.
        local: (V + 2,) local id of each code, the last two for UNKNOWN and ABSENT; final after `finish`.
    """

    def __init__(self, name: str, source: Source, min_count: int) -> None:
        self.name, self.source, self.min_count = name, source, min_count
        self.values, self.local = ColumnCodes(), np.zeros(2, np.int32)
        self.spellings: tuple[str, str] | None = None
        self._counts = np.zeros(1024, np.int64)  # rows of train for each code

    def texts(self, codes: Sequence[int]) -> list[str]:
        texts = self.values.texts(codes)
        if self.source.spelled or self.values.whole:
            return texts
        spelled = pa.array(texts, pa.string())
        normalised: list[str] = pc.coalesce(texts_of(spelled), spelled).to_pylist()
        return normalised

    def _count(self, codes: Codes, train: Mask) -> None:
        if (size := len(self.values)) > len(self._counts):
            self._counts.resize(max(size, len(self._counts) * 3 // 2), refcheck=False)  # the new end is zero
        count_codes(codes, train, self._counts)

    def _vocabulary(self, missing: int = 0) -> Vocabulary:
        """Values frequent enough in train, by falling count, then text; `missing` rows count as one without a text."""
        self.spellings = self.values.two_spellings()
        self.source = self.source.model_copy(update={"spelled": self.spellings is not None})
        counts = self._counts[: len(self.values)]
        codes = np.flatnonzero(counts >= self.min_count)
        texts: list[str | None] = [*self.texts(codes.tolist())]
        counts = counts[codes]
        if missing >= self.min_count:
            texts, codes, counts = [*texts, None], np.append(codes, ABSENT), np.append(counts, missing)
        counted = pa.table({"rows": counts, "text": pa.array(texts, pa.string())})
        order = pc.sort_indices(counted, [("rows", "descending"), ("text", "ascending")]).to_numpy()
        self.local = np.zeros(len(self.values) + 2, np.int32)
        self.local[codes[order]] = np.arange(1, len(order) + 1)
        return Vocabulary(values=tuple(counted["text"].take(pa.array(order)).to_pylist()))


class CategoricalFitter(_TextFitter):
    """Fits a column with one value a row."""

    width = 1

    def __init__(self, name: str, source: Source, min_count: int) -> None:
        super().__init__(name, source, min_count)
        self._missing = 0

    def take(self, table: pa.Table, train: Mask, grow: bool = True) -> Codes:
        """Codes (n, 1), ABSENT where missing; new values get codes, or are UNKNOWN unless `grow`."""
        codes = self.values.code_column(self.source.column_of(table), self.source.markers, grow)
        self._missing += int(np.count_nonzero(train & (codes == ABSENT)))
        self._count(codes[:, None], train)
        return codes[:, None]

    def finish(self) -> CategoricalField:
        """The field, with the values frequent enough in train."""
        vocabulary = self._vocabulary(self._missing)
        return CategoricalField(name=self.name, source=self.source, vocabulary=vocabulary)


class MultiValuedFitter(_TextFitter):
    """Fits a column with several values a row."""

    def __init__(self, name: str, source: Source, column: MultiValued, min_count: int) -> None:
        super().__init__(name, source, min_count)
        self.column, self.width = column, column.max_length

    def take(self, table: pa.Table, train: Mask, grow: bool = True) -> Codes:
        """Codes (n, slots), ABSENT after the last; values without a slot are neither coded nor counted."""
        lists = Lists(self.source, self.column.separator, self.width, self.column.keep)
        codes = fitted_lists(lists, self.values, table, grow)
        self._count(codes, train)
        return codes

    def finish(self) -> MultiValuedField:
        """The field, with the values frequent enough in train."""
        vocabulary = self._vocabulary()
        self.local[ABSENT] = PAD
        return MultiValuedField(
            name=self.name,
            source=self.source,
            separator=self.column.separator,
            slots=self.width,
            keep=self.column.keep,
            vocabulary=vocabulary,
        )


Numbers = NDArray[np.float64]


class Provisional(NamedTuple):
    """Rows as kept until train has been read: codes (n, C) and numbers (n, M)."""

    codes: Codes
    numbers: Numbers


class NumericFitter:
    """Fits a quantity and its ranges."""

    width = 1

    def __init__(self, name: str, source: Source, column: Numeric) -> None:
        self.name, self.source, self.column = name, source, column
        self.moments = RunningMoments(column.log1p)
        self._distinct = DistinctNumbers()

    def take(self, table: pa.Table, train: Mask) -> Numbers:
        """Numbers (n, 1), NaN where missing; fits on train rows."""
        numbers = self.source.numbers(table)
        self.add(numbers[train])
        return numbers[:, None]

    def add(self, numbers: Numbers) -> None:
        """Fits on numbers (n,) of train."""
        self.moments.add(numbers)
        self._distinct.add(numbers)

    def finish(self) -> tuple[NumericColumn, BucketField]:
        """The standardised column, and the ranges at train's quantiles."""
        column = NumericColumn.of_moments(self.name, self.source, self.column.missing_flag, self.moments)
        ranges = self._distinct.ranges()
        return column, BucketField(number=self.name, source=self.source, **ranges._asdict())


class VectorFitter:
    """Fits a vector column, each number as a quantity."""

    def __init__(self, name: str, source: Source, column: Vector) -> None:
        self.name, self.source, self.column, self.width = name, source, column, column.length
        self._moments = [RunningMoments() for _ in range(column.length)]
        self._lacking = False

    def take(self, table: pa.Table, train: Mask) -> Numbers:
        """Numbers (n, D), NaN where missing; fits on train rows."""
        numbers = self.source.vectors(table, self.column.length)
        for moments, column in zip(self._moments, numbers[train].T, strict=True):
            moments.add(column)
        self._lacking |= bool(np.isnan(numbers[train]).all(axis=1).any())
        return numbers

    def finish(self) -> VectorColumns:
        """The standardised columns."""
        parts = []
        for at, moments in enumerate(self._moments):
            part = NumericColumn.of_moments(f"{self.name}_{at}", self.source, False, moments)
            parts.append(part.model_copy(update={"flag": False}))
        flag = self.column.missing_flag or self._lacking
        return VectorColumns(name=self.name, source=self.source, parts=tuple(parts), flag=flag)


def _places(widths: Mapping[str, int]) -> dict[str, slice]:
    ends = accumulate(widths.values())
    return {name: slice(end - widths[name], end) for name, end in zip(widths, ends, strict=True)}


class EncoderFitter:
    """One fitter for each input of a card, and one for each column with target rates."""

    def __init__(self, card: Card) -> None:
        self.card, encoding = card, card.encoding
        self._fields: dict[str, CategoricalFitter | MultiValuedFitter] = {}
        self._numbers: dict[str, NumericFitter | VectorFitter] = {}
        self._rates: dict[str, RatesFitter] = {}
        for name, column in card.columns.items():
            source = Source(column=column.source or name, derive=column.derive, missing=card.missing)
            match column:
                case Numeric():
                    self._numbers[name] = NumericFitter(name, source, column)
                case Vector():
                    self._numbers[name] = VectorFitter(name, source, column)
                case Categorical():
                    self._fields[name] = CategoricalFitter(name, source, column.min_count or encoding.min_count)
                case MultiValued():
                    min_count = column.min_count or encoding.min_count
                    self._fields[name] = MultiValuedFitter(name, source, column, min_count)
        past = card.history
        self._lists = {rule.name: past.length for rule in past.list_rules} if past else {}
        self._past = {
            rule.name: NumericFitter(rule.name, Source(column=rule.name), Numeric(log1p=rule.kind != "rate"))
            for rule in (past.number_rules if past else ())
        }
        named = encoding.rate_tasks
        self._rated = [at for at, task in enumerate(card.tasks) if not named or task.name in named]
        tasks = tuple(card.tasks[at] for at in self._rated)
        for name in encoding.target_rates:
            self._rates[name] = RatesFitter(name, tasks, encoding.rate_smoothing, encoding.rate_folds, encoding.seed)
        self._at = _places({name: each.width for name, each in self._fields.items()} | self._lists)
        self._numbers_at = _places({name: each.width for name, each in (self._numbers | self._past).items()})
        self._encoder: Encoder | None = None

    def take(self, table: pa.Table, train: Mask, labels: NDArray[np.float32], grow: bool = True) -> Provisional:
        """Takes n rows of raw columns: fits on train rows, codes all. `labels` (n, T) are read by target rates only.

        If train rows may still come (`grow`), new values get codes.
        """
        empty = np.empty((len(train), 0))
        codes = [empty.astype(np.int32), *(each.take(table, train, grow) for each in self._fields.values())]
        numbers = [empty, *(each.take(table, train) for each in self._numbers.values())]
        rows = Provisional(np.concatenate(codes, axis=1), np.concatenate(numbers, axis=1))
        for name, rates in self._rates.items():
            own = np.ascontiguousarray(rows.codes[train, self._at[name].start])
            rates.take(own, np.ascontiguousarray(labels[train][:, self._rated]), len(self._fields[name].values))
        return rows

    def take_past(self, numbers: Numbers) -> None:
        """Fits on numbers (n, M) of train's history."""
        for at, fitter in enumerate(self._past.values()):
            fitter.add(numbers[:, at])

    def columns_of(self, names: Iterable[str]) -> list[int]:
        """Indices of categorical inputs among the C codes of a kept row."""
        return [self._at[name].start for name in names]

    def finish(self, progress: Progress | None = None) -> Encoder:
        """Returns the encoder, fitted on all of train, with notes for the user; UserError for two parts of one name."""
        fields: list[FieldPart] = []
        ranges: list[BucketField] = []
        dense: list[DensePart] = []
        note = (progress or Silent()).note
        for text in self._fields.values():
            fields.append(text.finish())
            if text.spellings is not None:
                both = " and as ".join(map(repr, text.spellings))
                note(
                    f"{self.card.key}: '{text.name}' has one number as {both}: they are two categories; where they "
                    "mean the same, write all numbers in one way"
                )
        if (history := self.card.history) is not None:
            for rule in history.list_rules:
                source = Source(column=rule.name, missing=self.card.missing)
                fields.append(HistoryField(name=rule.name, source=source, of=rule.of, slots=history.length))
        for name, numeric in (self._numbers | self._past).items():
            if isinstance(numeric, VectorFitter):
                dense.append(numeric.finish())
                continue
            column, of_number = numeric.finish()
            dense.append(column)
            ranges.append(of_number)
            if name in self._numbers and (left_out := numeric.moments.robust().left_out):
                note(
                    f"{self.card.key}: '{name}' has {left_out:,} values in train that are far from all others: its "
                    f"mean and deviation are without them, and it is cut at {column.low:.4g} and {column.high:.4g}"
                    f"{', after the logarithm' if column.log1p else ''}"
                )
        for name, rates in self._rates.items():
            dense.append(rates.finish(self._fields[name].source, self._fields[name].texts))
        self._encoder = encoder = Encoder(fields=(*fields, *ranges), dense=tuple(dense))
        if (twice := repeated([*(part.name for part in encoder.fields), *encoder.dense_names])) is not None:
            raise UserError(f"{self.card.key}: two inputs would be called '{twice}'; rename one of the columns")
        self._fix(self._encoder)
        return self._encoder

    def encode(self, rows: Provisional, start: int | None) -> tuple[Ids, Dense]:
        """Encodes kept rows as ids (n, S) and dense (n, D), equal to `Encoder.encode` of the raw rows.

        With a history, its lists follow the codes, its numbers the numbers. Train rows get out-of-fold target rates, by
        their index within train from `start` on; other rows have None.
        """
        assert self._encoder is not None
        number = {name: rows.numbers[:, at.start] for name, at in self._numbers_at.items()}
        count, width = rows.codes.shape
        ids = np.empty((count, width + len(self._ranges)), np.int32)
        look_up(rows.codes, self._first, self._table, ids)
        for last, (ranges, offset) in enumerate(self._ranges, width):
            ids[:, last] = offset + ranges.encode_numbers(number[ranges.number])[:, 0]
        columns = [np.empty((count, 0), np.float32)]
        for part in self._encoder.dense:
            if isinstance(part, NumericColumn):
                columns.append(part.encode_numbers(number[part.name]))
            elif isinstance(part, VectorColumns):
                columns.append(part.encode_numbers(rows.numbers[:, self._numbers_at[part.name]]))
            else:
                columns.append(self._rates[part.name].dense(rows.codes[:, self._at[part.name].start], start))
        return ids, np.concatenate(columns, axis=1)

    def _fix(self, encoder: Encoder) -> None:
        """Builds the table from code to row; rows for UNKNOWN and ABSENT precede those of a field's code 0."""
        self._ranges = list[tuple[BucketField, int]]()
        self._first = np.zeros(max((at.stop for at in self._at.values()), default=0), np.int64)
        tables = [np.empty(0, np.int32)]
        for part, offset in zip(encoder.fields, encoder.schema_of(()).offsets, strict=True):
            if isinstance(part, BucketField):
                self._ranges.append((part, offset))
                continue
            local = np.roll(self._fields[part.of if isinstance(part, HistoryField) else part.name].local, 2)
            if isinstance(part, HistoryField):
                local[:2] = PAD
            self._first[self._at[part.name]] = sum(map(len, tables)) + 2
            tables.append(np.where(local == PAD, 0, local + offset).astype(np.int32))
        self._table = np.concatenate(tables)
