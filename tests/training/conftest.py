"""A tiny store in memory: what the trainer needs of one, without files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data.store import Split
from bench.schema import Field, Schema, Task

CHAIN = (Task("click"), Task("buy", parent="click"), Task("like"))


FIELDS = (Field("user", 20), Field("tags", 6, slots=2), Field("item", 12))


class MemoryStore:
    """Three fields (one multi-valued) or others, two dense columns, and the given tasks."""

    path = Path("memory")
    key = "tiny"
    fingerprint = "0"

    def __init__(
        self, rows: int = 64, tasks: tuple[Task, ...] = CHAIN, seed: int = 0, fields: tuple[Field, ...] = FIELDS
    ) -> None:
        self.schema = Schema(fields, ("age", "price"), tasks)
        self.default_tasks = tuple(task.name for task in tasks)
        names = ("train", "valid", "test", "confirm")
        self._splits = {name: self._make(rows, seed + i) for i, name in enumerate(names)}

    def split(self, name: str) -> Split:
        return self._splits[name]

    def _make(self, rows: int, seed: int) -> Split:
        rng = np.random.default_rng(seed)
        columns = [
            offset + rng.integers(0, field.cardinality, rows)
            for field, offset in zip(self.schema.fields, self.schema.offsets, strict=True)
            for _ in range(field.slots)
        ]
        ids = np.stack(columns, axis=1).astype(np.int32)
        dense = rng.normal(size=(rows, 2)).astype(np.float32)
        labels = np.zeros((rows, len(self.schema.tasks)), dtype=np.float32)
        for at, task in enumerate(self.schema.tasks):
            signal = dense[:, at % 2] + 0.7 * np.sin(ids[:, 0] * (at + 1.0))
            if task.kind == "regression":
                labels[:, at] = signal
            else:
                labels[:, at] = signal > np.quantile(signal, 0.5)
            if (parent := self.schema.parents[at]) is not None:
                labels[:, at] *= labels[:, parent]
        return Split(ids, dense, labels, rng.integers(0, 8, rows).astype(np.int32))


@pytest.fixture(scope="session")
def tiny() -> MemoryStore:
    return MemoryStore()
