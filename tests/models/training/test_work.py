"""What a step asks of torch, counted: a gross slowdown shows without a clock.

The counts in `WORK` are remade by `python tests/models/training/test_work.py`, where a change has
earned it.
"""

import sys

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.core.schema import Field, Schema, Task
from bench.models import products
from bench.models.training.config import TrialConfig
from bench.models.training.step import build_step

ROWS = 512
WORK = {
    ("shared_bottom", "static"): (180, 3270),
    ("mmoe", "static"): (242, 8416),
    ("ple", "static"): (466, 21437),
    ("mmoe", "uncertainty"): (259, 8416),
    ("mmoe", "pcgrad"): (485, 13200),
}
"""(sharing, balancing) -> operations of torch in a step, and kilobytes of new tensors on `ROWS`
rows.
"""
SLACK = 1.1


class Work(TorchDispatchMode):
    """Counts operations, and the bytes of the memory that they take."""

    def __init__(self):
        super().__init__()
        self.operations = self.bytes = self.largest = 0
        self._known: dict[int, torch.UntypedStorage] = {}  # held, so that no address comes twice

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self._sizes((args, kwargs))
        out = func(*args, **(kwargs or {}))
        self.operations += 1
        for size in self._sizes(out):
            self.bytes += size
            self.largest = max(self.largest, size)
        return out

    def _sizes(self, values):
        """Of the memory that was not known before."""
        storages = [
            leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)
        ]
        new = {
            storage.data_ptr(): storage
            for storage in storages
            if storage.data_ptr() not in self._known
        }
        self._known |= new
        return [storage.nbytes() for storage in new.values()]


def work_of(sharing, balancing, rows=ROWS, cardinality=50, tasks=2):
    """Of one step, after two in which what is made once was made; products are torch's, on every
    processor.
    """
    before, products.WORTH_ONEDNN = products.WORTH_ONEDNN, sys.maxsize
    try:
        return _work_of(sharing, balancing, rows, cardinality, tasks)
    finally:
        products.WORTH_ONEDNN = before


def _work_of(sharing, balancing, rows, cardinality, tasks):
    fields = tuple(Field(f"field {number}", cardinality) for number in range(4))
    schema = Schema(fields, ("age",), tuple(Task(f"task {number}") for number in range(tasks)))
    config = {"sharing.kind": sharing, "balancing.kind": balancing, "optim.precision": "fp32"}
    step = build_step(
        schema, TrialConfig.parse(config), torch.full((tasks,), 0.5), 0, 1, torch.device("cpu")
    )
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(
        (rng.integers(0, cardinality, (rows, 4)) + np.array(schema.offsets)).astype(np.int32)
    )
    dense = torch.from_numpy(rng.normal(size=(rows, 1)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 2, (rows, tasks)).astype(np.float32))
    for _ in range(2):
        step(ids, dense, labels)
    with Work() as work:
        step(ids, dense, labels)
    return work


@pytest.mark.parametrize(("sharing", "balancing"), WORK)
def test_a_step_takes_no_more_operations_and_memory_than_it_did(sharing, balancing):
    work = work_of(sharing, balancing)
    operations, kilobytes = WORK[sharing, balancing]
    assert operations / 2 < work.operations <= operations * SLACK
    assert kilobytes / 2 < work.bytes / 1024 <= kilobytes * SLACK


@pytest.mark.parametrize(("sharing", "balancing"), [("ple", "static"), ("mmoe", "mgda")])
def test_no_operation_is_for_a_single_sample(sharing, balancing):
    assert (
        work_of(sharing, balancing, rows=64).operations
        == work_of(sharing, balancing, rows=256).operations
    )


def test_no_tensor_is_as_large_as_the_table():
    small, large = (work_of("mmoe", "pcgrad", rows=64, cardinality=size) for size in (50, 50_000))
    assert large.bytes == small.bytes
    assert large.largest < 4 * 50_000 * 4  # a float for each of its rows


def test_aggregation_grows_linearly_with_tasks():
    two, four, six = (work_of("mmoe", "pcgrad", tasks=count).bytes for count in (2, 4, 6))
    assert six - four <= (four - two) * 1.25


if __name__ == "__main__":
    for key in WORK:
        work = work_of(*key)
        print(f"    {key}: ({work.operations}, {work.bytes // 1024}),")
