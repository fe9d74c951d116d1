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


def separate(made, batch):
    """Losses, what tasks share, what is each one's own, and by task the gradients of both."""
    model = made.model
    e = model.embed(batch.ids).detach().requires_grad_()
    x = model.represent(e, batch.ids, batch.dense)
    losses = model.losses(type(model.towers).forward(model.towers, x), batch.labels)
    shared = [e, *model.shared_parameters()]
    own = [p for p in model.dense_parameters() if all(p is not other for other in shared)]
    found = [
        torch.autograd.grad(
            loss, [*shared, *own], retain_graph=True, materialize_grads=True, allow_unused=True
        )
        for loss in losses
    ]
    return (
        losses,
        shared,
        own,
        [each[: len(shared)] for each in found],
        [each[len(shared) :] for each in found],
    )


def by_the_definition(made, batch):
    """g_i over e and the shared parameters as rows of a matrix; own parameters get a sum over
    tasks, too.
    """
    losses, shared, own, rows, of_own = separate(made, batch)
    jacobian = torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows]).double()
    weights = made.step.balancer((jacobian @ jacobian.T).float()).double()
    by = weights.float() if made.step.balancer.weighs_own else torch.ones(len(losses))
    summed = [
        sum(w * g for w, g in zip(by, each, strict=True)) for each in zip(*of_own, strict=True)
    ]
    combined = (weights @ jacobian).float().split([t.numel() for t in shared])
    total = [*(t.view_as(s) for t, s in zip(combined, shared, strict=True)), *summed]
    by_id = {id(p): g for p, g in zip([*shared[1:], *own], total[1:], strict=True)}
    return [total[0], *(by_id[id(p)] for p in made.model.dense_parameters())], losses


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
    made = trainer(tiny, dotted)
    batch = next(Batches(tiny.split("train")).in_order(64))
    for _ in range(5):  # away from a start at which all tasks agree
        made.step(*batch)
    torch.manual_seed(5)
    expected, losses = by_the_definition(made, batch)
    torch.manual_seed(5)
    step = made.step
    e = step.embed(batch.ids)
    logits, found_losses = step.forward(e, batch.ids, batch)
    step.backward(e, logits, found_losses)
    found = [e.grad, *(parameter.grad for parameter in made.model.dense_parameters())]
    torch.testing.assert_close(found_losses, losses)
    scale = max(float(g.abs().max()) for g in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 * max(1.0, scale))


@pytest.mark.parametrize("balancing", ["static", "upgrad"])
@pytest.mark.parametrize("sharing", ["mmoe", "ple"])
def test_steps_are_the_same_whichever_library_multiplies(tiny, monkeypatch, sharing, balancing):
    """oneDNN returns products in another order in memory where a layer has more outputs than
    inputs.
    """
    found = []
    monkeypatch.setattr(products, "WORTH_ONEDNN", 0)
    for wide in (True, False):
        monkeypatch.setattr(products, "has_wider_vectors", lambda wide=wide: wide)
        layers = {"sharing.kind": sharing, f"sharing.{sharing}.layers": "64"}
        made = trainer_of(tiny, balancing, **layers)
        batch = next(Batches(tiny.split("train")).in_order(64))
        for _ in range(5):
            made.step(*batch)
        found.append(nn.utils.parameters_to_vector(made.model.parameters()).detach())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


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
    found = torch.cat([part.reshape(-1) for part in summed]).double()
    torch.testing.assert_close(found, weights.double() @ rows, rtol=1e-5, atol=1e-5)
    for parts, others in zip(gradients, before, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(parts, others, strict=True))


def trainer_of(store, balancing, funnel="independent", **more):
    return trainer(
        store, {"sharing.kind": "mmoe", "funnel.kind": funnel, "balancing.kind": balancing} | more
    )


@pytest.mark.parametrize("funnel", ["independent", "entire_space"])
def test_a_combination_is_given_the_tasks_gradients_and_what_is_a_tasks_own_keeps_its_own(
    tiny, monkeypatch, funnel
):
    made = trainer_of(tiny, "graddrop", funnel)
    batch = next(Batches(tiny.split("train")).in_order(64))
    _, shared, own, expected, of_own = separate(made, batch)
    seen = []

    def second_task(gradients):
        seen.extend(gradients)
        return [part.clone() for part in gradients[1]]

    monkeypatch.setattr(made.step.balancer, "forward", second_task)
    e = made.step.embed(batch[0])
    made.step.backward(e, *made.step.forward(e, batch.ids, batch))
    given = [part for of_task in seen for part in of_task]
    torch.testing.assert_close(
        given, [part for of_task in expected for part in of_task], rtol=1e-4, atol=1e-6
    )
    found = [tensor.grad for tensor in (e, *shared[1:], *own)]
    summed = [sum(parts) for parts in zip(*of_own, strict=True)]
    torch.testing.assert_close(found, [*expected[1], *summed], rtol=1e-4, atol=1e-6)


def test_the_second_look_draws_what_the_first_drew(tiny):
    """Where nothing is updated the losses are the same, dropout and all; the next draws are those
    of a plain step.
    """
    made, plain = (trainer_of(tiny, kind, **{"tower.dropout": 0.5}) for kind in ("famo", "static"))
    batch = next(Batches(tiny.split("train")).in_order(64))
    for each in (made, plain):
        each.step.scale_rates(0.0)
        each.model.train()
    seen = []
    made.step.balancer.after = seen.append
    states = []
    for each in (made, plain):
        torch.manual_seed(4)
        seen.append(each.step(*batch))
        states.append(torch.get_rng_state())
    after, before, _ = seen
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert torch.equal(*states)
    assert not torch.equal(made.step(*batch), before)  # other draws
