"""Touched-row optimizers of embedding tables.

Each is built as `entry.build(weight, schema, lr, l2, threads)`.
"""

import torch

from bench.registry import Entry, NoOptions
from bench.schema import Field, Schema
from bench.training.optimizers.adagrad import RowAdagrad
from bench.training.optimizers.adam import RowAdam
from bench.training.optimizers.base import RowOptimizer
from bench.training.optimizers.sgd import RowSGD

ROW_OPTIMIZERS: dict[str, Entry[RowOptimizer]] = {
    "adam": Entry(RowAdam, NoOptions, "Kingma & Ba, ICLR 2015", "a step size for each weight; 8 W + 4 bytes a row"),
    "adagrad": Entry(RowAdagrad, NoOptions, "Duchi et al., JMLR 2011", "a step size for each row; 4 bytes a row"),
    "sgd": Entry(RowSGD, NoOptions, "-", "plain gradient descent; no state"),
}


def warm(name: str) -> None:
    """Compiles an optimizer's kernels or loads them from the cache on disk, which the first step would do else."""
    schema = Schema((Field("id", 1),), (), ())
    optimizer = ROW_OPTIMIZERS[name].build(torch.zeros(schema.rows, 1), schema, lr=0.0)
    optimizer.step(torch.ones(1, 1, dtype=torch.int32), torch.zeros(1, 1, 1))


__all__ = ["ROW_OPTIMIZERS", "RowOptimizer", "warm"]
