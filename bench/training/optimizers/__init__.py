"""Touched-row optimizers of embedding tables.

Each is built as `entry.build(weight, schema, lr, l2, threads)`.
"""

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.training.optimizers.adam import RowAdam
from bench.training.optimizers.base import RowOptimizer

_OURS: dict[str, Entry[RowOptimizer]] = {
    "adam": Entry(RowAdam, NoOptions, "Kingma & Ba, ICLR 2015", "a step size for each weight; 8 W + 4 bytes a row"),
}
ROW_OPTIMIZERS = Registry("optimizer", _OURS)


__all__ = ["ROW_OPTIMIZERS", "RowOptimizer"]
