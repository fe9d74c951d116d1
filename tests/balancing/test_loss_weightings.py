"""Properties of every loss weighting."""

from __future__ import annotations

import pytest
import torch
from balancing_toys import WEIGHTINGS, build
from torch import Tensor

from bench.balancing import LossWeighting

DETERMINISTIC = [name for name in WEIGHTINGS if name != "rlw"]
# These draw losses to a ray, against a task's own interest where it is ahead.
RAYS = ["cosmos", "pbi"]
STATEFUL = ["uncertainty", "revised_uncertainty", "dwa", "famo", "stch"]


def weights(balancer: LossWeighting, losses: Tensor) -> Tensor:
    """What multiplies each task's gradient."""
    leaf = losses.clone().requires_grad_()
    balancer(leaf).backward()
    assert leaf.grad is not None
    return leaf.grad


def train(balancer: LossWeighting, steps: int, seed: int) -> list[Tensor]:
    """The combined losses over some steps on decaying random losses; the balancer's parameters learn."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD([*balancer.parameters(), torch.nn.Parameter(torch.zeros(()))], lr=0.1)
    seen = []
    for _ in range(steps):
        losses = torch.rand(len(balancer.tasks), generator=generator) + 0.1
        loss = balancer(losses.requires_grad_())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        balancer.after(losses.detach() * (0.5 + torch.rand(len(losses), generator=generator)))
        seen.append(loss.detach())
    return seen


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_equal_losses_have_weights_that_sum_to_the_number_of_tasks(name: str) -> None:
    for tasks in range(1, 7):
        found = weights(build(name, tasks), torch.full((tasks,), 0.3))
        torch.testing.assert_close(found.sum(), torch.tensor(float(tasks)))
        if name in DETERMINISTIC:
            torch.testing.assert_close(found, torch.ones(tasks))


@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if name not in RAYS])
def test_weights_are_positive(name: str) -> None:
    balancer = build(name, 6)
    for seed in range(10):
        losses = torch.rand(6, generator=torch.Generator().manual_seed(seed)) + 0.01
        assert (weights(balancer, losses) > 0).all()


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_permuting_tasks_permutes_weights(name: str) -> None:
    one, other = build(name, 5), build(name, 5)
    order = torch.tensor([3, 0, 4, 2, 1])
    for seed in range(10):  # past two virtual epochs of DWA
        losses = torch.rand(5, generator=torch.Generator().manual_seed(seed)) + 0.1
        torch.testing.assert_close(weights(one, losses)[order], weights(other, losses[order]))


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_finite_at_every_scale_and_without_samples(name: str) -> None:
    for tasks in range(1, 7):
        balancer = build(name, tasks)
        for scale in (1e-10, 1e-5, 1.0, 1e5, 1e10):
            for absent in range(tasks + 1):
                losses = scale * torch.rand(tasks) + scale / 10
                losses[:absent] = 0
                leaf = losses.requires_grad_()
                loss = balancer(leaf)
                loss.backward()
                assert loss.isfinite()
                assert leaf.grad is not None
                assert leaf.grad.isfinite().all()
                balancer.after(losses.detach() * 0.9)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_loss_that_is_not_a_number_shows(name: str) -> None:
    assert build(name, 3)(torch.tensor([0.5, torch.nan, 0.0])).isnan()


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_task_without_samples_leaves_the_others_alone(name: str) -> None:
    losses = torch.tensor([0.7, 0.2])
    expected = weights(build(name, 2), losses)
    found = weights(build(name, 3), torch.tensor([0.7, 0.0, 0.2]))
    torch.testing.assert_close(found[[0, 2]], expected)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_seeded_runs_repeat_bit_for_bit(name: str) -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        runs.append(torch.stack(train(build(name, 4), 12, seed=0)))
    assert torch.equal(runs[0], runs[1])


@pytest.mark.parametrize("stop", [1, 4, 7])
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_training_goes_on_from_a_saved_state(name: str, stop: int) -> None:
    whole = build(name, 4)
    train(whole, stop, seed=0)
    saved = {key: value.clone() for key, value in whole.state_dict().items()}
    torch.manual_seed(5)
    expected = train(whole, 9, seed=1)
    resumed = build(name, 4)
    resumed.load_state_dict(saved)
    torch.manual_seed(5)
    assert torch.equal(torch.stack(train(resumed, 9, seed=1)), torch.stack(expected))


@pytest.mark.parametrize("name", STATEFUL)
def test_the_state_matters(name: str) -> None:
    """Without it the test above could not fail."""
    whole = build(name, 4)
    train(whole, 7, seed=0)
    fresh = build(name, 4)
    assert not torch.equal(torch.stack(train(whole, 9, seed=1)), torch.stack(train(fresh, 9, seed=1)))
