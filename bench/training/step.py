"""One gradient step's backward pass, under either kind of balancer.

The embedding output `e` is a leaf: its gradient goes to the touched-row optimizer, and the table itself never takes
part in autograd. Per-task gradients are therefore taken at the representation and the shared dense parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.balancing.base import Balancer, GradientAggregation, LossWeighting
from bench.models.assembly import MultiTaskModel
from bench.schema import Task


def backward(model: MultiTaskModel, balancer: Balancer, e: Tensor, losses: Tensor) -> None:
    """Fills `.grad` of `e`, of the model's dense parameters and of the balancer's.

    Args:
        e: the embedding output (B, S, W), a leaf that requires grad.
        losses: (T,).
    """
    if isinstance(balancer, LossWeighting):
        balancer(losses).backward()
    elif isinstance(balancer, GradientAggregation):
        _aggregate(model, balancer, e, losses)
    else:
        raise TypeError(f"expected a LossWeighting or a GradientAggregation, found {type(balancer).__name__}")


def _aggregate(model: MultiTaskModel, balancer: GradientAggregation, e: Tensor, losses: Tensor) -> None:
    shared = [e, *model.shared_parameters()]
    among = {id(tensor) for tensor in shared}
    own = [parameter for parameter in model.dense_parameters() if id(parameter) not in among]
    tasks = len(losses)
    sizes = [tensor.numel() for tensor in shared]
    jacobian = losses.new_empty(tasks, sum(sizes))  # (T, P)
    for parameter in own:
        parameter.grad = torch.zeros_like(parameter)
    for task in range(tasks):
        gradients = torch.autograd.grad(
            losses[task], [*shared, *own], retain_graph=task < tasks - 1, allow_unused=True, materialize_grads=True
        )
        torch.cat([gradient.reshape(-1) for gradient in gradients[: len(shared)]], out=jacobian[task])
        for parameter, gradient in zip(own, gradients[len(shared) :], strict=True):
            assert parameter.grad is not None
            parameter.grad += gradient  # slices of other tasks are zero in it, so each keeps its own task's gradient
    weights = balancer(jacobian @ jacobian.T)
    for tensor, part in zip(shared, (weights @ jacobian).split(sizes), strict=True):
        tensor.grad = part.view_as(tensor)


def check_finite(losses: Tensor, samples: int, tasks: Sequence[Task]) -> None:
    """Raises FloatingPointError, naming the task, where a loss is NaN or infinite."""
    for task, loss in zip(tasks, losses.tolist(), strict=True):
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of task '{task.name}' became {loss} within {samples} samples")
