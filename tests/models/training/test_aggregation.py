"""The combined gradient against a slow twin: one backward pass for each task through the whole
model.
"""

from itertools import cycle

import pytest
import torch
from torch import nn

from bench.data.batches import Batches
from bench.models import products
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.sharing import SHARING
from bench.models.training import aggregation as maths
from bench.models.training.aggregation import gramian, weighted_sum
from bench.testing.training_checks import trainer

AGGREGATIONS = ("pcgrad", "mgda", "cagrad", "upgrad", "nash_mtl")


def separate(training, batch):
    """Losses, what tasks share, what is each one's own, and by task the gradients of both."""
    model = training.model
    e = model.embed(batch.ids).detach().requires_grad_()
    x = model.represent(e, batch.ids, batch.dense)
    losses = model.losses(type(model.towers).forward(model.towers, x), batch.labels)
    shared = [e, *model.shared_parameters()]
    own_parameters = [
        p for p in model.dense_parameters() if all(p is not tensor for tensor in shared)
    ]
    gradients = [
        torch.autograd.grad(
            loss,
            [*shared, *own_parameters],
            retain_graph=True,
            materialize_grads=True,
            allow_unused=True,
        )
        for loss in losses
    ]
    return (
        losses,
        shared,
        own_parameters,
        [gradient[: len(shared)] for gradient in gradients],
        [gradient[len(shared) :] for gradient in gradients],
    )


def by_the_definition(training, batch):
    """g_i over e and the shared parameters as rows of a matrix; own parameters get a sum over
    tasks, too.
    """
    losses, shared, own_parameters, rows, of_own = separate(training, batch)
    jacobian = torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows]).double()
    weights = training.step.balancer((jacobian @ jacobian.T).float()).double()
    by = weights.float() if training.step.balancer.weighs_own else torch.ones(len(losses))
    summed = [
        sum(w * g for w, g in zip(by, parts, strict=True)) for parts in zip(*of_own, strict=True)
    ]
    combined = (weights @ jacobian).float().split([t.numel() for t in shared])
    total = [*(t.view_as(s) for t, s in zip(combined, shared, strict=True)), *summed]
    by_id = {id(p): g for p, g in zip([*shared[1:], *own_parameters], total[1:], strict=True)}
    return [total[0], *(by_id[id(p)] for p in training.model.dense_parameters())], losses


PLAIN = [
    (sharing, funnel, aggregation, "none")
    for sharing, funnel, aggregation in zip(
        SHARING, cycle(FUNNELS), cycle(AGGREGATIONS), strict=False
    )
]
TOGETHER = (
    ("mmoe", "independent"),
    ("single_task", "entire_space"),
    ("ple", "escm2_dr"),
    ("stem", "aitm"),
)
CROSSED = [
    (*axes, "upgrad", interaction)
    for axes, interaction in zip(cycle(TOGETHER), INTERACTIONS, strict=False)
]
OF_LOSSES = [
    (*axes, "upgrad", "none", loss)
    for axes, loss in zip(TOGETHER, cycle(("jrc", "listwise")), strict=False)
]


@pytest.mark.parametrize(
    ("sharing", "funnel", "balancing", "interaction", "loss"),
    [*((*axes, "log") for axes in (*PLAIN, *CROSSED)), *OF_LOSSES],
)
def test_the_gradient_is_that_of_the_definition(
    tiny, sharing, funnel, balancing, interaction, loss
):
    dotted = {
        "sharing.kind": sharing,
        "funnel.kind": funnel,
        "balancing.kind": balancing,
        "loss.kind": loss,
    }
    dotted |= {"interaction.kind": interaction, "tower.dropout": 0.2}
    dotted |= {f"sharing.{kind}.levels": 3 for kind in ("ple", "adatt") if kind == sharing}
    if sharing == "adatt":
        dotted["sharing.adatt.shared_experts"] = 2
    training = trainer(tiny, dotted)
    batch = next(Batches(tiny.split("train")).in_order(64))
    for _ in range(5):  # away from a start at which all tasks agree
        training.step(*batch)
    torch.manual_seed(5)
    expected, losses = by_the_definition(training, batch)
    torch.manual_seed(5)
    step = training.step
    e = step.embed(batch.ids)
    logits, found_losses = step.forward(e, batch.ids, batch)
    step.backward(e, logits, found_losses)
    gradients = [e.grad, *(parameter.grad for parameter in training.model.dense_parameters())]
    torch.testing.assert_close(found_losses, losses)
    scale = max(float(g.abs().max()) for g in expected)
    for gradient, expected_gradient in zip(gradients, expected, strict=True):
        torch.testing.assert_close(
            gradient, expected_gradient, rtol=1e-5, atol=1e-6 * max(1.0, scale)
        )


@pytest.mark.parametrize("balancing", ["static", "upgrad"])
@pytest.mark.parametrize("sharing", ["mmoe", "ple"])
def test_steps_are_the_same_whichever_library_multiplies(tiny, monkeypatch, sharing, balancing):
    """oneDNN returns products in another order in memory where a layer has more outputs than
    inputs.
    """
    vectors = []
    monkeypatch.setattr(products, "WORTH_ONEDNN", 0)
    for wide in (True, False):
        monkeypatch.setattr(products, "has_wider_vectors", lambda wide=wide: wide)
        layers = {"sharing.kind": sharing, f"sharing.{sharing}.layers": "64"}
        training = trainer_of(tiny, balancing, **layers)
        batch = next(Batches(tiny.split("train")).in_order(64))
        for _ in range(5):
            training.step(*batch)
        vectors.append(nn.utils.parameters_to_vector(training.model.parameters()).detach())
    torch.testing.assert_close(*vectors, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_gramian_and_sum_of_any_memory_layout_and_precision(monkeypatch, tasks, compiled):
    """Those of bfloat16 enter products and sums as they are, and no sum is rounded to it."""
    if not compiled:
        monkeypatch.setattr(maths, "_are_compiled", lambda parts: False)
    torch.manual_seed(0)
    gradients = [
        (
            torch.randn(70, 31, 5).permute(2, 0, 1),  # more than a block
            torch.randn(70, 100).bfloat16(),
            torch.randn(4),
            torch.randn(1, 6).expand(3, 6),
            torch.randn(3, 0),
        )
        for _ in range(tasks)
    ]
    rows = torch.stack(
        [torch.cat([part.reshape(-1).double() for part in parts]) for parts in gradients]
    )
    torch.testing.assert_close(gramian(gradients).double(), rows @ rows.T, rtol=1e-5, atol=1e-3)
    weights = torch.randn(tasks)
    before = [[part.clone() for part in parts] for parts in gradients]
    summed = weighted_sum(gradients, weights)
    assert [(part.shape, part.dtype) for part in summed] == [
        (part.shape, torch.float32) for part in gradients[0]
    ]
    flat = torch.cat([part.reshape(-1) for part in summed]).double()
    torch.testing.assert_close(flat, weights.double() @ rows, rtol=1e-5, atol=1e-5)
    for parts, originals in zip(gradients, before, strict=True):
        assert all(
            torch.equal(part, original) for part, original in zip(parts, originals, strict=True)
        )


def trainer_of(store, balancing, funnel="independent", **changes):
    return trainer(
        store,
        {"sharing.kind": "mmoe", "funnel.kind": funnel, "balancing.kind": balancing} | changes,
    )


@pytest.mark.parametrize("funnel", ["independent", "entire_space"])
def test_a_combination_is_given_the_tasks_gradients_and_what_is_a_tasks_own_keeps_its_own(
    tiny, monkeypatch, funnel
):
    training = trainer_of(tiny, "graddrop", funnel)
    batch = next(Batches(tiny.split("train")).in_order(64))
    _, shared, own_parameters, expected, of_own = separate(training, batch)
    seen = []

    def second_task(gradients):
        seen.extend(gradients)
        return [part.clone() for part in gradients[1]]

    monkeypatch.setattr(training.step.balancer, "forward", second_task)
    e = training.step.embed(batch[0])
    training.step.backward(e, *training.step.forward(e, batch.ids, batch))
    received = [part for of_task in seen for part in of_task]
    torch.testing.assert_close(
        received, [part for of_task in expected for part in of_task], rtol=1e-4, atol=1e-6
    )
    gradients = [tensor.grad for tensor in (e, *shared[1:], *own_parameters)]
    summed = [sum(parts) for parts in zip(*of_own, strict=True)]
    torch.testing.assert_close(gradients, [*expected[1], *summed], rtol=1e-4, atol=1e-6)


def test_the_second_look_draws_what_the_first_drew(tiny):
    """Where nothing is updated the losses are the same, dropout and all; the next draws are those
    of a plain step.
    """
    looking, plain = (
        trainer_of(tiny, kind, **{"tower.dropout": 0.5}) for kind in ("famo", "static")
    )
    batch = next(Batches(tiny.split("train")).in_order(64))
    for training in (looking, plain):
        training.step.scale_rates(0.0)
        training.model.train()
    seen = []
    looking.step.balancer.after = seen.append
    states = []
    for training in (looking, plain):
        torch.manual_seed(4)
        seen.append(training.step(*batch))
        states.append(torch.get_rng_state())
    after, before, _ = seen
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert torch.equal(*states)
    assert not torch.equal(looking.step(*batch), before)  # other draws
