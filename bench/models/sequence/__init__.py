"""Pooling of histories, one entry each in `SEQUENCE`."""

from __future__ import annotations

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.core.schema import Schema
from bench.models.contracts import Sequence
from bench.models.sequence.histories import Din, DinConfig, Mean


def has_history(schema: Schema) -> str | None:
    """The `unfit` of kinds that read a row's own value."""
    return None if any(field.of for field in schema.fields) else "it has no history"


_OURS: dict[str, Entry[Sequence]] = {
    "mean": Entry(Mean, NoOptions, "-", "the mean of a row's history"),
    "din": Entry(
        Din,
        DinConfig,
        "Zhou et al., KDD 2018",
        "a history's values, each weighed by the row's own value",
        unfit=has_history,
        departs=(
            "Hidden units are ReLU, in one layer, and no regularisation is special to large tables."
        ),
    ),
}
SEQUENCE = Registry("sequence", _OURS)
