import math

import pytest
import torch
from torchjd.scalarization import DWA as Reference

from bench.balancing.dwa import DWA, DWAConfig


def some_losses(steps: int, tasks: int) -> torch.Tensor:
    return torch.rand(steps, tasks, generator=torch.Generator().manual_seed(1)) + 0.1


def slow_weights(losses: list[list[float]], at: int, virtual_epoch: int, temperature: float) -> list[float]:
    """The paper's formula at step `at`, from all the losses before it."""
    tasks, epoch = len(losses[0]), at // virtual_epoch
    if epoch < 2:
        return [1.0] * tasks
    rates = []
    for task in range(tasks):
        mean = []
        for e in (epoch - 1, epoch - 2):
            seen = [step[task] for step in losses[e * virtual_epoch : (e + 1) * virtual_epoch] if step[task] != 0]
            mean.append(sum(seen) / len(seen) if seen else None)
        rates.append(1.0 if None in mean else mean[0] / mean[1])
    exponentials = [math.exp(rate / temperature) for rate in rates]
    return [tasks * value / sum(exponentials) for value in exponentials]


@pytest.mark.parametrize("virtual_epoch", [1, 4, 100])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("absent", [0.0, 0.6])
def test_weights_follow_the_formula(virtual_epoch: int, temperature: float, absent: float) -> None:
    losses = some_losses(20, 3)
    losses[torch.rand(20, 3) < absent] = 0
    balancer = DWA(["a", "b", "c"], DWAConfig(temperature=temperature, virtual_epoch=virtual_epoch))
    for step in range(20):
        expected = torch.tensor(slow_weights(losses.tolist(), step, virtual_epoch, temperature))
        torch.testing.assert_close(balancer.weights(), expected)
        torch.testing.assert_close(balancer(losses[step]), (expected * losses[step]).sum())


def test_it_equals_torchjd_told_where_epochs_end() -> None:
    balancer, reference = DWA(["a", "b"], DWAConfig(virtual_epoch=5)), Reference()
    for step, losses in enumerate(some_losses(30, 2), start=1):
        torch.testing.assert_close(balancer(losses), reference(losses))
        if step % 5 == 0:
            reference.step()


def test_losses_keep_no_graph() -> None:
    balancer = DWA(["a", "b"], DWAConfig())
    balancer(torch.ones(2, requires_grad=True))
    assert not balancer.total.requires_grad
