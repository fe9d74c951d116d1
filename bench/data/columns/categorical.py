"""One category a row: an id, a label of few values, or the position at which the row was shown."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from bench.core import schema
from bench.core.arrays import Floats, Mask
from bench.data.codes import ABSENT, Codes
from bench.data.columns.base import EXAMPLES, FieldPart, Finding, Kind, LocalIds, Source
from bench.data.columns.vocabulary import Lookup, ValueFitter, Vocabulary
from bench.data.inspection.names import QUANTITIES, has_word, is_count, is_id, words

if TYPE_CHECKING:
    from bench.data.inspection.column import Counted
    from bench.data.inspection.labels import Labels


class CategoricalField(FieldPart):
    """One value a row."""

    kind: Literal["categorical"] = "categorical"
    name: str
    source: Source
    vocabulary: Vocabulary

    @property
    def field(self) -> schema.Field:
        """The field in the schema."""
        return schema.Field(self.name, self.vocabulary.cardinality)

    @property
    def needed(self) -> bool:
        """Whether train lacked no value."""
        return None not in self.vocabulary.values

    def encode(self, table: pa.Table) -> LocalIds:
        """Local ids (N, 1)."""
        return self.lookup.meanings(self.source, table)[:, None]

    @cached_property
    def lookup(self) -> Lookup:
        """Of its categories."""
        return Lookup(self.vocabulary.values, self.vocabulary.local_ids, 0, 0)

    def _examples(self) -> list[Any]:
        return list(frequent(self.vocabulary.values))


def frequent(values: tuple[str | None, ...]) -> list[str | None]:
    """`EXAMPLES` texts: the first of these values, again where there are fewer."""
    texts = [value for value in values if value is not None][:EXAMPLES]
    return list(islice(cycle(texts or [None]), EXAMPLES))


class CategoricalFitter(ValueFitter):
    """Counts a column with one value a row."""

    part: type[CategoricalField] = CategoricalField
    _missing = 0

    def take(self, table: pa.Table, train: Mask, grow: bool = True) -> Codes:
        """Codes (n, 1), ABSENT where missing; new values are UNKNOWN unless `grow`."""
        codes = self.values.code_column(self.source.values(table), self.source.markers, grow)
        self._missing += int(np.count_nonzero(train & (codes == ABSENT)))
        self._count(codes[:, None], train)
        return codes[:, None]

    def finish(self) -> tuple[CategoricalField]:
        """The field, with the values frequent enough in train."""
        vocabulary = self._vocabulary(self._missing)
        return (self.part(name=self.name, source=self.source, vocabulary=vocabulary),)


FEW, FEW_QUANTITIES, FEW_COUNTS = 32, 10, 2
"""Distinct whole numbers that are still drafted as categories, by what the name is of."""


class Categorical(Kind):
    """An id or a label of few values: one embedding row for each value that train holds often
    enough.
    """

    kind: Literal["categorical"] = "categorical"
    min_count: int | None = Field(None, ge=1)
    """Rows of train a value needs; rarer ones share the field's unknown. Absent: the card's."""
    fits: ClassVar = CategoricalFitter
    parts: ClassVar = (CategoricalField,)
    by_form: ClassVar[bool] = False

    @classmethod
    def draft(cls, column: Counted, labels: Labels) -> Finding | None:
        """Texts; and whole numbers that are codes, by name, by number, or since neighbours are not
        alike.
        """
        option = {"kind": "categorical"}
        if column.numbers is None:
            return Finding(option, "two values" if len(column.counts) == 2 else "text")
        if _is_clock(column, column.numbers):
            option |= {"from": column.name, "derive": "hour_of_hhmm"}
            why = "a time of day such as 1730, of which the hour is kept"
            return Finding(option, why, f"{column.name}_hour")
        reason = _why_codes(column, labels) if column.whole else None
        return None if reason is None else Finding(option, reason)


def _is_clock(column: Counted, numbers: Floats) -> bool:
    """Whether numbers are times of day such as 1730, by name and value."""
    parts = words(column.name)
    if {"hhmm", "hourmin"}.isdisjoint(["".join(parts), *parts]) and not {"hour", "min"} <= {*parts}:
        return False
    is_time = (numbers >= 0) & (numbers < 2400) & (numbers % 100 < 60)
    return column.whole and bool(is_time.all())


def _why_codes(column: Counted, labels: Labels) -> str | None:
    """Why whole numbers are categories; None where they are quantities."""
    if is_id(column.name) and len(column.counts) > 2:
        return "whole numbers whose name is that of a code"
    is_quantity = True
    if is_count(column.name):
        few = FEW_COUNTS
    elif has_word(column.name, QUANTITIES):
        few = FEW_QUANTITIES
    else:
        few = FEW
        is_quantity = False
    if len(column.counts) <= few:
        return "few distinct whole numbers"
    if is_quantity or column.long_tail:
        return None
    return _unlike(column, labels)


def _unlike(column: Counted, labels: Labels) -> str | None:
    """Evidence that neighbouring values are unrelated, as those of codes are: 20 ranges tell far
    less of a label.

    In 300 draws of labels without relation to the values, what these told beyond ranges by chance
    was at most .66 over the root of the rarer class's labels.
    """
    from bench.data.inspection.labels import LEAST_LABELS, out_of_fold

    for name, label in labels.items():
        if label.fewest < LEAST_LABELS:
            continue
        by_value = max(out_of_fold(column.cells(), label, 20.0), label.chance)
        by_range = max(out_of_fold(column.cells(20), label, 20.0), label.chance)
        by_chance = 0.9 / math.sqrt(label.fewest)
        if by_value - by_range >= max(0.02, by_chance, 0.25 * (by_value - label.chance)):
            return (
                "whole numbers whose neighbours are not alike, so codes: each by itself "
                f"{by_value:.4f}, 20 ranges {by_range:.4f} ({label.measure} of '{name}')"
            )
    return None


class PositionField(CategoricalField):
    """The place at which a row was shown (rank, page, slot); unknown in every row that is
    served.
    """

    kind: Literal["position"] = "position"  # type: ignore[assignment]

    @property
    def needed(self) -> bool:
        """Rows need not have it."""
        return False

    def encode(self, table: pa.Table) -> LocalIds:
        """(N, 1), unknown."""
        return np.zeros((table.num_rows, 1), np.int32)

    def _examples(self) -> list[Any]:
        return [None] * EXAMPLES


class PositionFitter(CategoricalFitter):
    """Counts positions."""

    part = PositionField


class Position(Kind):
    """Where a row was shown (rank, page, slot): its effect on the labels is learnt, and left out
    where one serves.

    No draft has it: what looks like a position may be known in serving, so the user says it.
    """

    kind: Literal["position"] = "position"
    min_count: int | None = Field(None, ge=1)
    fits: ClassVar = PositionFitter
    parts: ClassVar[tuple[type[FieldPart], ...]] = (PositionField,)
    by_form: ClassVar[bool] = False
    served: ClassVar[bool] = False
