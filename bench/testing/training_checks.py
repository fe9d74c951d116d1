"""Checks of every configuration in training, on a tiny store in memory."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest import SkipTest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.arrays import Singles
from bench.core.errors import UserError
from bench.core.objectives import parse
from bench.core.schema import Field, Number, Scale, Schema, Task
from bench.data import Store
from bench.data.batches import Batch, Batches
from bench.data.store import StoredSplit, WeightFacts
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.testing.models import SPREADS, constant_slices, moved

CHAIN = (Task("click"), Task("buy", parent="click"), Task("like"))
_SECONDS = Scale(log=True, centre=0.4, spread=0.5, low=0.0, high=2.0, mean=0.7)
VALUES = (
    Task("click"),
    Task("watch", "regression", "click", _SECONDS),
    Task("stay", "regression", scale=_SECONDS),
)
"""A regression with a parent, and one without."""
FIELDS = (Field("user", 20), Field("tags", 6, slots=2), Field("item", 12))
SMALL: dict[str, Any] = {
    "embedding.dim": 4,
    "tower.layers": "16",
    "optim.lr": 0.01,
    "optim.batch_size": 64,
    "optim.schedule": "constant",
    "optim.precision": "fp32",  # with few rows, bfloat16 rounding would look like a mistake
}


@cache
def _training_files() -> TemporaryDirectory[str]:
    """Folder for files that trainings write beside a store; equal stores share it until the process
    ends.
    """
    return TemporaryDirectory()


class MemoryStore:
    """The parts of a store that a trainer uses: by default three fields, one multi-valued, and two
    dense columns.
    """

    key = "tiny"
    fingerprint = "0"

    def __init__(
        self,
        rows: int = 64,
        tasks: tuple[Task, ...] = CHAIN,
        seed: int = 0,
        fields: tuple[Field, ...] = FIELDS,
        weights: int = 0,
        numbers: tuple[Number, ...] = (),
    ) -> None:
        scenario = "item" if any(field.name == "item" for field in fields) else None
        self.schema = Schema(
            fields, ("age", "price"), tasks, numbers=numbers, grouped=True, scenario=scenario
        )
        self.default_tasks = tuple(task.name for task in tasks)
        self.weights = None
        if weights:
            self.weights = WeightFacts(plain=True, task=tasks[0].name if weights > 1 else None)
        arguments = repr((type(self), rows, tasks, seed, fields, weights, numbers))
        self.path = Path(_training_files().name) / str(zlib.crc32(arguments.encode()))
        self._n_weights = weights
        self._splits = {}
        for number, name in enumerate(("train", "valid", "test", "confirm")):
            self._splits[name] = self._make(rows, seed + number)

    def split(self, name: str) -> StoredSplit:
        """The rows of a split."""
        return self._splits[name]

    def _make(self, rows: int, seed: int) -> StoredSplit:
        rng = np.random.default_rng(seed)
        columns = []
        for field, offset in zip(self.schema.fields, self.schema.offsets, strict=True):
            for _ in range(field.slots):
                columns.append(offset + rng.integers(0, field.cardinality, rows))
        ids = np.stack(columns, axis=1).astype(np.int32)
        dense = rng.normal(size=(rows, 2)).astype(np.float32)
        labels = self._labels(ids, dense)
        group = rng.integers(0, 8, rows).astype(np.int32)
        weights = None
        if self._n_weights:
            weights = rng.integers(0, 4, (rows, self._n_weights)).astype(np.float32)
            if self._n_weights > 1:  # negatives of the first task were thinned
                weights[:, 1] = np.where(labels[:, 0] == 0, 4, 1)
        bounds = None
        is_censored = [task.censored for task in self.schema.tasks]
        if any(is_censored):
            is_unbounded = rng.random(labels.shape) < 0.5
            drawn = np.abs(rng.normal(size=labels.shape))
            bounds = np.where(is_censored & ~is_unbounded, drawn, np.inf).astype(np.float32)
            labels = np.minimum(labels, bounds)
        return StoredSplit(ids, dense, labels, group, weights=weights, stored_bounds=bounds)

    def _labels(self, ids: NDArray[np.int32], dense: Singles) -> Singles:
        """Half of the rows of a binary task are positive; a child happens only where its parent
        did.
        """
        labels = np.zeros((len(ids), len(self.schema.tasks)), dtype=np.float32)
        for t, task in enumerate(self.schema.tasks):
            signal = dense[:, t % 2] + 0.7 * np.sin(ids[:, 0] * (t + 1.0))
            if task.kind == "regression":
                labels[:, t] = signal
            else:
                labels[:, t] = signal > np.quantile(signal, 0.5)
            parent = self.schema.parents[t]
            if parent is not None:
                labels[:, t] *= labels[:, parent]
        return labels


def trainer(
    store: MemoryStore, dotted: Mapping[str, Any], objectives: Sequence[str] = ("click.auc",)
) -> Trainer:
    """A trainer of a small model, configured as in {"sharing.kind": "mmoe"}; raises SkipTest if
    that does not fit.
    """
    config = TrialConfig.parse(SMALL | dict(dotted))
    try:
        config.check_fit(store.schema)
    except UserError as reason:
        raise SkipTest(str(reason)) from None
    parsed = [parse(name, store.schema.tasks, "conformance") for name in objectives]
    return Trainer(cast(Store, store), config, parsed, seed=1)


def _reached(trained: Trainer, batch: Batch, steps: int) -> dict[str, Tensor]:
    """Slices of the parameters of model and balancer, but the table, that had a gradient in some
    steps on a batch.

    A vector is a single slice. Constant parameters are left out.
    """
    parameters = dict(trained.model.named_parameters())
    for name, parameter in trained.step.balancer.named_parameters():
        parameters[f"balancer.{name}"] = parameter
    del parameters["embedding.weight"]
    for name, constant in constant_slices(trained.model).items():
        if constant.all():
            del parameters[name]
    reached = {}
    for name, parameter in parameters.items():
        slices = len(parameter) if parameter.ndim > 1 else 1
        reached[name] = torch.zeros(slices, dtype=torch.bool)
    for _ in range(steps):
        trained.step(*batch)
        for name, parameter in parameters.items():
            if parameter.grad is not None:
                gradient = parameter.grad.nan_to_num()
                reached[name] |= gradient.reshape(len(reached[name]), -1).any(dim=1)
    return reached


def it_reaches_every_parameter_and_fits_64_rows(
    store: MemoryStore, dotted: Mapping[str, Any], lowest: float = 0.99
) -> None:
    """Every parameter of model and balancer but the table has gradients, and 64 rows are learnt by
    heart.

    Args:
        lowest: AUC of each task on these rows after 625 steps.
    """
    trained = trainer(store, dotted)
    batch = next(Batches(store.split("train")).in_order(64))
    reached = _reached(trained, batch, 25)
    for number, spread in enumerate(SPREADS):  # a unit of ReLU that is off in all rows stays so
        if all(slices.all() for slices in reached.values()):
            break
        elsewhere = trainer(store, dotted)
        torch.manual_seed(number)  # a trainer sets it
        moved(elsewhere.model, spread)
        for name, slices in _reached(elsewhere, batch, 1).items():
            reached[name] |= slices
    for name, slices in reached.items():
        assert slices.all(), f"{name}: no gradient ever reached some of it"
    fitted: dict[str, float] = {}
    for _ in range(20):
        for _ in range(30):
            trained.step(*batch)
        fitted = trained.metrics("train")
        metrics = ("train/click.auc", "train/buy.ctcvr.auc", "train/like.auc")
        if min(fitted[name] for name in metrics) > lowest:
            return
    raise AssertionError(f"64 rows were not overfitted: {fitted}")


def it_trains_in_bf16(store: MemoryStore, dotted: Mapping[str, Any]) -> None:
    """Two steps with products in bfloat16.

    What multiplies x has x's precision, as in `x @ weight.to(x.dtype)`, if its class says
    `lower_precision=True`.
    """
    trained = trainer(store, {**dotted, "optim.precision": "bf16"})
    batch = next(Batches(store.split("train")).in_order(64))
    for _ in range(2):
        trained.step(*batch)
    for name, tensor in trained.model.state_dict().items():
        assert tensor.isfinite().all(), f"expected finite numbers in '{name}', found {tensor}"


def its_state_round_trips_bit_for_bit(store: MemoryStore, dotted: Mapping[str, Any]) -> None:
    """Training goes on from a saved state as if it had never stopped.

    All that is kept between steps is a parameter or a buffer, and all draws come from torch's
    default generator.
    """
    batch = next(Batches(store.split("train")).in_order(64))
    first, second = trainer(store, dotted), trainer(store, dotted)
    _three_steps(first, batch)
    second.load_state_dict(first.state_dict())
    _three_steps(first, batch)
    _three_steps(second, batch)
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), (
            f"'{name}' differs after three steps more"
        )


def _three_steps(trained: Trainer, batch: Batch) -> None:
    torch.manual_seed(7)
    for _ in range(3):
        trained.step(*batch)


def a_row_of_weight_0_counts_as_one_without_labels(
    store: MemoryStore, dotted: Mapping[str, Any]
) -> None:
    """Losses of four steps with weights of 0 and 3 are those without weights, and without labels
    where these are 0.
    """
    weighted, plain = trainer(store, dotted), trainer(store, dotted)
    ids, dense, labels, *_ = next(Batches(store.split("train")).in_order(64))
    weights = torch.where(torch.arange(64)[:, None] % 3 == 0, 0.0, 3.0)
    labels_with_weight = torch.where(weights > 0, labels, torch.nan)
    for _ in range(4):
        torch.manual_seed(7)
        weighted_losses = weighted.step(ids, dense, labels, weights)
        torch.manual_seed(7)
        plain_losses = plain.step(ids, dense, labels_with_weight)
        torch.testing.assert_close(weighted_losses, plain_losses, rtol=1e-3, atol=1e-4)


def a_task_without_labels_in_a_batch_leaves_all_finite(
    store: MemoryStore, balancing: str, precision: str
) -> None:
    """Weights and the balancer's state, over four batches of which two lack a task."""
    trained = trainer(
        store, {"sharing.kind": "mmoe", "balancing.kind": balancing, "optim.precision": precision}
    )
    ids, dense, labels, weights, *_ = next(Batches(store.split("train")).in_order(64))
    for missing in (None, 0, 2, None):
        seen = labels.clone()
        if missing is not None:
            seen[:, missing] = torch.nan
        trained.step(ids, dense, seen, weights)
    states = trained.model.state_dict(), trained.step.balancer.state_dict()
    for tensor in (*states[0].values(), *states[1].values()):
        assert tensor.isfinite().all()


OF_ALL = (its_state_round_trips_bit_for_bit, a_row_of_weight_0_counts_as_one_without_labels)
"""Checks of every part of a model and every balancer."""
