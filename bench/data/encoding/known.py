"""Texts that an encoder knows, looked up in compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.codes import ABSENT
from bench.data.encoding.base import Source
from bench.data.spans import stretches
from bench.data.text_codes import TextCodes


class Known:
    """Texts, each with what it stands for; made once from a part of an encoder.

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
