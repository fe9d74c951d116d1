"""Training with each numeric kind: everything learns, under either kind of balancer and in bfloat16, bit for bit."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.batches import Batches
from bench.data.store import Split
from bench.models.numeric import NUMERIC
from bench.objectives import Objective
from bench.schema import Field, Number, Schema
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

EDGES = (-1.0, -0.3, 0.2, 1.0)
BATCH, RANGES = 64, len(EDGES) - 1
COARSE = {"numeric.kind": "bucket", "numeric.bucket.bins": 2}
KINDS = [*({"numeric.kind": kind} for kind in NUMERIC), COARSE]


@pytest.fixture(scope="module")
def store(tiny: Any) -> Any:
    """The tiny store with its dense columns as numbers; `price` is missing in a quarter of the rows."""
    plain, made, counts = tiny.schema, copy.copy(tiny), (20, 24, 20)
    numbers = (Number("age", 0, None, EDGES, counts), Number("price", 1, 2, EDGES, counts))
    ranges = tuple(Field(f"{number.name}_bucket", RANGES + 2) for number in numbers)
    made.schema = Schema((*plain.fields, *ranges), (*plain.dense, "price_missing"), plain.tasks, None, numbers)

    def with_numbers(split: Split) -> Split:
        missing = np.arange(len(split.dense)) % 4 == 0
        local = 1 + np.searchsorted(EDGES[1:-1], split.dense, side="right")
        local[missing, 1] = RANGES + 1
        ids = np.concatenate([split.ids, local + np.array(made.schema.offsets[-2:])], axis=1)
        dense = np.stack([split.dense[:, 0], np.where(missing, 0, split.dense[:, 1]), missing], axis=1)
        return replace(split, stored_ids=ids.astype(np.int32), dense=dense.astype(np.float32))

    made._splits = {name: with_numbers(tiny.split(name)) for name in ("train", "valid", "test", "confirm")}
    return made


def trained(
    store: Any, kind: dict[str, object], steps: int = 25, **more: object
) -> tuple[Trainer, dict[str, torch.Tensor]]:
    """After some steps on one batch, and where gradients reached each parameter."""
    dotted = {"embedding.dim": 4, "tower.layers": "16", "optim.lr": 0.01, "optim.precision": "fp32"} | kind | more
    made = Trainer(store, TrialConfig.parse(dotted), (Objective("click.auc", "maximize"),), seed=1)
    batch = next(Batches(store.split("train")).in_order(BATCH))
    reached = {name: torch.zeros_like(each, dtype=torch.bool) for name, each in made.model.named_parameters()}
    for _ in range(steps):
        made.step(*batch)
        for name, parameter in made.model.named_parameters():
            if parameter.grad is not None:
                reached[name] |= parameter.grad != 0
    return made, reached


@pytest.mark.parametrize(
    ("kind", "balancing"), list(zip(KINDS, cycle(("static", "upgrad", "moco")), strict=False)), ids=str
)
def test_everything_learns(store: Any, kind: dict[str, object], balancing: str) -> None:
    made, reached = trained(store, kind, **{"balancing.kind": balancing, "sharing.kind": "stem"})
    table = made.model.embedding.weight
    for name, where in reached.items():
        if "numeric" in name:
            assert where.flatten(1).any(dim=1).all(), name
    fresh = Trainer(store, made.config, made.objectives, seed=1).model.embedding.weight
    moved = (table != fresh).any(dim=1)
    ids = made.model.rows(torch.from_numpy(store.split("train").ids[:BATCH]))
    assert moved[torch.unique(ids[ids > 0]).long()].all()
    assert len(table) == made.model.schema.rows


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_seed_decides_everything_and_bfloat16_is_near(store: Any, kind: dict[str, object]) -> None:
    one, other = (trained(store, kind, 5)[0].model.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    batch = next(Batches(store.split("train")).in_order(BATCH))
    exact, rounded = (trained(store, kind, 0, **{"optim.precision": way})[0].model for way in ("fp32", "bf16"))
    found = [model.eval()(batch.ids, batch.dense) for model in (exact, rounded)]
    torch.testing.assert_close(*found, rtol=0.05, atol=0.05)
