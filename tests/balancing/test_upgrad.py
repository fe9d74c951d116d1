import pytest
import torch
from scipy.optimize import nnls

from bench.balancing.upgrad import UPGrad
from bench.core.registry import NoOptions


def step(jacobian: torch.Tensor) -> torch.Tensor:
    return UPGrad("abcdef"[: len(jacobian)], NoOptions())(jacobian @ jacobian.T) @ jacobian


def projected(jacobian: torch.Tensor) -> torch.Tensor:
    """The sum of projections on the dual cone, by Moreau: g minus its projection on the cone that -g_j span."""
    total = torch.zeros(jacobian.shape[1], dtype=torch.float64)
    for gradient in jacobian:
        coefficients, _ = nnls(-jacobian.T.numpy(), gradient.numpy())
        total += gradient + jacobian.T @ torch.from_numpy(coefficients)
    return total


@pytest.mark.parametrize("width", [2, 4, 20])
def test_it_equals_projections_in_the_space_of_parameters(width: int) -> None:
    for tasks in range(1, 7):
        for scales in (torch.ones(tasks), torch.logspace(-2, 2, tasks)):
            jacobian = scales[:, None] * torch.randn(tasks, width, dtype=torch.float64)
            near = 1e-4 if tasks <= width else 2e-2  # dependent gradients are taken as just independent
            atol = near * float(jacobian.norm(dim=1).max())
            torch.testing.assert_close(step(jacobian), projected(jacobian), rtol=0, atol=atol)
