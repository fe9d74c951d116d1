"""Made-up trainings in which one cause holds a task back, by construction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.data.store import Split
from bench.objectives import Objective
from bench.schema import Field, Schema, Task
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

TASKS = (Task("one"), Task("two"))
OBJECTIVES = (Objective("one.auc", "maximize"), Objective("two.auc", "maximize"))


class ToyStore:
    """Ids and numbers at random, with the labels that a case gives them: made(rng, ids, dense, split) -> (N, 2)."""

    path, key, fingerprint = Path("memory"), "toy", "0"

    def __init__(self, labels: Any, rows: int = 2000, users: int = 20) -> None:
        self.schema = Schema((Field("user", users), Field("item", 10)), tuple(f"x{at}" for at in range(6)), TASKS)
        self._splits = {}
        for number, name in enumerate(("train", "valid", "test")):
            rng = np.random.default_rng(number)
            counts = [(offset, field.cardinality) for offset, field in zip(self.schema.offsets, self.schema.fields)]
            ids = np.stack([offset + rng.integers(0, count, rows) for offset, count in counts], axis=1)
            dense = rng.normal(size=(rows, 6)).astype(np.float32)
            made = np.asarray(labels(rng, ids, dense), dtype=np.float32)
            self._splits[name] = Split(ids.astype(np.int32), dense, made, np.full(rows, -1, np.int32))

    def split(self, name: str) -> Split:
        return self._splits[name]


def trained(store: ToyStore, every: int = 4, **more: Any) -> dict[str, Any]:
    """The diagnosis of a short training on a store."""
    dotted = {"sharing.kind": "shared_bottom", "optim.batch_size": 200, "optim.epochs": 6, "optim.patience": 100}
    dotted |= {"embedding.dim": 4, "tower.layers": "8", "optim.precision": "fp32", "sharing.shared_bottom.layers": "16"}
    made = Trainer(store, TrialConfig.parse(dotted | more), OBJECTIVES, seed=1)  # type: ignore[arg-type]
    made.diagnosis.every = every
    made.run_to()
    return made.diagnosis.summary(made.course.curve, OBJECTIVES)


def opposite(rng: np.random.Generator, ids: Any, dense: Any) -> Any:
    """Task two is task one turned around."""
    one = dense[:, 0] + 0.5 * dense[:, 1] > rng.normal(size=len(dense))
    return np.stack([one, ~one], axis=1)


def related(rng: np.random.Generator, ids: Any, dense: Any) -> Any:
    """Two noisy looks at the same thing."""
    signal = dense[:, 0] + 0.5 * dense[:, 1]
    return np.stack([signal > rng.normal(size=len(dense)) for _ in range(2)], axis=1)


def at_two_speeds(rng: np.random.Generator, ids: Any, dense: Any) -> Any:
    """Task one is soon learned, and then the noise in its labels by heart; task two is a parity, learned late."""
    one = dense[:, 4] + 1.5 * rng.normal(size=len(dense)) > 0
    return np.stack([one, (dense[:, 0] > 0) ^ (dense[:, 1] > 0)], axis=1)
