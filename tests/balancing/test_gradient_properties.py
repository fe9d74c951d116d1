"""Properties of every balancer of gradients, of both kinds, on Jacobians built to have them."""

from __future__ import annotations

import itertools

import balancing_claims as claims
import pytest
import torch
from balancing_toys import GRADIENTS, build, parts, step
from torch import Tensor

from bench.balancing import BALANCING, GradientAggregation, GradientCombination

AGGREGATIONS = [name for name in GRADIENTS if issubclass(BALANCING[name].build, GradientAggregation)]
COMBINATIONS = [name for name in GRADIENTS if issubclass(BALANCING[name].build, GradientCombination)]
SYMMETRIC = [name for name in GRADIENTS if name not in claims.RANDOM | claims.ASYMMETRIC]
MANY = [1, 2, 3, 6]
SCALES = [1e-10, 1.0, 1e10]


def normal(tasks: int, seed: int = 0) -> Tensor:
    return torch.randn(tasks, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def low_rank(tasks: int, seed: int = 0) -> Tensor:
    return normal(tasks, seed)[:, :2] @ normal(2, seed + 1)


def stationary(tasks: int, seed: int = 0) -> Tensor:
    """A positive combination of the rows is zero."""
    jacobian = normal(max(tasks, 2), seed)
    jacobian[-1] = -(torch.arange(1.0, max(tasks, 2), dtype=torch.float64) @ jacobian[:-1])
    return jacobian[:tasks]


def agreeing(tasks: int, seed: int = 0) -> Tensor:
    """No two rows conflict, and their norms differ."""
    return normal(tasks, seed).abs() * torch.logspace(-2, 2, tasks, dtype=torch.float64)[:, None]


def with_zero_rows(tasks: int, seed: int = 0) -> Tensor:
    jacobian = normal(tasks, seed)
    jacobian[::2] = 0
    return jacobian


def duplicated(tasks: int, seed: int = 0) -> Tensor:
    return normal(1, seed).expand(tasks, -1).clone()


def opposed(tasks: int, seed: int = 0) -> Tensor:
    jacobian = duplicated(tasks, seed)
    jacobian[1::2] *= -1
    return jacobian


SAMPLERS = [normal, low_rank, stationary, agreeing, with_zero_rows, duplicated, opposed]


def assert_non_conflicting(jacobian: Tensor, found: Tensor) -> None:
    """No product of the step with a gradient is negative, but for rounding of what it is the sum of."""
    norms = jacobian.norm(dim=1)
    assert (jacobian @ found >= -2e-6 * norms * norms.max() * len(jacobian)).all(), jacobian @ found


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("sample", [stationary, with_zero_rows, opposed])
def test_finite_at_every_scale_and_rank_for_six_steps(name: str, sample) -> None:
    for tasks, scale in itertools.product(MANY, SCALES):
        balancer = build(name, tasks)
        for seed in range(6):  # past the virtual epoch
            found = step(balancer, (scale * sample(tasks, seed=seed)).float())
            assert found.dtype == torch.float32
            assert found.isfinite().all()


@pytest.mark.parametrize("name", GRADIENTS)
def test_finite_where_the_scales_of_tasks_differ(name: str) -> None:
    for tasks, sample in itertools.product(MANY[1:], (normal, low_rank, opposed)):
        balancer = build(name, tasks)
        for seed in range(6):
            scales = torch.logspace(-10, 10, tasks, dtype=torch.float64)[torch.randperm(tasks)]
            found = step(balancer, (sample(tasks, seed=seed) * scales[:, None]).float(), scales.float())
            assert found.isfinite().all()


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_finite_for_what_is_hardly_a_gramian(name: str) -> None:
    for tasks in MANY:
        balancer = build(name, tasks)
        for gramian in (torch.zeros(tasks, tasks), torch.eye(tasks) * 1e30, torch.full((tasks, tasks), 1e-30)):
            balancer.observe(torch.ones(tasks))
            assert balancer(gramian).isfinite().all()
    underflow = torch.tensor([[1.0, -1e-25], [-1e-25, 0.0]])  # (1e-25)^2 is 0 in float32
    assert build(name, 2)(underflow).isfinite().all()


@pytest.mark.parametrize("name", sorted(claims.POSITIVE))
@pytest.mark.parametrize("sample", SAMPLERS)
def test_weights_are_not_negative(name: str, sample) -> None:
    for tasks, scale in itertools.product(MANY, SCALES):
        jacobian = scale * sample(tasks)
        assert (build(name, tasks)(jacobian @ jacobian.T) >= 0).all()


@pytest.mark.parametrize("name", GRADIENTS)
def test_one_task_is_followed_as_it_is(name: str) -> None:
    for scale in SCALES:
        jacobian = scale * normal(1)
        torch.testing.assert_close(step(build(name, 1), jacobian), jacobian[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", GRADIENTS)
def test_equal_gradients_are_summed(name: str) -> None:
    for tasks, scale in itertools.product(MANY, SCALES):
        jacobian = scale * duplicated(tasks)
        torch.testing.assert_close(step(build(name, tasks), jacobian), jacobian.sum(0), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", sorted(claims.SUMS))
def test_gradients_without_conflict_are_summed(name: str) -> None:
    for tasks in MANY:
        jacobian = agreeing(tasks)
        torch.testing.assert_close(step(build(name, tasks), jacobian), jacobian.sum(0), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "most"), sorted(claims.NON_CONFLICTING.items()))
@pytest.mark.parametrize("sample", SAMPLERS)
def test_the_step_conflicts_with_no_task(name: str, most: int, sample) -> None:
    for tasks, seed, scale in itertools.product([t for t in MANY[1:] if t <= most], range(2), SCALES):
        jacobian = scale * sample(tasks, seed=seed)
        assert_non_conflicting(jacobian, step(build(name, tasks), jacobian))


def test_the_sum_may_conflict() -> None:
    """So that the test above can fail."""
    with_conflict = torch.tensor([[1.0, 0.0], [-3.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    with pytest.raises(AssertionError):
        assert_non_conflicting(with_conflict, with_conflict.sum(0))


@pytest.mark.parametrize(("name", "most"), sorted(claims.STATIONARY.items()))
def test_the_step_is_zero_where_stationary(name: str, most: int) -> None:
    for tasks, scale in itertools.product([t for t in MANY[1:] if t <= most], SCALES):
        jacobian = scale * stationary(tasks)
        assert step(build(name, tasks), jacobian).norm() < 1e-5 * jacobian.norm()
        assert step(build(name, tasks), scale * normal(tasks)).norm() > 0.01 * scale


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("sample", [normal, stationary, with_zero_rows])
def test_permuting_tasks_changes_no_step(name: str, sample) -> None:
    """Steps and not weights, since with dependent gradients several weights give one step; over steps, with state."""
    for tasks in MANY[1:]:
        order = torch.randperm(tasks)
        one, other = build(name, tasks), build(name, tasks)
        for seed in range(6):
            jacobian, losses = sample(tasks, seed=seed), torch.rand(tasks) + 0.1
            found = step(other, jacobian[order], losses[order])
            torch.testing.assert_close(found, step(one, jacobian, losses), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_common_scale_scales_the_step(name: str) -> None:
    for tasks, scale in itertools.product((2, 3, 6), SCALES):
        found = []
        for factor in (1.0, scale):
            torch.manual_seed(0)
            balancer = build(name, tasks)
            steps = [step(balancer, factor * normal(tasks, seed), torch.full((tasks,), factor)) for seed in range(6)]
            found.append(torch.stack(steps) / factor)
        torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(claims.BLIND_TO_TASK_SCALES))
def test_the_direction_does_not_depend_on_a_tasks_own_scale(name: str) -> None:
    """As all of them promise where the losses are scaled as their gradients are."""
    factors = torch.tensor([1e-2, 1.0, 1e2], dtype=torch.float64)
    jacobian = normal(3)
    found = [step(build(name, 3), jacobian * f[:, None], f.float()) for f in (torch.ones_like(factors), factors)]
    directions = [one / one.norm() for one in found]
    torch.testing.assert_close(directions[0], directions[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_task_with_zero_gradient_has_no_say(name: str) -> None:
    for tasks in range(2, 6) if name not in {"pcgrad", "gradvac"} else [2]:
        one, other = build(name, tasks), build(name, tasks + 1)
        for seed in range(6):
            jacobian = normal(tasks, seed)
            padded = torch.cat([jacobian[:1], torch.zeros(1, 20, dtype=torch.float64), jacobian[1:]])
            torch.manual_seed(seed)
            expected = step(one, jacobian)
            torch.manual_seed(seed)
            torch.testing.assert_close(step(other, padded), expected, rtol=1e-5, atol=1e-5)


def train(name_or_balancer, steps: range) -> Tensor:
    balancer = build(name_or_balancer, 4) if isinstance(name_or_balancer, str) else name_or_balancer
    found = []
    for seed in steps:
        jacobian = normal(4, seed)
        if seed % 4 == 3:
            jacobian[2] = 0
        found.append(step(balancer, jacobian, normal(4, seed + 100)[:, 0].abs().float() + 0.1))
    return torch.stack(found)


@pytest.mark.parametrize("name", GRADIENTS)
def test_seeded_runs_repeat_bit_for_bit(name: str) -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(train(name, range(8)))
    assert torch.equal(runs[0], runs[1])


@pytest.mark.parametrize("name", GRADIENTS)
def test_it_goes_on_from_a_saved_state_bit_for_bit(name: str) -> None:
    stop = 5  # past the virtual epoch
    whole, resumed = build(name, 4), build(name, 4)
    train(whole, range(stop))
    resumed.load_state_dict({key: value.clone() for key, value in whole.state_dict().items()})
    runs = []
    for balancer in (whole, resumed):
        torch.manual_seed(5)
        runs.append(train(balancer, range(stop, 10)))
    assert torch.equal(runs[0], runs[1])


@pytest.mark.parametrize("name", GRADIENTS)
def test_what_is_remembered_matters_where_declared(name: str) -> None:
    """Without it the test above could not fail."""
    whole, fresh = build(name, 4), build(name, 4)
    train(whole, range(5))
    runs = []
    for balancer in (whole, fresh):
        torch.manual_seed(5)
        runs.append(train(balancer, range(5, 10)))
    assert torch.equal(runs[0], runs[1]) == (name not in claims.STATEFUL)
    assert bool(whole.state_dict()) == (name in claims.STATEFUL)


@pytest.mark.parametrize("name", GRADIENTS)
def test_what_it_is_given_is_left_as_it_was(name: str) -> None:
    balancer = build(name, 4)
    jacobian = with_zero_rows(4)
    if isinstance(balancer, GradientCombination):
        given = [[part.clone() for part in parts(row)] for row in jacobian]
        found = balancer(given)
        assert all(
            torch.equal(a, b)
            for of, row in zip(given, jacobian, strict=True)
            for a, b in zip(of, parts(row), strict=True)
        )
        assert [part.shape for part in found] == [part.shape for part in given[0]]
    else:
        gramian = jacobian @ jacobian.T
        before = gramian.clone()
        balancer(gramian)
        assert torch.equal(gramian, before)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_nothing_dense_needs_to_be_shared(name: str) -> None:
    entry = BALANCING[name]
    balancer = entry.build(["a", "b", "c"], entry.config())
    balancer.prepare([])
    gradients = [[torch.randn(2, 4)] for _ in range(3)]
    balancer.observe(torch.ones(3))
    (found,) = balancer(gradients)
    assert found.shape == (2, 4)
    assert found.isfinite().all()


@pytest.mark.parametrize("name", sorted(claims.RANDOM))
def test_random_rules_draw(name: str) -> None:
    balancer = build(name, 6)
    runs = [step(balancer, stationary(6)) for _ in range(2)]
    assert not torch.equal(runs[0], runs[1])


@pytest.mark.parametrize("family", [("pcgrad", "upgrad"), ("nash_mtl", "imtl_g", "conflict_free", "fairgrad")])
def test_with_two_tasks_some_are_one_direction(family: tuple[str, ...]) -> None:
    """As the guide says, for gradients that agree and for such that conflict."""
    for seed in range(4):
        rows = torch.randn(2, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        rows[1] = (rows[1] + (-1) ** seed * rows[0]) * 3
        options = {"fairgrad": {"alpha": 1.0}}
        found = [build(name, 2, **options.get(name, {}))(rows @ rows.T).double() @ rows for name in family]
        for each in found[1:]:
            assert torch.cosine_similarity(each, found[0], dim=0) > 1 - 1e-6
