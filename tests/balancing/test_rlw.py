import torch

from bench.balancing.rlw import RLW
from bench.core.registry import NoOptions


def test_weights_are_a_softmax_of_normals_times_the_number_of_tasks() -> None:
    balancer = RLW(["a", "b", "c"], NoOptions())
    for seed in range(5):
        torch.manual_seed(seed)
        expected = 3 * torch.softmax(torch.randn(3), dim=0)
        torch.manual_seed(seed)
        losses = torch.ones(3, requires_grad=True)
        balancer(losses).backward()
        torch.testing.assert_close(losses.grad, expected)
