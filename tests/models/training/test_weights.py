"""A row of weight w is w equal rows: in metrics, their resamples, outcomes, losses, trees and
calibration.
"""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from in_memory import evaluate

from bench.core.schema import Field, Schema, Task
from bench.data import Store
from bench.data.store import StoredSplit
from bench.measure.outcomes import Measure
from bench.measure.resamples import counts, drawn_of, units_of
from bench.measure.spaces import Labelled
from bench.models.funnels import FUNNELS
from bench.models.training import tree_training
from bench.models.training.tree_data import RowLimits
from bench.models.training.tree_settings import TreeSettings
from bench.models.training.tree_training import train_trees
from bench.serve.calibration_maps import fit_isotonic, fit_platt
from bench.testing.models import TASKS as SETS
from bench.testing.training_checks import MemoryStore

TASKS = (Task("click"), Task("buy", parent="click"), Task("stay", "regression"))
ROWS = 600
OUTCOMES = (
    "click.recall@7.5%",
    "click.auc",
    "click.gauc",
    "buy.gauc_positives",
    "stay.value@10%",
    "buy.recall@20%",
)


def rows(seed=0, decimals=2):
    """Labels, conditional and joint predictions (N, 3), with ties, and groups; some labels are
    missing.
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(size=ROWS)
    click = rng.random(ROWS) < 1 / (1 + np.exp(-z))
    labels = np.stack(
        [click, click & (rng.random(ROWS) < 0.4), z + rng.normal(size=ROWS)], 1
    ).astype(np.float32)
    labels[rng.random(ROWS) < 0.05, 2] = np.nan
    said = np.stack([1 / (1 + np.exp(-z - rng.normal(size=ROWS))), rng.random(ROWS), z], 1).round(
        decimals
    )
    joint = said * [[1, 0, 1]]
    joint[:, 1] = (said[:, 0] * said[:, 1]).round(decimals)
    group = rng.integers(-1, 40, ROWS).astype(np.int32)
    return labels, said.astype(np.float32), joint.astype(np.float32), group


def whole_weights(seed=1):
    return np.random.default_rng(seed).integers(0, 4, (ROWS, 1)).astype(np.float32)


@pytest.mark.parametrize("decimals", [1, 6])
def test_metrics_are_those_of_the_rows_repeated_and_plain_ones_stand_beside(decimals):
    own, weights = rows(decimals=decimals), whole_weights()
    again = np.repeat(np.arange(ROWS), weights[:, 0].astype(int))
    found = evaluate(*own, TASKS, "v/", OUTCOMES[:1], weights, plain=True)
    repeated = evaluate(*(array[again] for array in own), TASKS, "v/", OUTCOMES[:1])
    once = evaluate(*own, TASKS, "v/")
    plain = {key.replace(".plain_", "."): value for key, value in found.items() if ".plain_" in key}
    assert {key: value for key, value in found.items() if ".plain_" not in key} == pytest.approx(
        repeated, rel=1e-6
    )
    assert plain == pytest.approx(once, rel=1e-6)
    assert evaluate(*own, TASKS, "v/", weights=np.ones((ROWS, 1))) == pytest.approx(once, rel=1e-6)


def test_areas_and_shares_of_all_rows_count_weights_and_lists_only_whether_they_are_0():
    labels, said, joint, group = rows()
    labels[:, 2] = np.abs(labels[:, 2])
    labels = np.nan_to_num(labels)
    weights = whole_weights()
    lists = ("click.ndcg@3", "buy.recall@2")
    again = np.repeat(np.arange(ROWS), weights[:, 0].astype(int))
    own = Labelled(labels, group, weights[:, 0])
    some = labels[:, 0] + (np.arange(ROWS) % 2) > 0
    drawn_rows = drawn_of(own, "test", 5)
    measure = Measure(TASKS, OUTCOMES + lists, own, [some | True, some], drawn_rows)
    repeated = Measure(TASKS, OUTCOMES, Labelled(labels[again], group[again]))
    seen = Labelled(np.where(weights > 0, labels, np.nan), group)
    every, plain = measure.resampled(joint[:, 0]), Measure(TASKS, lists, seen, drawn=drawn_rows)
    found = every[:, 0]
    np.testing.assert_allclose(found[0, :-2], repeated.values(joint[again, 0])[0], rtol=1e-9)
    np.testing.assert_allclose(measure.values(joint[:, 0]), every[0], rtol=1e-12)
    np.testing.assert_allclose(found[:, -2:], plain.resampled(joint[:, 0])[:, 0], rtol=1e-12)
    told = evaluate(labels, said, joint, group, TASKS, "", lists[:1], weights)[lists[0]]
    assert told == pytest.approx(found[0, -2], rel=1e-6)
    drawn = counts(units_of(group, 0), "test", 5)[:, 2] * weights[:, 0]
    there = Measure(TASKS, OUTCOMES, replace(own, weights=drawn))
    np.testing.assert_allclose(found[3, :-2], there.values(joint[:, 0])[0], rtol=1e-9)
    part = Measure(TASKS, OUTCOMES, Labelled(labels[some], group[some], weights[some, 0]))
    np.testing.assert_allclose(every[0, 1, :-2], part.values(joint[some, 0])[0], rtol=1e-9)


@pytest.mark.parametrize("funnel", FUNNELS)
@pytest.mark.parametrize("tasks", ["mixed", "six"])
def test_losses_and_gradients_are_those_of_the_rows_repeated(funnel, tasks):
    schema, draw = Schema((), (), SETS[tasks]), torch.Generator().manual_seed(0)
    entry = FUNNELS[funnel]
    made = entry.build(schema, entry.config())
    logits = torch.randn(40, len(made.outputs), generator=draw, dtype=torch.float64)
    labels = (torch.rand(40, len(schema.tasks), generator=draw) < 0.6).double()
    for at, parent in enumerate(schema.parents):
        labels[:, at] *= 1 if parent is None else labels[:, parent]
    labels[torch.rand(labels.shape, generator=draw) < 0.1] = torch.nan
    weights = torch.randint(0, 3, (40, 1), generator=draw).double()
    again = torch.repeat_interleave(torch.arange(40), weights[:, 0].long())
    found = losses_and_gradient(made, logits, labels, weights)
    repeated = losses_and_gradient(made, logits[again], labels[again])
    torch.testing.assert_close(found[0], repeated[0])
    summed = torch.zeros_like(logits).index_add(0, again, repeated[1])
    torch.testing.assert_close(found[1], summed)
    torch.testing.assert_close(losses_and_gradient(made, logits, labels, weights * 7)[0], found[0])
    assert not losses_and_gradient(made, logits, labels, weights * 0)[0].any()


def losses_and_gradient(made, logits, labels, *weights):
    logits = logits.clone().requires_grad_()
    losses = made.losses(logits, labels, *weights)
    return losses.detach(), torch.autograd.grad(losses.sum(), logits)[0]


@pytest.mark.parametrize("fit", [fit_isotonic, fit_platt])
def test_a_calibration_is_that_of_the_rows_repeated(fit):
    labels, said, _, _ = rows()
    weights = whole_weights()[:, 0]
    again = np.repeat(np.arange(ROWS), weights.astype(int))
    at = np.linspace(0, 1, 50)
    found, repeated = fit(said[:, 0], labels[:, 0], weights), fit(said[again, 0], labels[again, 0])
    np.testing.assert_allclose(found.apply(at), repeated.apply(at), atol=1e-6)
    assert abs(found.apply(at) - fit(said[:, 0], labels[:, 0]).apply(at)).max() > 1e-3


FIELD = (Field("all", 1),)  # scikit-learn takes account of a category's rows without their weights


def test_trees_are_those_of_the_rows_repeated(monkeypatch):
    # later ones choose between splits that are equally good
    monkeypatch.setattr(tree_training, "MOST_TREES", 5)
    noise = np.random.default_rng(0).random((2, 150)) < 0.3
    stores = [MemoryStore(rows=150, fields=FIELD, weights=1) for _ in range(3)]
    for at, name in enumerate(("train", "valid")):
        split = stores[0].split(name)
        labels = np.abs(split.labels - noise[at][:, None])
        again = np.repeat(np.arange(150), split.weights[:, 0].astype(int))
        arrays = (split.ids, split.dense, labels.astype(np.float32), split.group)
        stores[0]._splits[name] = StoredSplit(*arrays, weights=split.weights)
        stores[1]._splits[name] = StoredSplit(*(array[again] for array in arrays))
        stores[2]._splits[name] = StoredSplit(*arrays)
    test = stores[0].split("test")
    settings, limits = TreeSettings(rows_a_leaf=1, columns=1.0), RowLimits(10_000, 10_000, 256)
    grown = [train_trees(cast(Store, store), 0, settings, limits, 0) for store in stores]
    # on validation, which stops them
    assert grown[0].merit == pytest.approx(grown[1].merit, rel=1e-5) != grown[2].merit
    found, repeated, plain = (each.predict(test.ids, test.dense) for each in grown)
    np.testing.assert_allclose(found, repeated, atol=1e-5)
    assert abs(plain - repeated).max() > 0.05
