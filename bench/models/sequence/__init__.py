"""Pooling of histories. One file each, one entry each in `SEQUENCE`."""

from __future__ import annotations

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.models.contracts import Sequence
from bench.models.sequence.din import Din, DinConfig
from bench.models.sequence.mean import Mean

_OURS: dict[str, Entry[Sequence]] = {
    "mean": Entry(Mean, NoOptions, "-", "the mean of a row's history"),
    "din": Entry(
        Din,
        DinConfig,
        "Zhou et al., KDD 2018",
        "a history's values, each weighed by the row's own value",
        unfit=lambda schema: (
            None if any(field.of for field in schema.fields) else "it has no history"
        ),
        departs=(
            "Hidden units are ReLU, in one layer, and no regularisation is special to large tables."
        ),
    ),
}
SEQUENCE = Registry("sequence", _OURS)
