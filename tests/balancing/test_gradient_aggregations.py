"""Properties of every gradient aggregation, on Jacobians built to have them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from bench.balancing import BALANCING, GradientAggregation

TASKS = ["a", "b", "c", "d", "e", "f"]
AGGREGATIONS = [name for name, entry in BALANCING.items() if issubclass(entry.build, GradientAggregation)]
DETERMINISTIC = [name for name in AGGREGATIONS if name != "pcgrad"]
SCALES = [1e-10, 1e-5, 1.0, 1e5, 1e10]


def build(name: str, tasks: int) -> GradientAggregation:
    entry = BALANCING[name]
    return entry.build(TASKS[:tasks], entry.config())


def weights(name: str, jacobian: Tensor) -> Tensor:
    return build(name, len(jacobian))(jacobian @ jacobian.T)


def step(name: str, jacobian: Tensor) -> Tensor:
    return weights(name, jacobian) @ jacobian


def normal(tasks: int, width: int = 20, seed: int = 0) -> Tensor:
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def low_rank(tasks: int, rank: int = 2, seed: int = 0) -> Tensor:
    return normal(tasks, rank, seed) @ normal(rank, 20, seed + 1)


def stationary(tasks: int, seed: int = 0) -> Tensor:
    """A positive combination of the rows is zero."""
    jacobian = normal(tasks, 20, seed)
    jacobian[-1] = -(torch.arange(1.0, tasks, dtype=torch.float64) @ jacobian[:-1])
    return jacobian


def agreeing(tasks: int, seed: int = 0) -> Tensor:
    """No two rows conflict, and their lengths differ."""
    return normal(tasks, 20, seed).abs() * torch.logspace(-2, 2, tasks, dtype=torch.float64)[:, None]


def with_zero_rows(tasks: int, seed: int = 0) -> Tensor:
    jacobian = normal(tasks, 20, seed)
    jacobian[::2] = 0
    return jacobian


def duplicated(tasks: int, seed: int = 0) -> Tensor:
    return normal(1, 20, seed).expand(tasks, -1).clone()


def opposed(tasks: int, seed: int = 0) -> Tensor:
    jacobian = duplicated(tasks, seed)
    jacobian[1::2] *= -1
    return jacobian


SAMPLERS = [normal, low_rank, stationary, agreeing, with_zero_rows, duplicated, opposed]


def assert_non_conflicting(jacobian: Tensor, found: Tensor) -> None:
    """No product of the step with a gradient is negative, but for rounding of the terms that it is the sum of."""
    lengths = jacobian.norm(dim=1)
    products = jacobian @ (found @ jacobian)
    assert (products >= -2e-6 * lengths * (found * lengths).max()).all(), products


@pytest.mark.parametrize("name", AGGREGATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sample", SAMPLERS)
def test_finite_and_nonnegative_at_every_scale(name: str, dtype: torch.dtype, sample) -> None:
    for tasks, scale in itertools.product(range(1, 7), SCALES):
        if tasks == 1 and sample is stationary:
            continue
        found = weights(name, (scale * sample(tasks)).to(dtype))
        assert found.shape == (tasks,)
        assert found.dtype == dtype
        assert found.isfinite().all()
        if name != "pcgrad" or tasks == 2:
            assert (found >= 0).all()


@pytest.mark.parametrize("name", AGGREGATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_where_the_scales_of_tasks_differ(name: str, dtype: torch.dtype) -> None:
    for tasks in range(2, 7):
        for seed, sample in itertools.product(range(5), (normal, low_rank, opposed)):
            scales = torch.logspace(-10, 10, tasks, dtype=torch.float64)[torch.randperm(tasks)]
            jacobian = (sample(tasks, seed=seed) * scales[:, None]).to(dtype)
            assert weights(name, jacobian).isfinite().all()
            assert step(name, jacobian).isfinite().all()


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_finite_where_a_square_underflows(name: str) -> None:
    gramian = torch.tensor([[1.0, -1e-25], [-1e-25, 0.0]])  # (1e-25)^2 is 0 in float32
    assert build(name, 2)(gramian).isfinite().all()


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_a_gramian_of_zeros_gives_finite_weights(name: str) -> None:
    for tasks in range(1, 7):
        assert build(name, tasks)(torch.zeros(tasks, tasks)).isfinite().all()


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_one_task_has_weight_one(name: str) -> None:
    for scale in SCALES:
        torch.testing.assert_close(weights(name, scale * normal(1)), torch.ones(1, dtype=torch.float64))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_equal_gradients_are_summed(name: str) -> None:
    for tasks, scale in itertools.product(range(1, 7), SCALES):
        jacobian = scale * duplicated(tasks)
        torch.testing.assert_close(step(name, jacobian), jacobian.sum(0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["pcgrad", "upgrad"])
def test_gradients_without_conflict_are_summed(name: str) -> None:
    for tasks in range(1, 7):
        torch.testing.assert_close(weights(name, agreeing(tasks)), torch.ones(tasks, dtype=torch.float64))


@pytest.mark.parametrize(("name", "most"), [("upgrad", 6), ("mgda", 6), ("pcgrad", 2)])
@pytest.mark.parametrize("sample", SAMPLERS)
def test_the_step_conflicts_with_no_task(name: str, most: int, sample) -> None:
    for tasks, seed, scale in itertools.product(range(2, most + 1), range(5), SCALES):
        jacobian = scale * sample(tasks, seed=seed)
        assert_non_conflicting(jacobian, weights(name, jacobian))


def test_the_sum_may_conflict() -> None:
    """So that the test above can fail."""
    with_conflict = torch.tensor([[1.0, 0.0], [-3.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    with pytest.raises(AssertionError):
        assert_non_conflicting(with_conflict, torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize(("name", "most"), [("upgrad", 6), ("mgda", 6), ("pcgrad", 2)])
def test_the_step_is_zero_where_stationary(name: str, most: int) -> None:
    for tasks, scale in itertools.product(range(2, most + 1), SCALES):
        jacobian = scale * stationary(tasks)
        assert step(name, jacobian).norm() < 1e-5 * jacobian.norm()
        assert step(name, scale * normal(tasks)).norm() > 0.01 * scale


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("sample", [normal, low_rank, stationary, agreeing, with_zero_rows])
def test_permuting_tasks_permutes_weights(name: str, sample) -> None:
    """Compared as steps, since with dependent gradients several weights give one step."""
    for tasks in range(2, 7):
        jacobian = sample(tasks)
        order = torch.randperm(tasks)
        torch.testing.assert_close(step(name, jacobian[order]), step(name, jacobian), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_a_common_scale_changes_no_weight(name: str) -> None:
    for tasks, scale in itertools.product(range(2, 7), SCALES):
        found = []
        for factor in (1.0, scale):
            torch.manual_seed(0)
            found.append(weights(name, factor * normal(tasks)))
        torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_a_task_with_zero_gradient_has_no_say(name: str) -> None:
    for tasks in range(2, 7) if name in DETERMINISTIC else [2]:
        jacobian = normal(tasks)
        padded = torch.cat([jacobian[:1], torch.zeros(1, 20, dtype=torch.float64), jacobian[1:]])
        found = weights(name, padded)
        assert found[1] == 1
        torch.testing.assert_close(found[[0, *range(2, tasks + 1)]], weights(name, jacobian))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_seeded_runs_repeat_bit_for_bit(name: str) -> None:
    gramian = normal(6, 8) @ normal(6, 8).T
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(torch.stack([build(name, 6)(gramian) for _ in range(5)]))
    assert torch.equal(runs[0], runs[1])


def test_pcgrad_draws_its_order() -> None:
    jacobian = stationary(6)
    assert not torch.equal(weights("pcgrad", jacobian), weights("pcgrad", jacobian))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_the_gramian_is_left_as_it_was(name: str) -> None:
    gramian = with_zero_rows(4) @ with_zero_rows(4).T
    before = gramian.clone()
    build(name, 4)(gramian)
    assert torch.equal(gramian, before)
