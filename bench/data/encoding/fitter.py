"""Fits an encoder on rows that come in parts, then encodes these rows from what was kept of them.

Kept are provisional codes (int32, one for each slot of a categorical or multi-valued field) and
numbers (float64, one for each numeric input): see `bench.data.two_passes`. No raw file is read
twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bench.core.arrays import Floats, Ids, Mask, Singles
from bench.core.errors import UserError, repeated
from bench.core.system.progress import Progress, Silent
from bench.data.card import Card
from bench.data.codes import Codes, look_up
from bench.data.columns.base import PAD, DensePart, FieldPart, Fitter, Part, Quantity, Source
from bench.data.columns.categorical import CategoricalField
from bench.data.columns.multi_valued import MultiValuedField
from bench.data.columns.numeric import BucketField, Numeric, NumericFitter
from bench.data.columns.vocabulary import ValueFitter
from bench.data.encoding.encoder import AnyDense, AnyField, Encoder, HistoryField
from bench.data.encoding.rates import RatesFitter, TargetRates


class Provisional(NamedTuple):
    """Rows as kept until train has been read: codes (n, C) and numbers (n, M)."""

    codes: Codes
    numbers: Floats


def _append(columns: dict[str, slice], name: str, width: int) -> None:
    """Gives a name the next columns after those that are taken."""
    start = max((taken.stop for taken in columns.values()), default=0)
    columns[name] = slice(start, start + width)


class EncoderFitter:
    """One fitter for each input of a card, and one for each column with target rates.

    Args:
        before: an earlier encoder of the card, which is not fitted again: only values that it does
            not know are added, and target rates are computed again, in the earlier units.
    """

    def __init__(self, card: Card, before: Encoder | None = None) -> None:
        self.card = card
        self._before = dict[tuple[str, str], Part]()
        if before is not None:
            self._before = {(part.kind, part.name): part for part in before.inputs}
        self._values = dict[str, ValueFitter]()
        self._numbers = dict[str, Fitter]()
        self._add_inputs(card)
        self._lists = list[HistoryField]()
        self._past_numbers = dict[str, NumericFitter]()
        self._add_history(card)
        self._rates = dict[str, RatesFitter]()
        self._rated_tasks = list[int]()
        self._add_rates(card)

        self._slots = dict[str, slice]()
        for name, fitter in self._values.items():
            _append(self._slots, name, fitter.width)
        for part in self._lists:
            _append(self._slots, part.name, part.slots)
        self._number_columns = dict[str, slice]()
        for name, number_fitter in (self._numbers | self._past_numbers).items():
            _append(self._number_columns, name, number_fitter.width)
        self._encoder: Encoder | None = None

    def _add_inputs(self, card: Card) -> None:
        for name, column in card.columns.items():
            source = column.source_of(name, card.missing)
            fitter = column.fitter(name, source, card.encoding.min_count)
            if not isinstance(fitter, ValueFitter):
                self._numbers[name] = fitter
                continue
            self._values[name] = fitter
            part = self._before.get((column.kind, name))
            if isinstance(part, CategoricalField | MultiValuedField):
                fitter.before = part.vocabulary.values

    def _add_history(self, card: Card) -> None:
        history = card.history
        if history is None:
            return
        for rule in history.list_rules:
            source = Source(column=rule.name, missing=card.missing)
            field = HistoryField(name=rule.name, source=source, of=rule.of, slots=history.length)
            self._lists.append(field)
        for number in history.number_rules:
            column = Numeric(log1p=number.kind != "rate")
            source = Source(column=number.name)
            self._past_numbers[number.name] = NumericFitter(number.name, source, column)

    def _add_rates(self, card: Card) -> None:
        encoding = card.encoding
        tasks = []
        for t, task in enumerate(card.tasks):
            if not encoding.rate_tasks or task.name in encoding.rate_tasks:
                self._rated_tasks.append(t)
                tasks.append(task)
        for name in encoding.target_rates:
            self._rates[name] = RatesFitter(
                name, tuple(tasks), encoding.rate_smoothing, encoding.rate_folds, encoding.seed
            )

    def take(
        self,
        table: pa.Table,
        train: Mask,
        labels: Singles,
        grow: bool = True,
        rated: Mask | None = None,
    ) -> Provisional:
        """Takes n rows of raw columns: fits on train rows, codes all. `labels` (n, T) are read by
        target rates only.

        If train rows may still come (`grow`), new values get codes. Target rates are of the rows
        `rated`, by default those of train.
        """
        rated = train if rated is None else rated
        codes = [np.empty((len(train), 0), np.int32)]
        for fitter in self._values.values():
            codes.append(fitter.take(table, train, grow))
        numbers = [np.empty((len(train), 0))]
        for number_fitter in self._numbers.values():
            numbers.append(number_fitter.take(table, train, grow))
        rows = Provisional(np.concatenate(codes, axis=1), np.concatenate(numbers, axis=1))
        for name, rates in self._rates.items():
            rated_codes = np.ascontiguousarray(rows.codes[rated, self._slots[name].start])
            rated_labels = np.ascontiguousarray(labels[rated][:, self._rated_tasks])
            rates.take(rated_codes, rated_labels, len(self._values[name].values))
        return rows

    def take_past(self, numbers: Floats) -> None:
        """Fits on numbers (n, M) of train's history."""
        for column, fitter in enumerate(self._past_numbers.values()):
            fitter.add(numbers[:, column])

    def columns_of(self, names: Iterable[str]) -> list[int]:
        """Indices of categorical inputs among the C codes of a kept row."""
        return [self._slots[name].start for name in names]

    def finish(self, progress: Progress | None = None) -> Encoder:
        """Returns the encoder, fitted on all of train, with notes for the user; UserError for two
        parts of one name.
        """
        parts: list[Part] = []
        for fitter in self._values.values():
            parts += fitter.finish()
        parts += self._lists
        for number_fitter in (self._numbers | self._past_numbers).values():
            for part in number_fitter.finish():
                parts.append(self._before.get((part.kind, part.name), part))
        note = (progress or Silent()).note
        for column_fitter in (*self._values.values(), *self._numbers.values()):
            for sentence in column_fitter.notes():
                note(f"{self.card.key}: {sentence}")
        for name, rates in self._rates.items():
            values = self._values[name]
            parts.append(rates.finish(values.source, values.texts, self._rates_before(name)))

        fields: list[AnyField] = []
        dense: list[AnyDense] = []
        for part in parts:
            if isinstance(part, DensePart):
                dense.append(part)
            elif isinstance(part, FieldPart | HistoryField):
                fields.append(part)
        encoder = Encoder(fields=tuple(fields), dense=tuple(dense))
        self._check(encoder)
        self._encoder = encoder
        self._build_table(encoder)
        return encoder

    def _check(self, encoder: Encoder) -> None:
        inputs = {(part.kind, part.name) for part in encoder.inputs}
        differing = sorted(name for _, name in inputs ^ self._before.keys())
        if self._before and differing:
            raise UserError(
                f"{self.card.key}: expected the inputs of the model to start from, found in one of "
                f"both alone: {', '.join(differing)}"
            )
        fields = [part.name for part in encoder.fields]
        twice = repeated([*fields, *encoder.dense_names])
        if twice is not None:
            raise UserError(
                f"{self.card.key}: two inputs would be called '{twice}'; rename one of the columns"
            )

    def _rates_before(self, name: str) -> TargetRates | None:
        part = self._before.get(("target_rates", name))
        return part if isinstance(part, TargetRates) else None

    def encode(self, rows: Provisional, start: int | None) -> tuple[Ids, Singles]:
        """Encodes kept rows as ids (n, S) and dense (n, D), equal to `Encoder.encode` of the raw
        rows.

        With a history, its lists follow the codes, its numbers the numbers. Train rows get
        out-of-fold target rates, by their index within train from `start` on; other rows have None.
        """
        assert self._encoder is not None
        number = {}
        for name, columns in self._number_columns.items():
            number[name] = rows.numbers[:, columns]
        count, width = rows.codes.shape
        ids = np.empty((count, width + len(self._ranges)), np.int32)
        look_up(rows.codes, self._first, self._table, ids)
        for slot, (ranges, offset) in enumerate(self._ranges, width):
            ids[:, slot] = offset + ranges.encode_numbers(number[ranges.number])[:, 0]
        dense = [np.empty((count, 0), np.float32)]
        for part in self._encoder.dense:
            if isinstance(part, TargetRates):
                codes = rows.codes[:, self._slots[part.name].start]
                dense.append(self._rates[part.name].dense(codes, start))
            elif isinstance(part, Quantity):
                dense.append(part.encode_numbers(number[part.name]))
        return ids, np.concatenate(dense, axis=1)

    def _build_table(self, encoder: Encoder) -> None:
        """Builds the table from code to row; rows for UNKNOWN and ABSENT precede those of a field's
        code 0.
        """
        self._ranges = list[tuple[BucketField, int]]()
        widths = [columns.stop - columns.start for columns in self._slots.values()]
        self._first = np.zeros(sum(widths), np.int64)
        tables = [np.empty(0, np.int32)]
        size = 0
        for part, offset in zip(encoder.fields, encoder.schema_of(()).offsets, strict=True):
            if isinstance(part, BucketField):
                self._ranges.append((part, offset))
                continue
            if isinstance(part, HistoryField):
                local = np.roll(self._values[part.of].local, 2)
                local[:2] = PAD
            else:
                local = np.roll(self._values[part.name].local, 2)
            self._first[self._slots[part.name]] = size + 2
            tables.append(np.where(local == PAD, 0, local + offset).astype(np.int32))
            size += len(local)
        self._table = np.concatenate(tables)
