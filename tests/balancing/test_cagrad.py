import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bench.balancing.cagrad import CAGrad, CAGradConfig


def step(jacobian, c):
    """The paper's d: without our scale."""
    tasks = len(jacobian)
    return CAGrad("abcdef"[:tasks], CAGradConfig(c=c))(jacobian @ jacobian.T) @ jacobian * (1 + c) / tasks


def brute_force(jacobian, c):
    """The paper's dual, min over the simplex of g_w . g_0 + c |g_0| |g_w|, from many starts."""
    tasks, mean = len(jacobian), jacobian.mean(0)

    def dual(w):
        return float(w @ jacobian @ mean + c * np.linalg.norm(mean) * np.linalg.norm(w @ jacobian))

    found = [
        minimize(
            dual,
            start,
            method="SLSQP",
            bounds=[(0, 1)] * tasks,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        for start in [np.full(tasks, 1 / tasks), *(0.9 * np.eye(tasks) + 0.1 / tasks)]
    ]
    g = min(found, key=lambda result: result.fun).x @ jacobian
    return mean + c * np.linalg.norm(mean) * g / np.linalg.norm(g)


@pytest.mark.parametrize("c", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("tasks", range(1, 6))
def test_it_equals_brute_force_on_the_dual(tasks, c):
    for seed in range(4):
        jacobian = torch.randn(tasks, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        expected = torch.from_numpy(brute_force(jacobian.numpy(), c))
        torch.testing.assert_close(step(jacobian, c), expected, rtol=0, atol=1e-3 * float(expected.norm()))
