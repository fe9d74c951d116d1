"""An encoder for many rows at a time: as `Encoder.encode`, with texts looked up in compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.codes import ABSENT
from bench.data.encoding.base import Source
from bench.data.encoding.encoder import DensePart, Encoder, FieldPart, Ids
from bench.data.encoding.fields import PAD, BucketField, CategoricalField, LocalIds, MultiValuedField
from bench.data.encoding.fit_text import list_codes
from bench.data.encoding.numeric import Dense, NumericColumn
from bench.data.encoding.rates import TargetRates
from bench.data.spans import stretches
from bench.data.text_codes import TextCodes


class Known:
    """Texts, each with what it stands for.

    Args:
        values: distinct; None for missing.
        meaning: (V, ..) of each.
        missing: what a missing text stands for, where `values` has none.
        unknown: what any other text stands for.
    """

    def __init__(self, values: Sequence[str | None], meaning: NDArray[Any], missing: Any, unknown: Any) -> None:
        self.codes = TextCodes()
        there = [value is not None for value in values]
        self.codes.code(stretches(pa.array([value for value in values if value is not None], pa.string())))
        absent = meaning[values.index(None)] if None in values else missing
        ends = np.stack([np.broadcast_to(each, meaning.shape[1:]) for each in (unknown, absent)]).astype(meaning.dtype)
        self.meaning = np.concatenate([meaning[there], ends])  # code -2, unknown, takes the last but one; -1 the last

    def of(self, source: Source, table: Any) -> NDArray[Any]:
        """(N, ..) of a column."""
        rows, spans = source.spans(table)
        codes = np.append(self.codes.code(spans, grow=False), np.int32(ABSENT))  # the last serves code -1
        found: NDArray[Any] = self.meaning[codes][rows]
        return found


class BulkEncoder:
    """Made once from an encoder; holds a hash table of each vocabulary."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._known = {part.name: _known(part) for part in encoder.fields if not isinstance(part, BucketField)}
        self._rates = {part.name: _rates(part) for part in encoder.dense if isinstance(part, TargetRates)}

    def encode(self, table: Any) -> tuple[Ids, Dense]:
        """As `Encoder.encode`."""
        ids = self.encoder.ids_of((self._field(part, table) for part in self.encoder.fields), table.num_rows)
        dense = [self._dense(part, table) for part in self.encoder.dense]
        return ids, np.concatenate([np.empty((table.num_rows, 0), np.float32), *dense], axis=1)

    def _field(self, part: FieldPart, table: Any) -> LocalIds:
        if isinstance(part, CategoricalField):
            return self._known[part.name].of(part.source, table)[:, None]
        if isinstance(part, MultiValuedField):
            known = self._known[part.name]
            return known.meaning[list_codes(part.source, part.separator, part.slots, known.codes, table)]
        return part.encode(table)

    def _dense(self, part: DensePart, table: Any) -> Dense:
        return part.encode(table) if isinstance(part, NumericColumn) else self._rates[part.name].of(part.source, table)


def _known(part: CategoricalField | MultiValuedField) -> Known:
    values = part.vocabulary.values
    missing = PAD if isinstance(part, MultiValuedField) else 0
    return Known(values, np.arange(1, len(values) + 1, dtype=np.int32), missing, 0)


def _rates(part: TargetRates) -> Known:
    """The last row of its table is for values that train did not hold, missing among them unless it did."""
    rows = part.standardised(np.array(part.table))
    return Known(part.values, rows[:-1], rows[-1], rows[-1])
