"""The place at which a row was shown: rank, page or slot. Trained on, and unknown in serving."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from bench.data.columns.base import EXAMPLES, FieldPart, Kind, LocalIds
from bench.data.columns.categorical import CategoricalField, CategoricalFitter


class PositionField(CategoricalField):
    """The position; unknown in every row that is served."""

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
