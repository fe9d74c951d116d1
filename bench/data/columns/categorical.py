"""One category a row: an id, or a label of few values."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from bench.core import schema
from bench.core.arrays import Mask
from bench.data.codes import ABSENT, Codes
from bench.data.columns.base import EXAMPLES, FieldPart, Finding, Kind, LocalIds, Source
from bench.data.columns.vocabulary import Known, ValueFitter, Vocabulary
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
        return self.known.of(self.source, table)[:, None]

    @cached_property
    def known(self) -> Known:
        """Look-up of its categories."""
        return Known(self.vocabulary.values, self.vocabulary.numbers, 0, 0)

    def _examples(self) -> list[Any]:
        return list(frequent(self.vocabulary.values))


def frequent(values: tuple[str | None, ...]) -> list[str | None]:
    """`EXAMPLES` texts: the first of these values, again where there are fewer."""
    texts = [value for value in values if value is not None][:EXAMPLES]
    return [texts[at % len(texts)] if texts else None for at in range(EXAMPLES)]


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
        if column.numbers is None:
            return Finding(
                {"kind": "categorical"}, "two values" if len(column.counts) == 2 else "text"
            )
        if _is_clock(column):
            option = {"kind": "categorical", "from": column.name, "derive": "hour_of_hhmm"}
            return Finding(
                option,
                "a time of day such as 1730, of which the hour is kept",
                f"{column.name}_hour",
            )
        why = _code(column, labels) if column.whole else None
        return None if why is None else Finding({"kind": "categorical"}, why)


def _is_clock(column: Counted) -> bool:
    """Whether numbers are times of day such as 1730, by name and value."""
    parts, numbers = (
        {"".join(words(column.name)), *words(column.name)},
        column.row_numbers[column.codes >= 0],
    )
    named = parts & {"hhmm", "hourmin"} or {"hour", "min"} <= parts
    return bool(
        named and column.whole and ((numbers >= 0) & (numbers < 2400) & (numbers % 100 < 60)).all()
    )


def _code(column: Counted, labels: Labels) -> str | None:
    if is_id(column.name) and len(column.counts) > 2:
        return "whole numbers whose name is that of a code"
    few, quantity = FEW, has_word(column.name, QUANTITIES)
    if is_count(column.name):
        few, quantity = FEW_COUNTS, True
    elif quantity:
        few = FEW_QUANTITIES
    if len(column.counts) <= few:
        return "few distinct whole numbers"
    return None if quantity or column.long_tail else _unlike(column, labels)


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
        cells = column.cells(), column.cells(20)
        each, few = (max(out_of_fold(of, label, 20.0), label.chance) for of in cells)
        if each - few >= max(0.02, 0.9 / math.sqrt(label.fewest), 0.25 * (each - label.chance)):
            return (
                "whole numbers whose neighbours are not alike, so codes: each by itself "
                f"{each:.4f}, 20 ranges {few:.4f} ({label.measure} of '{name}')"
            )
    return None
