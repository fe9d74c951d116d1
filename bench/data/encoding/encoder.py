"""The whole encoder of a data set: its parts in order, as one JSON document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator

from bench.atomic import write_text
from bench.data.card import Card
from bench.data.columns import Categorical, Numeric
from bench.data.encoding.base import Source
from bench.data.encoding.fields import PAD, BucketField, CategoricalField, MultiValuedField
from bench.data.encoding.numeric import Dense, NumericColumn
from bench.data.encoding.rates import TargetRates
from bench.errors import UserError
from bench.registry import Config
from bench.schema import Field, Schema, Task
from bench.validation import validate

Ids = NDArray[np.int32]
FieldPart = Annotated[CategoricalField | MultiValuedField | BucketField, Discriminator("kind")]
DensePart = Annotated[NumericColumn | TargetRates, Discriminator("kind")]


class Encoder(Config):
    """Turns raw rows into what models take. Fitted on train alone; holds all it needs, so that the card is not."""

    version: Literal[1] = 1
    fields: tuple[FieldPart, ...]
    dense: tuple[DensePart, ...]

    @classmethod
    def fit(cls, card: Card, train: Any, labels: NDArray[np.float32]) -> Encoder:
        """Fits every part on train.

        Args:
            train: Arrow table of raw columns, N rows.
            labels: (N, T), all tasks of the card; read by target rates only.

        Raises:
            UserError: two parts of one name.
        """
        fields: list[FieldPart] = []
        dense: list[DensePart] = []
        rates, encoding = {}, card.encoding
        for name, column in card.columns.items():
            source = Source(column=column.source or name, derive=column.derive, missing=card.missing)
            if isinstance(column, Numeric):
                dense.append(NumericColumn.fit(name, source, column.log1p, column.missing_flag, train))
                if column.buckets is not None:
                    fields.append(BucketField.fit(f"{name}_bucket", source, column.buckets, train))
                continue
            min_count = column.min_count or encoding.min_count
            if isinstance(column, Categorical):
                fields.append(CategoricalField.fit(name, source, min_count, train))
            else:
                fields.append(MultiValuedField.fit(name, source, column.separator, column.max_length, min_count, train))
            if name in encoding.target_rates:
                rates[name] = TargetRates.fit(
                    name, source, card.tasks, encoding.rate_smoothing, encoding.rate_folds, encoding.seed, train, labels
                )
        encoder = cls(fields=tuple(fields), dense=(*dense, *(rates[name] for name in encoding.target_rates)))
        return encoder.checked(card)

    def checked(self, card: Card) -> Encoder:
        """Itself.

        Raises:
            UserError: two parts of one name.
        """
        names = [*(part.name for part in self.fields), *self.dense_names]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"{card.key}: two inputs would be called '{name}'; rename one of the columns")
        return self

    @property
    def dense_names(self) -> tuple[str, ...]:
        """Of the D dense columns."""
        return tuple(name for part in self.dense for name in part.names)

    def schema_of(self, tasks: tuple[Task, ...]) -> Schema:
        """The shape of what it gives."""
        fields: tuple[Field, ...] = tuple(part.field for part in self.fields)
        return Schema(fields, self.dense_names, tasks)

    def encode(self, table: Any) -> tuple[Ids, Dense]:
        """Raw rows (an Arrow table with the raw columns, in any order) -> ids (N, S), dense (N, D).

        Raises:
            UserError: a raw column is absent, or holds no numbers where it should.
        """
        return self._ids(table), _side_by_side([part.encode(table) for part in self.dense], table.num_rows)

    def encode_train(self, train: Any, labels: NDArray[np.float32]) -> tuple[Ids, Dense]:
        """As `encode`, for the very rows it was fitted on: target rates are out of fold."""
        parts = [
            part.encode_train(train, labels) if isinstance(part, TargetRates) else part.encode(train)
            for part in self.dense
        ]
        return self._ids(train), _side_by_side(parts, train.num_rows)

    def _ids(self, table: Any) -> Ids:
        schema = self.schema_of(())
        ids = np.empty((table.num_rows, schema.slots), np.int32)
        slot = 0
        for part, offset, field in zip(self.fields, schema.offsets, schema.fields, strict=True):
            local = part.encode(table)
            ids[:, slot : slot + field.slots] = np.where(local == PAD, 0, local + offset)
            slot += field.slots
        return ids

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        write_text(path, self.model_dump_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> Encoder:
        """Reads it back.

        Raises:
            UserError: no such file, or not an encoder of this version.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"expected an encoder, found no {path}") from None
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: not valid JSON: {error}") from None
        return validate(cls, values, str(path))


def _side_by_side(parts: list[Dense], rows: int) -> Dense:
    return np.concatenate([np.empty((rows, 0), np.float32), *parts], axis=1)
