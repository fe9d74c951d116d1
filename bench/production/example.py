"""Raw rows to show what a model takes: made from what its encoder knows, so that no row of anybody's data is shown."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from bench.data.encoding.encoder import Encoder
from bench.data.encoding.fields import BucketField, HistoryField, MultiValuedField
from bench.data.encoding.numeric import NumericColumn, VectorColumns
from bench.data.encoding.rates import TargetRates
from bench.production.rows import RawRows

ROWS = 3


def example_rows(encoder: Encoder) -> pd.DataFrame:
    """A few rows: frequent categories, which train held most often, and mean numbers, by raw column."""
    found: dict[str, list[Any]] = {}
    for part in [*encoder.dense, *encoder.fields]:
        values = [None] * ROWS if isinstance(part, HistoryField) else _values(part)
        found.setdefault(part.source.column, values)
    columns = [column.name for column in RawRows(encoder).columns]
    return pd.DataFrame({name: pd.Series(found[name], dtype=object) for name in columns})


def _values(part: Any) -> list[Any]:
    if isinstance(part, (NumericColumn, BucketField)) or part.source.derive is not None:
        return [float(f"{_middle(part):.4g}")] * ROWS
    if isinstance(part, VectorColumns):
        return [[float(f"{each.mean:.4g}") for each in part.parts]] * ROWS
    known = part.values if isinstance(part, TargetRates) else part.vocabulary.values
    texts = [value for value in known if value is not None][:ROWS] or [None]
    if isinstance(part, MultiValuedField):
        texts = [part.separator.join(texts[: at + 1]) if texts[0] else None for at in range(len(texts))]
    return [texts[at % len(texts)] for at in range(ROWS)]


def _middle(part: Any) -> float:
    """A number in the middle of train's; that of a derivation's raw column is any that is valid."""
    if part.source.derive is not None:
        return 20240101.0 if part.source.derive.endswith("yyyymmdd") else 1200.0
    if isinstance(part, BucketField):
        return part.edges[len(part.edges) // 2] if part.edges else 0.0
    return math.copysign(math.expm1(abs(part.mean)), part.mean) if part.log1p else float(part.mean)
