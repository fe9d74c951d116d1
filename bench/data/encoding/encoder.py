"""The encoder of a data set: its parts in order, as one JSON document."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
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
from bench.data.columns.categorical import CategoricalField
from bench.data.columns.multi_valued import Lists, list_codes
from bench.data.columns.numeric import BucketField, NumericColumn
from bench.data.columns.position import PositionField
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
        known = owner.known
        lists = Lists(self.source, ",", self.slots, "first", repeats=True)
        codes = list_codes(lists, known.codes, table, grow=False, spelled=owner.source.spelled)
        return np.where(codes == ABSENT, PAD, known.meaning[codes])


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
        kinds = [isinstance(part, BucketField) for part in self.fields]
        if kinds != sorted(kinds):
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
        vectors = tuple(
            DenseVector(part.name, at, len(part.parts))
            for at, part in self._placed
            if isinstance(part, VectorColumns)
        )
        ranges = [part for part in self.fields if isinstance(part, BucketField)]
        of_ranges = ((part, *self._numeric[part.number]) for part in ranges)
        numbers = tuple(column.number(at, part) for part, at, column in of_ranges)
        position = next(
            (part.name for part in self.fields if isinstance(part, PositionField)), None
        )
        return Schema(
            self._shapes,
            self.dense_names,
            tasks,
            group,
            numbers,
            vectors,
            grouped,
            scenario,
            position,
        )

    def cap_of(self, name: str | None, unit: float) -> Cap | None:
        """How to recover the raw number of a numeric input; None if there is no such input."""
        if name not in self._numeric:
            return None
        at, part = self._numeric[name]
        return Cap(at, at + 1 if part.flag else None, part.log1p, part.mean, part.scale, unit)

    @property
    def _placed(self) -> list[tuple[int, DensePart]]:
        """Each dense part with the index of its first column."""
        ends = accumulate((len(part.names) for part in self.dense), initial=0)
        return list(zip(ends, self.dense, strict=False))

    @cached_property
    def _numeric(self) -> dict[str | None, tuple[int, NumericColumn]]:
        return {
            part.name: (at, part) for at, part in self._placed if isinstance(part, NumericColumn)
        }

    @property
    def _shapes(self) -> tuple[Field, ...]:
        owners = self._owners
        return tuple(
            part.field(owners[part.of]) if isinstance(part, HistoryField) else part.field
            for part in self.fields
        )

    def encode(self, table: pa.Table) -> tuple[Ids, Singles]:
        """Encodes raw rows as ids (N, S), dense (N, D); raises UserError for an absent column or a
        bad number.
        """
        owners = self._owners
        ids, dense = (
            [np.empty((table.num_rows, 0), np.int32)],
            [np.empty((table.num_rows, 0), np.float32)],
        )
        for part, offset in zip(self.fields, Schema(self._shapes, (), ()).offsets, strict=True):
            local = (
                part.encode(table, owners[part.of])
                if isinstance(part, HistoryField)
                else part.encode(table)
            )
            ids.append(np.where(local == PAD, 0, local + offset))
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
