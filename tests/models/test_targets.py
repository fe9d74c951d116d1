"""Scaled regression targets: equal gradients in training, the label's unit in predictions, means and not medians."""

import numpy as np
import pytest
import torch
from model_toys import model_on

from bench.core.schema import Cap, Field, Schema, Task
from bench.data.tasks import scale_of
from bench.models.funnels import FUNNELS
from bench.models.targets import Targets

RNG = np.random.default_rng(3)
SPEND = np.where(RNG.random(5000) < 0.07, np.exp(RNG.normal(3, 1, 5000)), 0.0)  # mostly 0, of variance 150 or so
PRICE = RNG.normal(-50, 20, 5000)


def schema_of(spend=SPEND, parent=None):
    tasks = (
        Task("visit"),
        Task("spend", "regression", parent, scale_of(spend)),
        Task("price", "regression", scale=scale_of(PRICE)),
        Task("raw", "regression"),
    )
    return Schema((Field("user", 40),), ("age",), tasks)


def labels_of(visit=None):
    visit = (RNG.random(5000) < 0.3) if visit is None else visit
    return torch.from_numpy(np.stack([visit, SPEND, PRICE, PRICE], 1)).float()


@pytest.mark.parametrize("funnel", FUNNELS)
def test_an_untrained_model_predicts_the_means_in_their_units_and_losses_begin_alike(funnel):
    model = model_on(schema_of(), funnel=funnel).eval()
    labels = labels_of()
    model.initialise_outputs(labels.mean(0))
    with torch.no_grad():
        model.towers.output.weight.zero_()
        ids, dense = torch.ones(len(labels), 1, dtype=torch.int), torch.zeros(len(labels), 1)
        found = model.probabilities(model(ids, dense))
        for said in (found.conditional, found.joint):
            torch.testing.assert_close(said[0], labels.mean(0), rtol=1e-3, atol=1e-5)
        visit, spend, price, raw = model.losses(model.logits(model.embed(ids), ids, dense), labels).tolist()
    assert 0.1 < visit < 0.7
    assert spend == pytest.approx(0.5, rel=0.01)
    assert price == pytest.approx(0.5, rel=0.01)
    assert raw == pytest.approx(PRICE.var() / 2, rel=0.01)  # of a task without a scale nothing is scaled


@pytest.mark.parametrize("funnel", FUNNELS)
def test_the_joint_expectation_is_the_conditional_one_times_the_probability_of_the_parent(funnel):
    """Of an ensemble, too; a child before its parent, and a parent that has a parent."""
    spend = Task("spend", "regression", "buy", scale_of(SPEND))
    tasks = (
        spend,
        Task("buy", parent="click"),
        Task("click"),
        Task("stay", "regression", "click"),
        Task("raw", "regression"),
    )
    model = model_on(Schema((Field("user", 40),), ("age",), tasks), members=2, sharing="mmoe", funnel=funnel).eval()
    with torch.no_grad():
        found = model.probabilities(model(torch.arange(1, 31, dtype=torch.int)[:, None], torch.randn(30, 1)))
    for task, parent in ((0, 1), (3, 2)):
        torch.testing.assert_close(found.joint[:, task], found.joint[:, parent] * found.conditional[:, task])
    assert torch.equal(found.joint[:, 4], found.conditional[:, 4])
    assert not torch.equal(found.joint[:, 1], found.conditional[:, 1])


@pytest.mark.parametrize("log", [True, False])
def test_a_prediction_is_at_most_the_bound_that_an_input_has(log):
    """On either scale, of a bound that was standardised with its logarithm or without; not where it is missing."""
    bounds = torch.tensor([2.0, 50.0, 50.0, 1e4])
    dense = torch.stack([(bounds.log1p() if log else bounds) / 3 - 1, torch.tensor([0.0, 0.0, 1.0, 0.0])], 1)
    cap = Cap(0, 1, log, 3.0, 3.0)
    scales = (scale_of(np.abs(SPEND), True), scale_of(-PRICE, False), None)
    tasks = tuple(Task(name, "regression", scale=scale, cap=cap) for name, scale in zip("abc", scales, strict=True))
    targets = Targets(Schema((), ("seconds", "seconds_missing"), tasks))
    said = torch.tensor([70.0, 70, 70, 70])[:, None].expand(4, 3)
    found = targets.values(torch.minimum(targets.of_labels(said), targets.caps_of(dense)))
    torch.testing.assert_close(found, torch.tensor([2.0, 50, 70, 70])[:, None].expand(4, 3), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("parent", [None, "visit"])
def test_the_mean_prediction_on_train_is_the_mean_label_whatever_the_model_explains(parent):
    """A model that knows half of a log-normal label's logarithm: exp of its output would be too low."""
    known, noise = RNG.normal(2, 1, 5000), RNG.normal(0, 1, 5000)
    visit = np.where(np.arange(5000) % 2, 1.0, 0.0) if parent else np.ones(5000)
    label = np.exp(known + noise) * np.where(visit == 1, 1, 100)  # where the parent did not happen, nonsense
    targets = Targets(schema_of(label[visit == 1], parent))
    labels = torch.from_numpy(np.stack([visit, label, label, label], 1)).float()
    output = (torch.from_numpy(np.log1p(np.exp(known))).float() - targets.centre[1]) / targets.spread[1]
    outputs = torch.stack([torch.zeros(5000), output, output, output], 1)
    for rows in torch.arange(5000).split(500):
        targets.follow(outputs[rows], labels[rows])
    own = visit == 1
    mean = label[own].mean()
    plain, smeared = (targets.values(each)[own, 1].mean().item() for each in (outputs, targets.corrected(outputs)))
    assert plain < 0.7 * mean
    assert smeared == pytest.approx(mean, rel=0.05)
    state = targets.state_dict()
    again = Targets(schema_of(label[own], parent))
    again.load_state_dict(state)
    assert torch.equal(again.corrected(outputs), targets.corrected(outputs))
