"""The worth of ranked lists, a family a file. Metrics with a cut are in
`bench.core.objectives.LISTS`.

To add one, write a file with a `ListMeasure` of the metric's name, and a line in `LISTS`; see
`base`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from bench.core.objectives import LISTS
from bench.measure.lists.base import ListMeasure, PairArea

AREA_MEASURES = {
    "auc": PairArea(),
    "gauc": PairArea(),
    "gauc_positives": PairArea(by_positives=True),
}
"""Outcomes without a cut."""


def measure_of(name: str) -> ListMeasure:
    """How a metric is measured, by its name without cut."""
    if name in AREA_MEASURES:
        return AREA_MEASURES[name]
    return _imported(LISTS[name].module, name)


@cache
def _imported(module: str, name: str) -> ListMeasure:
    measure: ListMeasure = getattr(import_module(module), name)
    return measure
