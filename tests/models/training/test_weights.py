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
    predictions = np.stack(
        [1 / (1 + np.exp(-z - rng.normal(size=ROWS))), rng.random(ROWS), z], 1
    ).round(decimals)
    joint = predictions * [[1, 0, 1]]
    joint[:, 1] = (predictions[:, 0] * predictions[:, 1]).round(decimals)
    group = rng.integers(-1, 40, ROWS).astype(np.int32)
    return labels, predictions.astype(np.float32), joint.astype(np.float32), group


def whole_weights(seed=1):
    return np.random.default_rng(seed).integers(0, 4, (ROWS, 1)).astype(np.float32)


@pytest.mark.parametrize("decimals", [1, 6])
def test_metrics_are_those_of_the_rows_repeated_and_plain_ones_stand_beside(decimals):
    sample, weights = rows(decimals=decimals), whole_weights()
    again = np.repeat(np.arange(ROWS), weights[:, 0].astype(int))
    values = evaluate(*sample, TASKS, "v/", OUTCOMES[:1], weights, plain=True)
    repeated = evaluate(*(array[again] for array in sample), TASKS, "v/", OUTCOMES[:1])
    once = evaluate(*sample, TASKS, "v/")
    plain = {
        key.replace(".plain_", "."): value for key, value in values.items() if ".plain_" in key
    }
    assert {key: value for key, value in values.items() if ".plain_" not in key} == pytest.approx(
        repeated, rel=1e-6
    )
    assert plain == pytest.approx(once, rel=1e-6)
    assert evaluate(*sample, TASKS, "v/", weights=np.ones((ROWS, 1))) == pytest.approx(
        once, rel=1e-6
    )


def test_areas_and_shares_of_all_rows_count_weights_and_lists_only_whether_they_are_0():
    labels, predicted, joint, group = rows()
    labels[:, 2] = np.abs(labels[:, 2])
    labels = np.nan_to_num(labels)
    weights = whole_weights()
    lists = ("click.ndcg@3", "buy.recall@2")
    again = np.repeat(np.arange(ROWS), weights[:, 0].astype(int))
    labelled = Labelled(labels, group, weights[:, 0])
    some = labels[:, 0] + (np.arange(ROWS) % 2) > 0
    drawn_rows = drawn_of(labelled, "test", 5)
    measure = Measure(TASKS, OUTCOMES + lists, labelled, [some | True, some], drawn_rows)
    repeated = Measure(TASKS, OUTCOMES, Labelled(labels[again], group[again]))
    seen = Labelled(np.where(weights > 0, labels, np.nan), group)
    all_parts, plain = measure.resampled(joint[:, 0]), Measure(TASKS, lists, seen, drawn=drawn_rows)
    whole = all_parts[:, 0]
    np.testing.assert_allclose(whole[0, :-2], repeated.values(joint[again, 0])[0], rtol=1e-9)
    np.testing.assert_allclose(measure.values(joint[:, 0]), all_parts[0], rtol=1e-12)
    np.testing.assert_allclose(whole[:, -2:], plain.resampled(joint[:, 0])[:, 0], rtol=1e-12)
    value = evaluate(labels, predicted, joint, group, TASKS, "", lists[:1], weights)[lists[0]]
    assert value == pytest.approx(whole[0, -2], rel=1e-6)
    drawn = counts(units_of(group, 0), "test", 5)[:, 2] * weights[:, 0]
    there = Measure(TASKS, OUTCOMES, replace(labelled, weights=drawn))
    np.testing.assert_allclose(whole[3, :-2], there.values(joint[:, 0])[0], rtol=1e-9)
    part = Measure(TASKS, OUTCOMES, Labelled(labels[some], group[some], weights[some, 0]))
    np.testing.assert_allclose(all_parts[0, 1, :-2], part.values(joint[some, 0])[0], rtol=1e-9)


@pytest.mark.parametrize("funnel", FUNNELS)
@pytest.mark.parametrize("tasks", ["mixed", "six"])
def test_losses_and_gradients_are_those_of_the_rows_repeated(funnel, tasks):
    schema, draw = Schema((), (), SETS[tasks]), torch.Generator().manual_seed(0)
    entry = FUNNELS[funnel]
    built = entry.build(schema, entry.config())
    logits = torch.randn(40, len(built.outputs), generator=draw, dtype=torch.float64)
    labels = (torch.rand(40, len(schema.tasks), generator=draw) < 0.6).double()
    for task, parent in enumerate(schema.parents):
        labels[:, task] *= 1 if parent is None else labels[:, parent]
    labels[torch.rand(labels.shape, generator=draw) < 0.1] = torch.nan
    weights = torch.randint(0, 3, (40, 1), generator=draw).double()
    again = torch.repeat_interleave(torch.arange(40), weights[:, 0].long())
    result = losses_and_gradient(built, logits, labels, weights)
    repeated = losses_and_gradient(built, logits[again], labels[again])
    torch.testing.assert_close(result[0], repeated[0])
    summed = torch.zeros_like(logits).index_add(0, again, repeated[1])
    torch.testing.assert_close(result[1], summed)
    torch.testing.assert_close(
        losses_and_gradient(built, logits, labels, weights * 7)[0], result[0]
    )
    assert not losses_and_gradient(built, logits, labels, weights * 0)[0].any()


def losses_and_gradient(built, logits, labels, *weights):
    logits = logits.clone().requires_grad_()
    losses = built.losses(logits, labels, *weights)
    return losses.detach(), torch.autograd.grad(losses.sum(), logits)[0]


@pytest.mark.parametrize("fit", [fit_isotonic, fit_platt])
def test_a_calibration_is_that_of_the_rows_repeated(fit):
    labels, predicted, _, _ = rows()
    weights = whole_weights()[:, 0]
    again = np.repeat(np.arange(ROWS), weights.astype(int))
    grid = np.linspace(0, 1, 50)
    fitted, repeated = (
        fit(predicted[:, 0], labels[:, 0], weights),
        fit(predicted[again, 0], labels[again, 0]),
    )
    np.testing.assert_allclose(fitted.apply(grid), repeated.apply(grid), atol=1e-6)
    assert abs(fitted.apply(grid) - fit(predicted[:, 0], labels[:, 0]).apply(grid)).max() > 1e-3


FIELD = (Field("all", 1),)  # scikit-learn takes account of a category's rows without their weights


def test_trees_are_those_of_the_rows_repeated(monkeypatch):
    # later ones choose between splits that are equally good
    monkeypatch.setattr(tree_training, "MOST_TREES", 5)
    noise = np.random.default_rng(0).random((2, 150)) < 0.3
    stores = [MemoryStore(rows=150, fields=FIELD, weights=1) for _ in range(3)]
    for number, name in enumerate(("train", "valid")):
        split = stores[0].split(name)
        labels = np.abs(split.labels - noise[number][:, None])
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
    predictions, repeated, plain = (model.predict(test.ids, test.dense) for model in grown)
    np.testing.assert_allclose(predictions, repeated, atol=1e-5)
    assert abs(plain - repeated).max() > 0.05
