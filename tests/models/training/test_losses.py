"""Losses where labels are censored, on generated data with a known truth; and what is served of a
loss.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from bench.core.schema import Cap, Field, Number, Task
from bench.data.store import StoredSplit
from bench.data.tasks import scale_of
from bench.serve.served_model import ModelPart, ModelSpec, regressions_in_words
from bench.testing.training_checks import MemoryStore, trainer

ROWS, EACH = 20_000, 10
BROAD: dict[str, Any] = {
    "sharing.shared_bottom.layers": "32",
    "tower.layers": "",
    "optim.batch_size": 500,
    "optim.epochs": 15,
    "optim.lr": 0.02,
    "optim.patience": 99,
    "optim.schedule": "cosine",
    "embedding.dim": 1,
}


class Watched(MemoryStore):
    """Seconds with a long tail: their logarithm has a standard deviation of .8 around a smooth
    function.

    `truth` is that of the rows drawn last, those of `confirm`.
    """

    def _make(self, rows, seed):
        rng = np.random.default_rng(seed)
        of_group, own_effect = np.repeat(rng.normal(size=rows // EACH), EACH), rng.normal(size=rows)
        middle = 3 + 0.6 * of_group + 0.4 * own_effect
        self.truth = np.exp(middle + 0.8**2 / 2)
        times = np.exp(middle + 0.8 * rng.normal(size=rows))
        if self.schema.tasks[0].scale is None:
            task = replace(self.schema.tasks[0], scale=scale_of(times, True))
            self.schema = replace(self.schema, tasks=(task,))
        ids = np.stack(
            [offset + rng.integers(0, 2, rows) for offset in self.schema.offsets], 1
        ).astype(np.int32)
        dense = np.stack([of_group, own_effect], 1).astype(np.float32)
        return StoredSplit(
            ids, dense, times.astype(np.float32)[:, None], np.arange(rows, dtype=np.int32) // EACH
        )


def error(labels, predicted):
    return float(np.sqrt(np.mean((labels - predicted) ** 2)))


class Capped(Watched):
    """Seconds of which at most a video's duration is seen; no input says how long it is."""

    def _make(self, rows, seed):
        split = super()._make(rows, seed)
        self.latent = split.labels[:, 0].copy()
        self.schema = replace(self.schema, tasks=(replace(self.schema.tasks[0], censored=True),))
        bounds = np.exp(np.random.default_rng(seed + 99).normal(3.5, 1, (rows, 1))).astype(
            np.float32
        )
        return replace(split, stored_labels=np.minimum(split.labels, bounds), stored_bounds=bounds)


def seconds_of(training, split):
    training.model.eval()
    with torch.no_grad():
        inputs = torch.from_numpy(split.ids), torch.from_numpy(split.dense)
        return training.model.probabilities(training.model(*inputs)).conditional[:, 0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["squared", "bins"])
def test_censored_seconds_come_within_two_per_cent_of_the_reachable_error_of_all(kind):
    """Half of the labels are at their bound. Without the bounds, the error is far larger."""
    store = Capped(2 * ROWS, (Task("watch", "regression"),), 0, (Field("user", 2),))
    test, latent = store.split("confirm"), store.latent
    training = trainer(
        store, BROAD | {"optim.epochs": 8, "regression_loss.kind": kind}, ("watch.rmse",)
    )
    training.select = False
    training.run_to()
    reachable = error(latent, store.truth)
    assert error(latent, seconds_of(training, test)) < 1.02 * reachable
    capped = Capped(2 * ROWS, (Task("watch", "regression"),), 0, (Field("user", 2),))
    capped.schema = replace(capped.schema, tasks=(replace(capped.schema.tasks[0], censored=False),))
    capped._splits = {
        name: replace(split, stored_bounds=None) for name, split in capped._splits.items()
    }
    plain = trainer(
        capped, BROAD | {"optim.epochs": 8, "regression_loss.kind": kind}, ("watch.rmse",)
    )
    plain.run_to()
    assert error(latent, seconds_of(plain, test)) > 1.05 * reachable


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_a_quantile_is_that_of_the_truth_where_labels_are_censored_too(level):
    errors = {}
    for kind in (Watched, Capped):
        store = kind(ROWS, (Task("watch", "regression"),), 0, (Field("user", 2),))
        dotted = {"regression_loss.kind": "quantile", "regression_loss.quantile.level": level}
        training = trainer(store, BROAD | dotted, ("watch.mae",))
        training.select = False
        training.run_to()
        truth = store.truth / np.exp(0.8**2 / 2) * np.exp(0.8 * ndtri(level))
        predicted = seconds_of(training, store.split("confirm"))
        errors[kind] = float(np.median(np.abs(np.log(predicted / truth))))
    assert max(errors.values()) < 0.05


def packaged(training):
    """The parts of a trained model's package, its specification, and what both say of test: the
    package and it.
    """
    parts = [ModelPart.whole(training.config.dotted(), training.schema)]
    members = [[[training.model.state_dict()]]]
    spec, split = (
        ModelSpec.of_trained(training.schema, parts, members),
        training.store.split("test"),
    )
    inputs = torch.from_numpy(split.ids), torch.from_numpy(split.dense)
    training.model.eval()
    with torch.no_grad():
        return (
            parts,
            spec,
            spec.with_weights(members)(*inputs),
            training.model.probabilities(training.model(*inputs)),
        )


@pytest.mark.parametrize("sharing", ["mmoe", "single_task"])
@pytest.mark.parametrize("kind", ["squared", "quantile", "bins"])
def test_what_is_predicted_of_a_regression_is_served(kind, sharing):
    """With its duration, bounds and an input that caps it, of an ensemble, in both readings; no
    label is needed.
    """
    number = Number("age", 0, None, (-3.0, 3.0), (9,))
    scale = scale_of(np.exp(np.arange(9.0)), True)
    cap = Cap(0, None, False, 3.0, 1.0)
    watch = Task("watch", "regression", "click", scale, duration="age", censored=True, cap=cap)
    fields = (Field("user", 20), Field("age_bucket", 3))
    store = MemoryStore(64, (Task("click"), watch), 0, fields, numbers=(number,))
    dotted = {
        "regression_loss.kind": kind,
        "sharing.kind": sharing,
        "ensemble.members": 2,
        "optim.epochs": 3,
    }
    training = trainer(store, dotted)
    training.run_to()
    parts, spec, (conditional, joint), expected = packaged(training)
    shapes = {
        f"members.0.0.models.0.{name}": tensor.shape
        for name, tensor in training.model.state_dict().items()
    }
    assert {name: tensor.shape for name, tensor in spec.weights().items()} == shapes
    torch.testing.assert_close(conditional, expected.conditional)
    torch.testing.assert_close(
        joint, conditional * torch.stack([torch.ones(64), conditional[:, 0]], 1)
    )
    assert (conditional[:, 1] <= torch.from_numpy(store.split("test").dense)[:, 0] + 3 + 1e-4).all()
    assert regressions_in_words(training.schema, parts) == {
        "watch": "0.5 quantile" if kind == "quantile" else "mean"
    }


@pytest.mark.parametrize("sharing", ["mmoe", "single_task"])
@pytest.mark.parametrize("funnel", ["independent", "escm2_dr"])
def test_second_scores_are_not_served(funnel, sharing):
    """A package has neither the loss nor its towers, and predicts what was trained."""
    dotted = {
        "loss.kind": "jrc",
        "funnel.kind": funnel,
        "sharing.kind": sharing,
        "ensemble.members": 2,
    }
    training = trainer(MemoryStore(), dotted | {"optim.epochs": 2})
    training.run_to()
    _, spec, predicted, expected = packaged(training)
    plain = trainer(MemoryStore(), dotted | {"loss.kind": "log"}).model
    assert (
        spec.weights()["members.0.0.models.0.towers.output.weight"].shape
        == plain.towers.output.weight.shape
    )
    torch.testing.assert_close(predicted, (expected.conditional, expected.joint))
