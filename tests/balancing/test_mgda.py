import torch

from bench.balancing.mgda import MGDA
from bench.core.registry import NoOptions


def weigh(jacobian: torch.Tensor) -> torch.Tensor:
    return MGDA("abcdef"[: len(jacobian)], NoOptions())(jacobian @ jacobian.T)


def test_two_tasks_have_a_closed_form() -> None:
    for scale in (1e-3, 1.0, 1e4):
        for _ in range(50):
            g, h = torch.randn(2, 3, dtype=torch.float64) * torch.tensor([[1.0], [scale]])
            a = ((h - g) @ h / (h - g).square().sum()).clamp(0, 1)
            torch.testing.assert_close(weigh(torch.stack([g, h])), 2 * torch.stack([a, 1 - a]), rtol=1e-6, atol=1e-6)


def test_weights_are_convex_times_the_number_of_tasks() -> None:
    for tasks in range(1, 7):
        weights = weigh(torch.randn(tasks, 10))
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(), torch.tensor(float(tasks)))


def test_optimality() -> None:
    """v is the shortest point of the hull exactly where g_i . v >= |v|^2 for all i."""
    for tasks in range(2, 7):
        for _ in range(20):
            jacobian = torch.randn(tasks, 20, dtype=torch.float64)
            v = weigh(jacobian) @ jacobian / tasks
            assert (jacobian @ v >= v @ v * (1 - 1e-5)).all()
