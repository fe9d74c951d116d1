"""What the balancers' tests share: every entry built with short virtual epochs, and seen as a map of gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.balancing import BALANCING, Balancer, GradientCombination, LossWeighting

TASKS = ["a", "b", "c", "d", "e", "f"]
WEIGHTINGS = [name for name, entry in BALANCING.items() if issubclass(entry.build, LossWeighting)]
GRADIENTS = [name for name in BALANCING if name not in WEIGHTINGS]
OUTPUT = 8  # of a test's gradient's numbers, those that stand for the embedding output


def build(name: str, tasks: int, **options: Any) -> Balancer:
    """With a virtual epoch of 3 steps; a combination is told of parameters as `parts` has them at width 20."""
    entry = BALANCING[name]
    if "virtual_epoch" in entry.config.model_fields:
        options = {"virtual_epoch": 3} | options
    balancer: Balancer = entry.build(TASKS[:tasks], entry.config(**options))
    if isinstance(balancer, GradientCombination):
        balancer.prepare([torch.zeros(3, 2), torch.zeros(6)])
    return balancer


def parts(row: Tensor) -> list[Tensor]:
    """(20,) as an embedding output (2, 4) and two parameters (3, 2) and (6,)."""
    output, first, second = row.split([OUTPUT, 6, 6])
    return [output.view(2, 4), first.view(3, 2), second]


def step(balancer: Balancer, jacobian: Tensor, losses: Tensor | None = None) -> Tensor:
    """The combined gradient (N,) of gradients (T, N); a combination takes N = 20."""
    silent = (jacobian == 0).all(1)
    balancer.observe((torch.ones(len(jacobian)) if losses is None else losses).masked_fill(silent, 0.0))
    if isinstance(balancer, GradientCombination):
        return torch.cat([part.reshape(-1) for part in balancer([parts(row) for row in jacobian])])
    return balancer(jacobian @ jacobian.T) @ jacobian
