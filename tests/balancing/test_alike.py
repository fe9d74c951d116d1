"""Balancers that are said to do the same do it, on random gradients; and those that are not, do not."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from bench.balancing import (
    BALANCING,
    SAME_DIRECTION,
    GradientAggregation,
    method,
    works_on_gradients,
)

GRAMIAN = [
    name
    for name, entry in BALANCING.items()
    if isinstance(entry.build, type) and issubclass(entry.build, GradientAggregation) and not entry.build.needs
]


def weights_of(kind: str, tasks: int) -> torch.Tensor:
    """Of 30 steps with gradients of unlike norms, in agreement and in conflict."""
    torch.manual_seed(tasks)
    norms = torch.exp(torch.randn(30, tasks, 1))
    gradients = [torch.randn(tasks, 6) * norm for norm in norms]
    entry = BALANCING[kind]
    balancer = entry.build([str(task) for task in range(tasks)], entry.config())
    return torch.stack([balancer(each @ each.T).double() for each in gradients])


@pytest.mark.parametrize("tasks", [2, 3])
def test_those_and_only_those_have_one_direction(tasks: int) -> None:
    found = {kind: weights_of(kind, tasks) for kind in GRAMIAN}
    for one, other in combinations(GRAMIAN, 2):
        cosine = torch.nn.functional.cosine_similarity(found[one], found[other], dim=1).min()
        same = method(one, tasks) == method(other, tasks)
        assert same == bool(cosine > 1 - 1e-6), (one, other)
    assert {name for names in SAME_DIRECTION for name in names} <= set(GRAMIAN)


def test_names() -> None:
    assert method("upgrad", 2) == method("pcgrad", 2) == "pcgrad = upgrad"
    assert method("nash_mtl", 2) == "conflict_free = imtl_g = nash_mtl"
    assert (method("nash_mtl", 3), method("imtl_g", 3)) == ("nash_mtl", "conflict_free = imtl_g")
    assert [works_on_gradients(kind) for kind in ("moco", "pcgrad", "rlw", "?")] == [True, True, False, False]
