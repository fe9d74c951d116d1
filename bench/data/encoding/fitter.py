"""Fits an encoder on rows that come in parts, then encodes these rows from what was kept of them.

Kept are provisional codes (int32, one for each slot of a categorical or multi-valued field) and
numbers (float64, one for each numeric input): see `bench.data.two_passes`. No raw file is read
twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
from bench.data.encoding.encoder import Encoder, HistoryField
from bench.data.encoding.rates import RatesFitter, TargetRates


class Provisional(NamedTuple):
    """Rows as kept until train has been read: codes (n, C) and numbers (n, M)."""

    codes: Codes
    numbers: Floats


def _slices(widths: Mapping[str, int]) -> dict[str, slice]:
    """Name -> its columns, where those of all names stand side by side."""
    slices = {}
    end = 0
    for name, width in widths.items():
        slices[name] = slice(end, end + width)
        end += width
    return slices


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

        widths = {name: fitter.width for name, fitter in self._values.items()}
        widths |= {part.name: part.slots for part in self._lists}
        self._slots = _slices(widths)
        number_fitters = self._numbers | self._past_numbers
        self._number_columns = _slices(
            {name: fitter.width for name, fitter in number_fitters.items()}
        )
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
        names = encoding.rate_tasks or [task.name for task in card.tasks]
        self._rated_tasks = [t for t, task in enumerate(card.tasks) if task.name in names]
        tasks = tuple(card.tasks[t] for t in self._rated_tasks)
        for name in encoding.target_rates:
            self._rates[name] = RatesFitter(
                name, tasks, encoding.rate_smoothing, encoding.rate_folds, encoding.seed
            )

    def take(
        self,
        table: pa.Table,
        train: Mask,
        labels: NDArray[np.float32],
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
        codes += [fitter.take(table, train, grow) for fitter in self._values.values()]
        numbers = [np.empty((len(train), 0))]
        numbers += [fitter.take(table, train, grow) for fitter in self._numbers.values()]
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
        for noted in (*self._values.values(), *self._numbers.values()):
            for sentence in noted.notes():
                note(f"{self.card.key}: {sentence}")
        for name, rates in self._rates.items():
            values = self._values[name]
            parts.append(rates.finish(values.source, values.texts, self._rates_before(name)))

        encoder = Encoder(
            fields=tuple(part for part in parts if isinstance(part, FieldPart | HistoryField)),
            dense=tuple(part for part in parts if isinstance(part, DensePart)),
        )
        self._check(encoder)
        self._encoder = encoder
        self._build_table(encoder)
        return encoder

    def _check(self, encoder: Encoder) -> None:
        differing = {(part.kind, part.name) for part in encoder.inputs} ^ set(self._before)
        if self._before and differing:
            raise UserError(
                f"{self.card.key}: expected the inputs of the model to start from, found in one of "
                f"both alone: {', '.join(sorted(name for _, name in differing))}"
            )
        twice = repeated([*(part.name for part in encoder.fields), *encoder.dense_names])
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
        number = {name: rows.numbers[:, columns] for name, columns in self._number_columns.items()}
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
        self._first = np.zeros(
            max((slots.stop for slots in self._slots.values()), default=0), np.int64
        )
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
