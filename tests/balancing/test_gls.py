import pytest
import torch

from bench.balancing.gls import GLS
from bench.core.registry import NoOptions


@pytest.mark.parametrize("tasks", range(1, 7))
def test_it_is_the_number_of_tasks_times_the_geometric_mean(tasks: int) -> None:
    losses = (torch.rand(tasks, dtype=torch.float64) + 0.01).requires_grad_()
    loss = GLS("abcdef"[:tasks], NoOptions())(losses)
    torch.testing.assert_close(loss, tasks * losses.prod() ** (1 / tasks))
    (gradient,) = torch.autograd.grad(loss, losses)
    torch.testing.assert_close(gradient, loss.detach() / tasks / losses.detach())


def test_tasks_without_samples_are_left_out() -> None:
    losses = torch.tensor([0.5, 0.0, 2.0], requires_grad=True)
    loss = GLS("abc", NoOptions())(losses)
    loss.backward()
    assert loss.item() == pytest.approx(2.0)
    assert losses.grad is not None
    assert losses.grad.tolist() == pytest.approx([2.0, 0.0, 0.5])
