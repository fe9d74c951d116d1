"""The encoder of a data set: its parts in order, as one JSON document."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field as Limits
from pydantic import model_validator

from bench.core.arrays import Ids, Singles
from bench.core.errors import UserError
from bench.core.plain import read_json
from bench.core.registry import Config
from bench.core.schema import Cap, DenseVector, Field, Schema, Task
from bench.core.system.atomic import write_text
from bench.core.validation import validate
from bench.data.codes import ABSENT
from bench.data.columns import DENSE, FIELDS, by_kind
from bench.data.columns.base import PAD, DensePart, FieldPart, LocalIds, Part, Reads, Source
from bench.data.columns.categorical import CategoricalField, PositionField
from bench.data.columns.multi_valued import Lists, list_codes
from bench.data.columns.numeric import BucketField, NumericColumn
from bench.data.columns.vector import VectorColumns
from bench.data.encoding.rates import TargetRates


class HistoryField(Part):
    """The newest values of another field in earlier rows of the group, newest first, with
    repeats.
    """

    kind: Literal["history"] = "history"
    name: str
    source: Source
    """A list, or a text separated by commas, in rows that bring their own history."""
    of: str
    """The field whose vocabulary and table rows it uses."""
    slots: int = Limits(ge=2, le=2**16)
    reads: ClassVar[Reads] = "list"

    def field(self, owner: CategoricalField) -> Field:
        """The field in the schema."""
        return Field(self.name, owner.vocabulary.cardinality, self.slots, self.of)

    def encode(self, table: pa.Table, owner: CategoricalField) -> LocalIds:
        """Local ids (N, slots), padded at the end."""
        lookup = owner.lookup
        lists = Lists(self.source, ",", self.slots, "first", repeats=True)
        codes = list_codes(lists, lookup.codes, table, grow=False, spelled=owner.source.spelled)
        return np.where(codes == ABSENT, PAD, lookup.meaning[codes])


if TYPE_CHECKING:
    AnyField = FieldPart | HistoryField
    AnyDense = DensePart
else:
    AnyField = by_kind((*FIELDS, HistoryField))
    AnyDense = by_kind((*DENSE, TargetRates))


class Encoder(Config):
    """Turns raw rows into the models' inputs. Fitted on train only, and independent of the card."""

    version: Literal[4] = 4
    fields: tuple[AnyField, ...]
    """Ranges of numbers come last."""
    dense: tuple[AnyDense, ...]

    @model_validator(mode="after")
    def _ranges_of_numbers(self) -> Encoder:
        are_ranges = [isinstance(part, BucketField) for part in self.fields]
        if are_ranges != sorted(are_ranges):
            raise ValueError("expected the ranges of numbers after all other fields")
        for part in self.fields:
            if isinstance(part, BucketField) and part.number not in self._numeric:
                raise ValueError(
                    f"expected '{part.name}' to be of a numeric input, found none called "
                    f"'{part.number}'"
                )
            if isinstance(part, HistoryField) and part.of not in self._owners:
                raise ValueError(
                    f"expected '{part.name}' to be of a categorical input, found none called "
                    f"'{part.of}'"
                )
        return self

    @cached_property
    def _owners(self) -> dict[str, CategoricalField]:
        return {part.name: part for part in self.fields if isinstance(part, CategoricalField)}

    @property
    def inputs(self) -> list[Part]:
        """All parts, the dense ones first."""
        return [*self.dense, *self.fields]

    @property
    def dense_names(self) -> tuple[str, ...]:
        """Names of the D dense columns."""
        return tuple(name for part in self.dense for name in part.names)

    def schema_of(
        self,
        tasks: tuple[Task, ...],
        group: str | None = None,
        grouped: bool = False,
        scenario: str | None = None,
    ) -> Schema:
        """The schema of its output."""
        vectors = []
        for column, part in self._placed:
            if isinstance(part, VectorColumns):
                vectors.append(DenseVector(part.name, column, len(part.parts)))
        numbers = []
        position = None
        for field in self.fields:
            if isinstance(field, BucketField):
                column, numeric = self._numeric[field.number]
                numbers.append(numeric.number(column, field))
            if isinstance(field, PositionField):
                position = field.name
        return Schema(
            self._fields_of_schema,
            self.dense_names,
            tasks,
            group,
            numbers=tuple(numbers),
            vectors=tuple(vectors),
            grouped=grouped,
            scenario=scenario,
            position=position,
        )

    def cap_of(self, name: str | None, unit: float) -> Cap | None:
        """How to recover the raw number of a numeric input; None if there is no such input."""
        if name not in self._numeric:
            return None
        column, part = self._numeric[name]
        flag = column + 1 if part.flag else None
        return Cap(column, flag, part.log1p, part.mean, part.scale, unit)

    @property
    def _placed(self) -> list[tuple[int, DensePart]]:
        """Each dense part with the index of its first column."""
        placed = []
        column = 0
        for part in self.dense:
            placed.append((column, part))
            column += len(part.names)
        return placed

    @cached_property
    def _numeric(self) -> dict[str | None, tuple[int, NumericColumn]]:
        """Numeric input -> its first column and its part."""
        return {
            part.name: (column, part)
            for column, part in self._placed
            if isinstance(part, NumericColumn)
        }

    @property
    def _fields_of_schema(self) -> tuple[Field, ...]:
        fields = []
        for part in self.fields:
            if isinstance(part, HistoryField):
                fields.append(part.field(self._owners[part.of]))
            else:
                fields.append(part.field)
        return tuple(fields)

    def encode(self, table: pa.Table) -> tuple[Ids, Singles]:
        """Encodes raw rows as ids (N, S), dense (N, D); raises UserError for an absent column or a
        bad number.
        """
        ids = [np.empty((table.num_rows, 0), np.int32)]
        offsets = Schema(self._fields_of_schema, (), ()).offsets
        for part, offset in zip(self.fields, offsets, strict=True):
            if isinstance(part, HistoryField):
                local = part.encode(table, self._owners[part.of])
            else:
                local = part.encode(table)
            ids.append(np.where(local == PAD, 0, local + offset))
        dense = [np.empty((table.num_rows, 0), np.float32)]
        dense += [part.encode(table) for part in self.dense]
        return np.concatenate(ids, axis=1), np.concatenate(dense, axis=1)

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        write_text(path, self.model_dump_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> Encoder:
        """Reads it back; raises UserError if the file is absent or not an encoder of this
        version.
        """
        if not path.is_file():
            raise UserError(f"expected an encoder, found no {path}")
        return validate(cls, read_json(path), str(path))
