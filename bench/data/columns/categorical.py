"""One category a row: an id, or a label of few values."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from bench.core import schema
from bench.data.codes import ABSENT, Codes
from bench.data.columns.base import EXAMPLES, FieldPart, Finding, Kind, LocalIds, Mask, Source
from bench.data.columns.vocabulary import Known, ValueFitter, Vocabulary
from bench.data.inspection.names import QUANTITIES, has_word, is_id

if TYPE_CHECKING:
    from bench.data.inspection.column import Counted
    from bench.data.inspection.labels import Halves


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


FEW = 32
"""Distinct whole numbers that are still drafted as categories."""
FEW_QUANTITIES = 10
"""The same, where the name is that of a quantity."""
ROUND = 0.2
"""Of distinct values the share that end in two zeros from which on large numbers are amounts: of codes it is .01."""
FEW_RANGES = 20
CODES = (0.02, 0.25)
"""What exact values tell beyond 20 ranges, as AUC and as a share of all that they tell, from which whole numbers are
codes: of a quantity, neighbours are alike."""
CHANCE = 0.9
"""What they tell beyond ranges by chance, at most, times the root of the labels of the rarer class in validation: in
300 draws of labels without relation to the values, .66 was the most."""


class Categorical(Kind):
    """An id or a label of few values: one embedding row for each value that train holds often enough."""

    kind: Literal["categorical"] = "categorical"
    min_count: int | None = Field(None, ge=1)
    """Rows of train a value needs; rarer ones share the field's unknown. Absent: the card's."""
    fits: ClassVar = CategoricalFitter
    parts: ClassVar = (CategoricalField,)
    by_form: ClassVar[bool] = False

    @classmethod
    def draft(cls, column: Counted, halves: Halves | None) -> Finding | None:
        """Texts; and whole numbers that are codes, by name, by number, or since neighbours are not alike."""
        if column.is_clock:
            option = {"kind": "categorical", "from": column.name, "derive": "hour_of_hhmm"}
            return Finding(option, "a time of day such as 1730, of which the hour is kept", f"{column.name}_hour")
        why = _code(column, halves)
        if column.numbers is None or column.zeros:
            why = "text" if column.numbers is None else "codes with leading zeros"
            why = "two values" if len(column.counts) == 2 else why
        return None if why is None else Finding({"kind": "categorical"}, why)


def _code(column: Counted, halves: Halves | None) -> str | None:
    if not column.whole or column.numbers is None:
        return None
    if is_id(column.name) and len(column.counts) > 2:
        return "whole numbers whose name is that of a code"
    quantity = has_word(column.name, QUANTITIES)
    if len(column.counts) <= (FEW_QUANTITIES if quantity else FEW):
        return "few distinct whole numbers"
    if quantity:
        return None
    if np.abs(column.numbers).max() >= 1e8 and (column.numbers % 100 == 0).mean() < ROUND:
        return "whole numbers too large to be counts: codes"
    return None if halves is None or column.long_tail else _unlike(column, halves)


def _unlike(column: Counted, halves: Halves) -> str | None:
    """Evidence that neighbouring values are unrelated."""
    each, few = halves.tell(column.cells()), halves.tell(column.cells(FEW_RANGES))
    for name, label in halves.labels.items():
        by_chance = CHANCE / math.sqrt(label.fewest(halves.tried))
        if each[name] - few[name] >= max(CODES[0], by_chance, CODES[1] * (each[name] - label.chance)):
            return (
                f"whole numbers whose neighbours are not alike, so codes: each by itself {each[name]:.4f}, "
                f"{FEW_RANGES} ranges {few[name]:.4f} ({label.measure} of '{name}' on validation)"
            )
    return None
