import pytest
import torch
from scipy.optimize import nnls
from torchjd.aggregation import UPGrad as Reference

from bench.balancing.upgrad import UPGrad
from bench.registry import NoOptions


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


def test_it_equals_torchjd_where_its_solver_is_installed() -> None:
    pytest.importorskip("quadprog", reason="torchjd's UPGrad needs quadprog and qpsolvers")
    pytest.importorskip("qpsolvers", reason="torchjd's UPGrad needs quadprog and qpsolvers")
    for tasks in range(2, 7):
        jacobian = torch.randn(tasks, 20, dtype=torch.float64)
        expected = tasks * Reference()(jacobian)  # torchjd regularises by 1e-4
        torch.testing.assert_close(step(jacobian), expected, rtol=0, atol=1e-2 * float(expected.norm()))
