"""The part of an encoder that makes ids of a row's history."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field as Limits

from bench.core import schema
from bench.data.codes import ABSENT
from bench.data.columns.base import PAD, LocalIds, Part, Reads, Source
from bench.data.columns.categorical import CategoricalField
from bench.data.columns.multi_valued import Lists, list_codes


class HistoryField(Part):
    """The newest values of another field in earlier rows of the group, newest first, with repeats."""

    kind: Literal["history"] = "history"
    name: str
    source: Source
    """A list, or a text separated by commas, in rows that bring their own history."""
    of: str
    """The field whose vocabulary and table rows it uses."""
    slots: int = Limits(ge=2, le=2**16)
    reads: ClassVar[Reads] = "list"

    def field(self, owner: CategoricalField) -> schema.Field:
        """The field in the schema."""
        return schema.Field(self.name, owner.vocabulary.cardinality, self.slots, self.of)

    def encode(self, table: pa.Table, owner: CategoricalField) -> LocalIds:
        """Local ids (N, slots), padded at the end."""
        known = owner.known
        lists = Lists(self.source, ",", self.slots, "first", repeats=True)
        codes = list_codes(lists, known.codes, table, grow=False, spelled=owner.source.spelled)
        return np.where(codes == ABSENT, PAD, known.meaning[codes])
