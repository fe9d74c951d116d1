"""Made-up trainings in which one cause holds a task back, by construction."""

from pathlib import Path

import numpy as np

from bench.core.objectives import Objective
from bench.core.schema import Field, Schema, Task
from bench.data.store import StoredSplit
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

TASKS = (Task("one"), Task("two"))
OBJECTIVES = (Objective("one.auc", "maximize"), Objective("two.auc", "maximize"))


class ToyStore:
    """Ids and six numbers at random; labels (N, 2) that a case makes of the numbers (N, 6)."""

    path, key, fingerprint, weights = Path("memory"), "toy", "0", None

    def __init__(self, labels, rows=2000, users=20):
        fields = (Field("user", users), Field("item", 10))
        self.schema = Schema(fields, tuple(f"x{at}" for at in range(6)), TASKS, scenario="item")
        self._splits = {}
        for number, name in enumerate(("train", "valid", "test")):
            rng = np.random.default_rng(number)
            fields = zip(self.schema.offsets, self.schema.fields, strict=True)
            ids = np.stack([offset + rng.integers(0, field.cardinality, rows) for offset, field in fields], axis=1)
            dense = rng.normal(size=(rows, 6)).astype(np.float32)
            made = np.asarray(labels(rng, dense), dtype=np.float32)
            self._splits[name] = StoredSplit(ids.astype(np.int32), dense, made, np.full(rows, -1, np.int32))

    def split(self, name):
        return self._splits[name]


def trainer(store, every=4, **more):
    """Probes before one in `every` of its steps."""
    dotted = {"optim.schedule": "constant", "optim.batch_size": 200, "optim.epochs": 6, "optim.patience": 100}
    dotted |= {"optim.lr": 5e-3, "embedding.dim": 4, "tower.layers": "8", "optim.precision": "fp32"}
    if "sharing.kind" not in more:
        dotted |= {"sharing.kind": "shared_bottom", "sharing.shared_bottom.layers": "16"}
    made = Trainer(store, TrialConfig.parse(dotted | more), OBJECTIVES, seed=1)
    made.diagnosis.every = every
    return made


def seen(made):
    """The diagnosis of a training that is run to its end."""
    made.run_to()
    return made.diagnosis.summary(made.course.curve, OBJECTIVES)


def _noisy(signal, rng, noise=1.0):
    return signal + noise * rng.normal(size=len(signal)) > 0


def opposite(rng, dense):
    """Task two is task one turned around."""
    one = _noisy(dense[:, 0], rng)
    return np.stack([one, ~one], axis=1)


def related(rng, dense):
    """Two noisy looks at the same thing."""
    return np.stack([_noisy(dense[:, 0] + 0.5 * dense[:, 1], rng) for _ in range(2)], axis=1)


def apart(rng, dense):
    """Two things that have nothing to do with each other."""
    return np.stack([_noisy(dense[:, at], rng, 0.5) for at in (0, 1)], axis=1)


def at_two_speeds(rng, dense):
    """Task one is soon learned, and then the noise in its labels by heart; task two is a parity, learned late."""
    return np.stack([_noisy(dense[:, 4], rng, 1.5), (dense[:, :3] > 0).sum(axis=1) % 2], axis=1)
