"""Texts that stand for a missing value, told from texts that only look so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.data.inspection.column import Counted

CLEAR = (r"\N", "NULL", "null", "Null", "NaN", "nan", "<NA>", "N/A", "n/a", "#N/A", "?")
"""They mean nothing else."""
DOUBTFUL = ("NA", "na", "None", "none", "-", "--", ".")
"""They mean missing among numbers; among names, NA may be a country and none an answer."""


@dataclass(frozen=True)
class Markers:
    """What was found.

    Attributes:
        sure: markers, for the card's reader.
        doubtful: marker, sure or not -> columns where it may be a value like any other.
    """

    sure: tuple[str, ...]
    doubtful: Mapping[str, tuple[str, ...]]


def find_markers(columns: Iterable[Counted]) -> Markers:
    """The markers among the texts of columns that were counted without any."""
    sure: dict[str, None] = {}
    doubtful: dict[str, list[str]] = {}
    for column in columns:
        if column.type != "text":
            continue
        # Arrow casts "NaN" to a number, so a column of numbers may hold it too.
        held = {marker for marker in (*CLEAR, *DOUBTFUL) if pc.index(column.distinct, pa.scalar(marker)).as_py() >= 0}
        if not held:
            continue
        sure |= dict.fromkeys(marker for marker in CLEAR if marker in held)
        unsure = [marker for marker in DOUBTFUL if marker in held]
        if unsure and _numbers_otherwise(column, held):
            sure |= dict.fromkeys(unsure)
        else:
            for marker in unsure:
                doubtful.setdefault(marker, []).append(column.name)
    return Markers(tuple(sure), {marker: tuple(names) for marker, names in doubtful.items()})


def _numbers_otherwise(column: Counted, held: set[str]) -> bool:
    rest = column.distinct.filter(pc.invert(pc.is_in(column.distinct, pa.array(sorted(held), column.distinct.type))))
    try:
        return len(rest) > 0 and bool(np.isfinite(rest.cast(pa.float64()).to_numpy(zero_copy_only=False)).all())
    except pa.ArrowInvalid:
        return False
