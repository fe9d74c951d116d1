"""Losses on generated data with a known truth: order within groups, and errors of times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.store import Split
from bench.data.tasks import scale_of
from bench.models.losses import LOSSES, REGRESSION_LOSSES
from bench.production.served_model import ModelSpec
from bench.schema import Field, Schema, Task
from bench.testing.metrics import evaluate
from bench.testing.training import MemoryStore, trainer

ROWS, EACH = 20_000, 10
SMALL: dict[str, Any] = {
    "sharing.shared_bottom.layers": "4",
    "tower.layers": "",
    "optim.batch_size": 500,
    "optim.epochs": 15,
    "optim.lr": 0.02,
    "optim.patience": 99,
    "embedding.dim": 1,
}


class Drawn(MemoryStore):
    """Rows of two numbers: of the group, and of the row; `probability` and `mean` are the truth on test."""

    def _make(self, rows: int, seed: int) -> Split:
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(rows // EACH), EACH)
        of_group, own = np.repeat(rng.normal(size=rows // EACH), EACH), rng.normal(size=rows)
        labels = self.labels(rng, of_group, own)
        ids = np.stack([at + rng.integers(0, 2, rows) for at in self.schema.offsets], 1).astype(np.int32)
        dense = np.stack([of_group, own], 1).astype(np.float32)
        return Split(ids, dense, labels.astype(np.float32)[:, None], group.astype(np.int32))

    def labels(self, rng: np.random.Generator, of_group: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Most of what makes a click is the group, by a wave that few units cannot follow."""
        logits = 3 * np.sin(4 * of_group) + 0.7 * np.abs(own) - 0.56
        self.truth = 1 / (1 + np.exp(-logits))
        return rng.random(len(own)) < self.truth


class Watched(Drawn):
    """Seconds with a long tail: their logarithm has a standard deviation of .8 around a smooth function."""

    def labels(self, rng: np.random.Generator, of_group: np.ndarray, own: np.ndarray) -> np.ndarray:
        middle = 3 + 0.6 * of_group + 0.4 * own
        self.truth = np.exp(middle + 0.8**2 / 2)
        times = np.exp(middle + 0.8 * rng.normal(size=len(own)))
        if self.schema.tasks[0].scale is None:
            self.schema = Schema(
                self.schema.fields, self.schema.dense, (Task("watch", "regression", scale=scale_of(times, True)),)
            )
        return times


def slow_after(first: str, kinds: Iterable[str]) -> list[Any]:
    return [pytest.param(kind, marks=() if kind == first else pytest.mark.slow) for kind in kinds]


@pytest.mark.parametrize("kind", slow_after("listwise", (kind for kind in LOSSES if kind not in ("log", "focal"))))
def test_a_loss_that_ranks_orders_groups_better_where_log_loss_has_no_room_for_the_rows(kind: str) -> None:
    """Four hidden units go to the group under log loss, though it changes no order. PCOC stays near 1."""
    store = Drawn(ROWS, (Task("click"),), 0, (Field("user", 2),))
    test = store.split("confirm")  # drawn last: the truth is that of its rows
    p = store.truth.astype(np.float32)[:, None]
    best = evaluate(test.labels, p, p, test.group, store.schema.tasks, "", ("click.ndcg@5",))
    found = {}
    for loss in ("log", kind):
        made = trainer(store, SMALL | {"loss.kind": loss})
        made.evaluation.outcomes = ("click.ndcg@5",)
        made.run_to()
        found[loss] = made.metrics("confirm")
    ours, plain = found[kind]["confirm/click.ndcg@5"], found["log"]["confirm/click.ndcg@5"]
    assert ours > plain + 0.5 * (best["click.ndcg@5"] - plain)
    assert found[kind]["confirm/click.pcoc"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", slow_after("squared", REGRESSION_LOSSES))
def test_watch_time_comes_within_two_per_cent_of_the_reachable_error(kind: str) -> None:
    store = Watched(ROWS, (Task("watch", "regression"),), 0, (Field("user", 2),))
    test = store.split("confirm")
    reachable = float(np.sqrt(np.mean((test.labels[:, 0] - store.truth) ** 2)))
    made = trainer(
        store,
        SMALL | {"sharing.shared_bottom.layers": "32", "regression_loss.kind": kind, "optim.schedule": "cosine"},
        ("watch.rmse",),
    )
    made.run_to()
    assert made.metrics("confirm")["confirm/watch.rmse"] < 1.02 * reachable


@pytest.mark.parametrize("sharing", ["mmoe", "single_task"])
@pytest.mark.parametrize("funnel", ["independent", "escm2_dr"])
def test_second_scores_are_not_served(funnel: str, sharing: str) -> None:
    """A package has neither the loss nor its towers, and predicts what was trained."""
    dotted = {"loss.kind": "jrc", "funnel.kind": funnel, "sharing.kind": sharing, "ensemble.members": 2}
    made = trainer(MemoryStore(), dotted | {"optim.epochs": 2})
    made.run_to()
    spec = ModelSpec.of_trained(made.schema, made.config.dotted(), [[made.model.state_dict()]])
    served = spec.of([[made.model.state_dict()]])
    plain = trainer(MemoryStore(), dotted | {"loss.kind": "log"}).model
    assert spec.shapes()["members.0.0.towers.output.weight"] == tuple(plain.towers.output.weight.shape)
    split = made.store.split("test")
    inputs = torch.from_numpy(split.ids), torch.from_numpy(split.dense)
    with torch.no_grad():
        made.model.eval()
        expected = made.model.probabilities(made.model(*inputs))
        for found, wanted in zip(served(*inputs), (expected.conditional, expected.joint), strict=True):
            torch.testing.assert_close(found, wanted)
