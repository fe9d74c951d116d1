"""Passes of one task: the same gradients as through all experts, without the products of those that have none."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from bench.models import fused, kernels
from bench.models.fused import live, of_one_task
from bench.models.layers import mix


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kept", [(), (0,), (3,), (1, 2), (0, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_experts_without_gradient_take_no_part(groups, kept, dtype, monkeypatch):
    """Nothing of what they would add is lost: the products of all experts give the same gradients."""
    x = random(groups, 1024, 5, dtype=torch.float64).detach().to(dtype).requires_grad_()
    computed = kernels.computed_in(dtype)
    stacks = [[(random(4, b, a, dtype=computed), random(4, b, dtype=computed)) for a, b in pairwise([5, 160, 3])]]
    stacks.append([(random(4, 7, 5, dtype=computed), None)])
    flat = [tensor for stack in stacks for pair in stack for tensor in pair if tensor is not None]
    above = [torch.zeros_like(out) for out in fused.stacks(x, stacks)]
    for expert in kept:
        for gradient in above:
            gradient[expert, 5:] = torch.randn_like(gradient[expert, 5:])
    widths, through = [], fused.backward_together

    def counted(layer, gradients, needs_dx):
        widths[-1] += layer.weights.numel()
        return through(layer, gradients, needs_dx)

    monkeypatch.setattr(fused, "backward_together", counted)
    widths.append(0)
    expected = torch.autograd.grad(fused.stacks(x, stacks), [x, *flat], above)
    widths.append(0)
    with of_one_task():
        found = torch.autograd.grad(fused.stacks(x, stacks), [x, *flat], above)
    assert widths[0] == sum(weight.numel() for weight in flat if weight.dim() == 3)  # elsewhere nothing is looked for
    assert (widths[1] < widths[0]) == (kept in {(0,), (3,), (1, 2)} or (not kept and groups == 1))
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() <= {torch.float64: 1e-12, torch.bfloat16: 0.01}[dtype] * b.norm()


def test_a_gradient_that_is_not_a_number_is_live():
    gradient = torch.zeros(5, 3, 4)
    gradient[1, 2, 3], gradient[3, 0, 0], gradient[4] = float("nan"), 1e-45, -0.0
    with of_one_task():
        assert live(gradient).tolist() == [False, True, False, True, False]
        assert live(gradient[:2], gradient.bfloat16()).tolist()[:4] == [False, True, False, True]
    assert live(gradient[:2], gradient).all()


@pytest.mark.parametrize(("gates", "own", "shared"), [(2, 0, 3), (3, 2, 1)])
@pytest.mark.parametrize("task", [0, 1])
def test_gates_without_gradient_take_no_part_in_mixing(gates, own, shared, task):
    inputs = [random(gates, 70, own + shared), random(1, 70, gates * own + shared)]
    inputs += [random(gates * own, 70, 2), random(shared, 70, 2)]
    above = [torch.zeros(gates, 70, 2, dtype=torch.float64), torch.zeros(1, 70, 2, dtype=torch.float64)]
    above[0][task] = torch.randn(70, 2)
    with of_one_task():
        found = torch.autograd.grad(fused.mix(*inputs), inputs, above)
    scores, all_scores, of_own, of_shared = inputs
    expected = torch.autograd.grad(mix(scores, of_shared, of_own, all_scores), inputs, above)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
