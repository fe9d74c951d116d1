"""What every balancer must do, which ones are alike, and what some claim: on gradients built to
have it, and losses.
"""

import itertools
from functools import partial

import pytest
import torch

from bench.models.balancing import (
    BALANCING,
    SAME_DIRECTION,
    GradientAggregation,
    method,
    works_on_gradients,
)
from bench.testing import balancing as of
from bench.testing.balancing import (
    SAMPLERS,
    SCALES,
    TASK_COUNTS,
    agreeing,
    build,
    normal,
    stationary,
    step,
    weights,
)

EVERY = [partial(check, name) for name in BALANCING for check in of.requirements(name)]


@pytest.mark.parametrize("check", EVERY, ids=lambda check: f"{check.args[0]}-{check.func.__name__}")
def test_each(check):
    check()


def test_each_has_its_own_class():
    assert len({entry.build for entry in BALANCING.values()}) == len(BALANCING)


GRAMIAN = [
    name
    for name, entry in BALANCING.items()
    if isinstance(entry.build, type)
    and issubclass(entry.build, GradientAggregation)
    and not entry.build.needs
]


def weights_of(kind, tasks):
    """Of 30 steps with gradients of unlike norms, in agreement and in conflict."""
    torch.manual_seed(tasks)
    norms = torch.exp(torch.randn(30, tasks, 1))
    gradients = [torch.randn(tasks, 6) * norm for norm in norms]
    entry = BALANCING[kind]
    balancer = entry.build([str(task) for task in range(tasks)], entry.config())
    return torch.stack([balancer(gradient @ gradient.T).double() for gradient in gradients])


@pytest.mark.parametrize("tasks", [2, 3])
def test_those_and_only_those_have_one_direction(tasks):
    weights_by_kind = {kind: weights_of(kind, tasks) for kind in GRAMIAN}
    for first, second in itertools.combinations(GRAMIAN, 2):
        cosine = torch.nn.functional.cosine_similarity(
            weights_by_kind[first], weights_by_kind[second], dim=1
        ).min()
        same = method(first, tasks) == method(second, tasks)
        assert same == bool(cosine > 1 - 1e-6), (first, second)
    assert {name for names in SAME_DIRECTION for name in names} <= set(GRAMIAN)


RANDOM = [
    name for name in BALANCING if works_on_gradients(name) and "random" in build(name, 2).claims
]
# Weights that are never negative.
POSITIVE = {"mgda", "cagrad", "upgrad", "nash_mtl", "fairgrad", "gradnorm"}
# The first step conflicts with no task, for up to so many tasks.
NON_CONFLICTING = {"mgda": 6, "upgrad": 6, "pcgrad": 2, "nash_mtl": 6, "gradvac": 2}
# The first step is zero where a positive combination of the gradients is.
STATIONARY = {"mgda": 6, "upgrad": 6, "pcgrad": 2}
# The first step is the sum where no two gradients conflict.
SUMS = {"pcgrad", "gradvac", "upgrad", "gradnorm"}
# Orthogonal gradients, each scaled by its own factor, keep the step's direction's cosines with
# them.
BLIND_TO_TASK_SCALES = {"nash_mtl", "conflict_free", "imtl_g", "db_mtl"}


def assert_non_conflicting(jacobian, direction):
    """No product of the step with a gradient is negative, except by rounding of its terms."""
    norms = jacobian.norm(dim=1)
    assert (jacobian @ direction >= -2e-6 * norms * norms.max() * len(jacobian)).all(), (
        jacobian @ direction
    )


@pytest.mark.parametrize("name", sorted(POSITIVE))
def test_weights_are_not_negative(name):
    for sample, tasks, scale in itertools.product(SAMPLERS, TASK_COUNTS, SCALES):
        jacobian = scale * sample(tasks)
        assert (build(name, tasks)(jacobian @ jacobian.T) >= 0).all(), (
            sample.__name__,
            tasks,
            scale,
        )


@pytest.mark.parametrize("name", sorted(SUMS))
def test_gradients_without_conflict_are_summed(name):
    for tasks in TASK_COUNTS:
        jacobian = agreeing(tasks)
        torch.testing.assert_close(
            step(build(name, tasks), jacobian), jacobian.sum(0), rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize(("name", "limit"), sorted(NON_CONFLICTING.items()))
def test_the_step_conflicts_with_no_task(name, limit):
    some = [t for t in TASK_COUNTS[1:] if t <= limit]
    for sample, tasks, seed, scale in itertools.product(SAMPLERS, some, range(2), SCALES):
        jacobian = scale * sample(tasks, seed=seed)
        assert_non_conflicting(jacobian, step(build(name, tasks), jacobian))


@pytest.mark.parametrize(("name", "limit"), sorted(STATIONARY.items()))
def test_the_step_is_zero_where_stationary(name, limit):
    for tasks, scale in itertools.product([t for t in TASK_COUNTS[1:] if t <= limit], SCALES):
        jacobian = scale * stationary(tasks)
        assert step(build(name, tasks), jacobian).norm() < 1e-5 * jacobian.norm()
        assert step(build(name, tasks), scale * normal(tasks)).norm() > 0.01 * scale


@pytest.mark.parametrize("name", sorted(BLIND_TO_TASK_SCALES))
def test_the_direction_does_not_depend_on_a_tasks_own_scale(name):
    """All of them guarantee this where the losses are scaled as their gradients are."""
    factors = torch.tensor([1e-2, 1.0, 1e2], dtype=torch.float64)
    jacobian = normal(3)
    steps = [
        step(build(name, 3), jacobian * f[:, None], f.float())
        for f in (torch.ones_like(factors), factors)
    ]
    directions = [one / one.norm() for one in steps]
    torch.testing.assert_close(directions[0], directions[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", RANDOM)
def test_random_rules_draw(name):
    balancer = build(name, 6)
    runs = [step(balancer, stationary(6)) for _ in range(2)]
    assert not torch.equal(runs[0], runs[1])


@pytest.mark.parametrize("name", [name for name in BALANCING if not works_on_gradients(name)])
def test_weights_of_losses_are_positive(name):
    balancer = build(name, 6)
    for seed in range(10):
        losses = torch.rand(6, generator=torch.Generator().manual_seed(seed)) + 0.01
        assert (weights(balancer, losses) > 0).all()
