"""Fits an encoder on rows that come in parts, then encodes these rows from what was kept of them.

Kept are provisional codes (int32, one for each slot of a categorical or multi-valued field) and
numbers (float64, one for each numeric input): see `bench.data.two_passes`. No raw file is read
twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ids, Mask, Singles
from bench.core.errors import UserError, repeated
from bench.core.system.progress import Progress, Silent
from bench.data.card import Card
from bench.data.codes import Codes, look_up
from bench.data.columns.base import PAD, DensePart, FieldPart, Fitter, Quantity, Source
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


def _places(widths: Mapping[str, int]) -> dict[str, slice]:
    ends = accumulate(widths.values())
    return {name: slice(end - widths[name], end) for name, end in zip(widths, ends, strict=True)}


class EncoderFitter:
    """One fitter for each input of a card, and one for each column with target rates.

    Args:
        before: an earlier encoder of the card, which is not fitted again: only values that it does
            not know are added, and target rates are computed again, in the earlier units.
    """

    def __init__(self, card: Card, before: Encoder | None = None) -> None:
        self.card, encoding = card, card.encoding
        self._before = {(part.kind, part.name): part for part in before.inputs} if before else {}
        self._values, self._numbers = dict[str, ValueFitter](), dict[str, Fitter]()
        self._rates: dict[str, RatesFitter] = {}
        for name, column in card.columns.items():
            fitter = column.fitter(name, column.source_of(name, card.missing), encoding.min_count)
            if isinstance(fitter, ValueFitter):
                self._values[name] = fitter
                known = self._before.get((column.kind, name))
                fitter.before = (
                    known.vocabulary.values
                    if isinstance(known, CategoricalField | MultiValuedField)
                    else ()
                )
            else:
                self._numbers[name] = fitter
        past = card.history
        self._lists, self._past = list[HistoryField](), dict[str, NumericFitter]()
        if past is not None:
            for rule in past.list_rules:
                source = Source(column=rule.name, missing=card.missing)
                self._lists.append(
                    HistoryField(name=rule.name, source=source, of=rule.of, slots=past.length)
                )
            for of in past.number_rules:
                log1p = Numeric(log1p=of.kind != "rate")
                self._past[of.name] = NumericFitter(of.name, Source(column=of.name), log1p)
        named = encoding.rate_tasks
        self._rated = [at for at, task in enumerate(card.tasks) if not named or task.name in named]
        tasks = tuple(card.tasks[at] for at in self._rated)
        for name in encoding.target_rates:
            self._rates[name] = RatesFitter(
                name, tasks, encoding.rate_smoothing, encoding.rate_folds, encoding.seed
            )
        widths = {name: each.width for name, each in self._values.items()}
        self._at = _places(widths | {part.name: part.slots for part in self._lists})
        self._numbers_at = _places(
            {name: each.width for name, each in (self._numbers | self._past).items()}
        )
        self._encoder: Encoder | None = None

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
        empty = np.empty((len(train), 0))
        codes = [
            empty.astype(np.int32),
            *(each.take(table, train, grow) for each in self._values.values()),
        ]
        numbers = [empty, *(each.take(table, train, grow) for each in self._numbers.values())]
        rows = Provisional(np.concatenate(codes, axis=1), np.concatenate(numbers, axis=1))
        for name, rates in self._rates.items():
            own = np.ascontiguousarray(rows.codes[rated, self._at[name].start])
            rates.take(
                own,
                np.ascontiguousarray(labels[rated][:, self._rated]),
                len(self._values[name].values),
            )
        return rows

    def take_past(self, numbers: Floats) -> None:
        """Fits on numbers (n, M) of train's history."""
        for at, fitter in enumerate(self._past.values()):
            fitter.add(numbers[:, at])

    def columns_of(self, names: Iterable[str]) -> list[int]:
        """Indices of categorical inputs among the C codes of a kept row."""
        return [self._at[name].start for name in names]

    def finish(self, progress: Progress | None = None) -> Encoder:
        """Returns the encoder, fitted on all of train, with notes for the user; UserError for two
        parts of one name.
        """
        note = (progress or Silent()).note
        of_values = [part for fitter in self._values.values() for part in fitter.finish()]
        of_numbers = [
            part for fitter in (self._numbers | self._past).values() for part in fitter.finish()
        ]
        for fitter in (*self._values.values(), *self._numbers.values()):
            for sentence in fitter.notes():
                note(f"{self.card.key}: {sentence}")
        rates = [
            each.finish(
                self._values[name].source, self._values[name].texts, self._rates_before(name)
            )
            for name, each in self._rates.items()
        ]
        of_numbers = [self._before.get((part.kind, part.name), part) for part in of_numbers]
        encoder = Encoder(
            fields=(
                *of_values,
                *self._lists,
                *(part for part in of_numbers if isinstance(part, FieldPart)),
            ),
            dense=(*(part for part in of_numbers if isinstance(part, DensePart)), *rates),
        )
        if self._before and (
            other := {(part.kind, part.name) for part in encoder.inputs} ^ set(self._before)
        ):
            raise UserError(
                f"{self.card.key}: expected the inputs of the model to start from, found in one of "
                f"both alone: {', '.join(sorted(name for _, name in other))}"
            )
        if (
            twice := repeated([*(part.name for part in encoder.fields), *encoder.dense_names])
        ) is not None:
            raise UserError(
                f"{self.card.key}: two inputs would be called '{twice}'; rename one of the columns"
            )
        self._encoder = encoder
        self._fix(encoder)
        return encoder

    def _rates_before(self, name: str) -> TargetRates | None:
        found = self._before.get(("target_rates", name))
        return found if isinstance(found, TargetRates) else None

    def encode(self, rows: Provisional, start: int | None) -> tuple[Ids, Singles]:
        """Encodes kept rows as ids (n, S) and dense (n, D), equal to `Encoder.encode` of the raw
        rows.

        With a history, its lists follow the codes, its numbers the numbers. Train rows get
        out-of-fold target rates, by their index within train from `start` on; other rows have None.
        """
        assert self._encoder is not None
        number = {name: rows.numbers[:, at] for name, at in self._numbers_at.items()}
        count, width = rows.codes.shape
        ids = np.empty((count, width + len(self._ranges)), np.int32)
        look_up(rows.codes, self._first, self._table, ids)
        for last, (ranges, offset) in enumerate(self._ranges, width):
            ids[:, last] = offset + ranges.encode_numbers(number[ranges.number])[:, 0]
        columns = [np.empty((count, 0), np.float32)]
        for part in self._encoder.dense:
            if isinstance(part, TargetRates):
                columns.append(
                    self._rates[part.name].dense(rows.codes[:, self._at[part.name].start], start)
                )
            elif isinstance(part, Quantity):
                columns.append(part.encode_numbers(number[part.name]))
        return ids, np.concatenate(columns, axis=1)

    def _fix(self, encoder: Encoder) -> None:
        """Builds the table from code to row; rows for UNKNOWN and ABSENT precede those of a field's
        code 0.
        """
        self._ranges = list[tuple[BucketField, int]]()
        self._first = np.zeros(max((at.stop for at in self._at.values()), default=0), np.int64)
        tables = [np.empty(0, np.int32)]
        for part, offset in zip(encoder.fields, encoder.schema_of(()).offsets, strict=True):
            if isinstance(part, BucketField):
                self._ranges.append((part, offset))
                continue
            local = np.roll(
                self._values[part.of if isinstance(part, HistoryField) else part.name].local, 2
            )
            if isinstance(part, HistoryField):
                local[:2] = PAD
            self._first[self._at[part.name]] = sum(map(len, tables)) + 2
            tables.append(np.where(local == PAD, 0, local + offset).astype(np.int32))
        self._table = np.concatenate(tables)
