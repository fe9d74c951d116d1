"""Balancers that are said to do the same do it, on random gradients; and those that are not, do not."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from bench.balancing import (
    BALANCING,
    IDLE_WITHOUT_SHARED_DENSE,
    SAME_DIRECTION,
    GradientAggregation,
    GradientCombination,
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
        same = method(one, tasks, True) == method(other, tasks, True)
        assert same == bool(cosine > 1 - 1e-6), (one, other)
    assert {name for names in SAME_DIRECTION for name in names} <= set(GRAMIAN)


def test_without_shared_dense_parameters_they_weigh_all_tasks_alike() -> None:
    """There they get no products of half batches, or the gradient at the embedding output alone."""
    idle = set()
    for kind, entry in BALANCING.items():
        if not isinstance(entry.build, type):
            continue
        balancer = entry.build(["a", "b", "c"], entry.config())
        if issubclass(entry.build, GradientAggregation) and "half batches" in entry.build.needs:
            if all(torch.equal(balancer(torch.zeros(3, 3)), torch.ones(3)) for _ in range(5)):
                idle.add(kind)
        elif issubclass(entry.build, GradientCombination):
            balancer.prepare([])
            torch.manual_seed(0)
            steps = [[[torch.randn(4, 3)], [3 * torch.randn(4, 3)], [torch.randn(4, 3)]] for _ in range(70)]
            if "losses" in entry.build.needs:
                balancer.observe(torch.tensor([0.3, 0.6, 0.5]))
            if all(torch.allclose(balancer(step)[0], sum(part for [part] in step), atol=1e-5) for step in steps):
                idle.add(kind)
    assert idle == set(IDLE_WITHOUT_SHARED_DENSE)


def test_names() -> None:
    assert method("upgrad", 2, True) == method("pcgrad", 2, True) == "pcgrad = upgrad"
    assert method("nash_mtl", 2, True) == "conflict_free = imtl_g = nash_mtl"
    assert (method("nash_mtl", 3, True), method("imtl_g", 3, True)) == ("nash_mtl", "conflict_free = imtl_g")
    assert (method("modo", 2, False), method("modo", 2, True)) == ("static", "modo")
    assert [works_on_gradients(kind) for kind in ("moco", "pcgrad", "rlw", "?")] == [True, True, False, False]
