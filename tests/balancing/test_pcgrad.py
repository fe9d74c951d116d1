import torch
from torchjd.aggregation import PCGrad as Reference

from bench.balancing.pcgrad import PCGrad
from bench.registry import NoOptions


def test_it_equals_torchjd_on_explicit_jacobians() -> None:
    for tasks in range(1, 7):
        for seed in range(10):
            jacobian = torch.randn(tasks, 5, dtype=torch.float64)
            torch.manual_seed(seed)
            expected = Reference()(jacobian)
            torch.manual_seed(seed)
            torch.testing.assert_close(
                PCGrad("abcdef"[:tasks], NoOptions())(jacobian @ jacobian.T) @ jacobian, expected
            )
