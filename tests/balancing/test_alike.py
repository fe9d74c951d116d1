"""Balancers that are said to do the same do it, on random gradients; and those that are not, do not."""

from itertools import combinations

import pytest
import torch

from bench.balancing import (
    BALANCING,
    SAME_DIRECTION,
    GradientAggregation,
    method,
)

GRAMIAN = [
    name
    for name, entry in BALANCING.items()
    if isinstance(entry.build, type) and issubclass(entry.build, GradientAggregation) and not entry.build.needs
]


def weights_of(kind, tasks):
    """Of 30 steps with gradients of unlike norms, in agreement and in conflict."""
    torch.manual_seed(tasks)
    norms = torch.exp(torch.randn(30, tasks, 1))
    gradients = [torch.randn(tasks, 6) * norm for norm in norms]
    entry = BALANCING[kind]
    balancer = entry.build([str(task) for task in range(tasks)], entry.config())
    return torch.stack([balancer(each @ each.T).double() for each in gradients])


@pytest.mark.parametrize("tasks", [2, 3])
def test_those_and_only_those_have_one_direction(tasks):
    found = {kind: weights_of(kind, tasks) for kind in GRAMIAN}
    for one, other in combinations(GRAMIAN, 2):
        cosine = torch.nn.functional.cosine_similarity(found[one], found[other], dim=1).min()
        same = method(one, tasks) == method(other, tasks)
        assert same == bool(cosine > 1 - 1e-6), (one, other)
    assert {name for names in SAME_DIRECTION for name in names} <= set(GRAMIAN)
