"""A balancer's inputs from a step, against gradients taken through the whole model one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.data.batches import Batches
from bench.objectives import Objective
from bench.training.aggregation import Halves
from bench.training.config import TrialConfig
from bench.training.loop import Trainer


def trainer(store, balancing: str, funnel: str, **more: object) -> Trainer:
    dotted = {"sharing.kind": "mmoe", "funnel.kind": funnel, "balancing.kind": balancing, "embedding.dim": 4}
    config = TrialConfig.parse(dotted | {"tower.layers": "8", "optim.precision": "fp32"} | more)
    return Trainer(store, config, [Objective("click.auc", "maximize")], seed=2)


def separate(made: Trainer, batch: tuple[Tensor, ...], labels: Tensor) -> list[list[Tensor]]:
    """Each task's gradients at e and the shared parameters."""
    model = made.model
    e = model.embed(batch[0]).detach().requires_grad_()
    x = model.represent(e, batch[0], batch[1])
    losses = model.losses(type(model.towers).forward(model.towers, x), labels)
    inputs = [e, *model.shared_parameters()]
    return [list(torch.autograd.grad(loss, inputs, retain_graph=True)) for loss in losses]


@pytest.mark.parametrize("funnel", ["independent", "entire_space"])
def test_a_combination_is_given_the_tasks_gradients(tiny, monkeypatch: pytest.MonkeyPatch, funnel: str) -> None:
    made = trainer(tiny, "graddrop", funnel)
    batch = next(Batches(tiny.split("train")).in_order(64))
    expected = separate(made, batch, batch[2])
    seen = []

    def second_task(gradients):
        seen.extend(gradients)
        return [part.clone() for part in gradients[1]]

    monkeypatch.setattr(made.step.balancer, "forward", second_task)
    e = made.step.embed(batch[0])
    made.step.backward(e, *made.step.forward(e, *batch))
    for of_task, of_twin in zip(seen, expected, strict=True):
        for one, other in zip(of_task, of_twin, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    for tensor, other in zip([e, *made.model.shared_parameters()], expected[1], strict=True):
        torch.testing.assert_close(tensor.grad, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("funnel", ["independent", "entire_space"])
def test_halves_are_those_of_the_batch(tiny, monkeypatch: pytest.MonkeyPatch, funnel: str) -> None:
    made = trainer(tiny, "modo", funnel)
    assert isinstance(made.step.aggregation, Halves)
    ids, dense, labels, *_ = next(Batches(tiny.split("train")).in_order(64))
    rows = []
    for half in (slice(0, 32), slice(32, 64)):  # without missing labels each half's mean counts a half
        part = (ids[half], dense[half], labels[half])
        rows.append(torch.stack([torch.cat([g.reshape(-1) for g in of[1:]]) for of in separate(made, part, part[2])]))
    seen = []
    forward = made.step.balancer.forward
    monkeypatch.setattr(made.step.balancer, "forward", lambda products: seen.append(products) or forward(products))
    e = made.step.embed(ids)
    made.step.backward(e, *made.step.forward(e, ids, dense, labels))
    # Under `independent` a child counts the samples of its parent alone, whose number differs by half.
    keep = [0, 2] if funnel == "independent" else [0, 1, 2]
    expected = rows[0] @ rows[1].T
    torch.testing.assert_close(seen[0][keep][:, keep], expected[keep][:, keep], rtol=1e-3, atol=1e-6)


def test_the_second_look_is_at_the_updated_model(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer(tiny, "famo", "independent")
    batch = next(Batches(tiny.split("train")).in_order(64))
    seen = []
    monkeypatch.setattr(made.step.balancer, "after", seen.append)
    made.step(*batch)
    with torch.no_grad():
        expected = made.model.losses(made.model(batch[0], batch[1]), batch[2])
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("more", [{"tower.dropout": 0.5}, {"sharing.kind": "snr"}])
def test_the_second_look_draws_what_the_first_drew(tiny, more: dict[str, object]) -> None:
    """Where nothing is updated the losses are the same, dropout and all; the next draws are those of a plain step."""
    made, plain = trainer(tiny, "famo", "independent", **more), trainer(tiny, "static", "independent", **more)
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


@pytest.mark.parametrize("funnel", ["independent", "entire_space"])
def test_excess_mtls_weights_are_for_the_towers_too(tiny, funnel: str) -> None:
    made = trainer(tiny, "excess_mtl", funnel, **{"balancing.excess_mtl.lr": 10})
    batch = next(Batches(tiny.split("train")).in_order(64))
    for _ in range(4):
        made.step(*batch)
    e = made.step.embed(batch[0])
    logits, losses = made.step.forward(e, *batch)
    made.step.backward(e, logits, losses)
    weights = made.step.balancer.weights
    assert (weights - 1).abs().max() > 0.1
    found = [parameter.grad.clone() for parameter in made.model.towers.parameters()]
    e = made.step.embed(batch[0])
    logits = type(made.model.towers).forward(made.model.towers, made.model.represent(e, batch[0], batch[1]))
    total = weights.float() @ made.model.losses(logits, batch[2])
    expected = torch.autograd.grad(total, list(made.model.towers.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
