"""Checks of every balancer, on losses and Jacobians built to have a property."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast, get_args

import torch
from torch import Tensor

from bench.core.schema import Schema, Task
from bench.models.balancing import BALANCING
from bench.models.balancing.base import (
    Balancer,
    GradientAggregation,
    GradientCombination,
    LossWeighting,
    Need,
)

TASKS = ["a", "b", "c", "d", "e", "f"]
OUTPUT = 8
"""Numbers of a test's gradient that stand for the embedding output."""
TASK_COUNTS = [1, 2, 3, 6]
SCALES = [1e-10, 1.0, 1e10]


def build(name: str, tasks: int, **options: Any) -> Balancer:
    """Builds a balancer with a virtual epoch of 3 steps; prepares a combination for the parameters
    of `parts`.
    """
    entry = BALANCING[name]
    if "virtual_epoch" in entry.config.model_fields:
        options = {"virtual_epoch": 3} | options
    balancer: Balancer = entry.build(TASKS[:tasks], entry.config(**options))
    if isinstance(balancer, GradientCombination):
        balancer.prepare([torch.zeros(3, 2), torch.zeros(6)])
    return balancer


def parts(row: Tensor) -> list[Tensor]:
    """(20,) as an embedding output (2, 4) and two parameters (3, 2) and (6,)."""
    output, first, second = torch.split(row, [OUTPUT, 6, 6])
    return [output.view(2, 4), first.view(3, 2), second]


def step(balancer: Balancer, jacobian: Tensor, losses: Tensor | None = None) -> Tensor:
    """The combined gradient (N,) of gradients (T, N); a combination needs N = 20."""
    if losses is None:
        losses = torch.ones(len(jacobian))
    balancer.observe(losses.masked_fill((jacobian == 0).all(1), 0.0))
    if isinstance(balancer, GradientCombination):
        combined_parts = balancer([parts(row) for row in jacobian])
        return torch.cat([part.reshape(-1) for part in combined_parts])
    combined: Tensor = balancer(jacobian @ jacobian.T) @ jacobian
    return combined


def normal(tasks: int, seed: int = 0) -> Tensor:
    """Rows (T, 20) of independent numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, 20, generator=generator, dtype=torch.float64)


def low_rank(tasks: int, seed: int = 0) -> Tensor:
    """Rows in a plane."""
    return normal(tasks, seed)[:, :2] @ normal(2, seed + 1)


def stationary(tasks: int, seed: int = 0) -> Tensor:
    """Rows of which a positive combination is zero."""
    jacobian = normal(max(tasks, 2), seed)
    jacobian[-1] = -(torch.arange(1.0, max(tasks, 2), dtype=torch.float64) @ jacobian[:-1])
    return jacobian[:tasks]


def agreeing(tasks: int, seed: int = 0) -> Tensor:
    """Rows without conflicts, with different norms."""
    return normal(tasks, seed).abs() * torch.logspace(-2, 2, tasks, dtype=torch.float64)[:, None]


def with_zero_rows(tasks: int, seed: int = 0) -> Tensor:
    """`normal` with every second row zero."""
    jacobian = normal(tasks, seed)
    jacobian[::2] = 0
    return jacobian


def duplicated(tasks: int, seed: int = 0) -> Tensor:
    """Equal rows."""
    return normal(1, seed).expand(tasks, -1).clone()


def opposed(tasks: int, seed: int = 0) -> Tensor:
    """Equal rows, every second one with opposite sign."""
    jacobian = duplicated(tasks, seed)
    jacobian[1::2] *= -1
    return jacobian


SAMPLERS: list[Callable[..., Tensor]] = [
    normal,
    low_rank,
    stationary,
    agreeing,
    with_zero_rows,
    duplicated,
    opposed,
]


def an_entry_is_complete(name: str) -> None:
    """It is one of the three kinds of balancer, knows its tasks, and asks only for what a step can
    give.
    """
    balancer = build(name, 3)
    kinds = (LossWeighting, GradientAggregation, GradientCombination)
    assert sum(isinstance(balancer, kind) for kind in kinds) == 1
    assert balancer.needs <= set(get_args(Need))
    assert balancer.tasks == ("a", "b", "c")
    assert BALANCING[name].unfit(Schema((), (), (Task("a"), Task("b"), Task("c")))) is None


# Balancers of gradients


def finite_at_every_scale_and_rank_for_six_steps(name: str) -> None:
    """Of one scale for all tasks, or of scales that differ by twenty orders of magnitude."""
    for sample, tasks, scale in itertools.product(SAMPLERS, TASK_COUNTS, (*SCALES, None)):
        balancer = build(name, tasks)
        for seed in range(6):  # past the virtual epoch
            scales = torch.logspace(-10, 10, tasks, dtype=torch.float64)[torch.randperm(tasks)]
            if scale is not None:
                scales = torch.full_like(scales, scale)
            jacobian = sample(tasks, seed=seed) * scales[:, None]
            combined = step(balancer, jacobian.float(), scales.float())
            assert combined.dtype == torch.float32
            assert combined.isfinite().all()


def finite_for_what_is_hardly_a_gramian(name: str) -> None:
    """Of a gradient aggregation: zero, huge and tiny Gramians."""
    for tasks in TASK_COUNTS:
        balancer = build(name, tasks)
        zero, huge = torch.zeros(tasks, tasks), torch.eye(tasks) * 1e30
        for gramian in (zero, huge, torch.full((tasks, tasks), 1e-30)):
            balancer.observe(torch.ones(tasks))
            assert balancer(gramian).isfinite().all()
    underflow = torch.tensor([[1.0, -1e-25], [-1e-25, 0.0]])  # (1e-25)^2 is 0 in float32
    assert build(name, 2)(underflow).isfinite().all()


def one_task_is_followed_as_it_is(name: str) -> None:
    """The step of a single task is its gradient."""
    for scale in SCALES:
        jacobian = scale * normal(1)
        torch.testing.assert_close(step(build(name, 1), jacobian), jacobian[0], rtol=1e-6, atol=0)


def equal_gradients_are_summed(name: str) -> None:
    """So that one learning rate means the same under every balancer."""
    for tasks, scale in itertools.product(TASK_COUNTS, SCALES):
        jacobian = scale * duplicated(tasks)
        combined = step(build(name, tasks), jacobian)
        torch.testing.assert_close(combined, jacobian.sum(0), rtol=1e-5, atol=0)


def permuting_tasks_changes_no_step(name: str) -> None:
    """Steps and not weights, since with dependent gradients several weights give one step; over
    steps, with state.
    """
    for sample in (normal, stationary, with_zero_rows):
        torch.manual_seed(0)
        for tasks in TASK_COUNTS[1:]:
            order = torch.randperm(tasks)
            balancer, permuted = build(name, tasks), build(name, tasks)
            for seed in range(6):
                jacobian, losses = sample(tasks, seed=seed), torch.rand(tasks) + 0.1
                found = step(permuted, jacobian[order], losses[order])
                expected = step(balancer, jacobian, losses)
                torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def a_common_scale_scales_the_step(name: str) -> None:
    """Over six steps, with the losses on the same scale."""
    for tasks, scale in itertools.product((2, 3, 6), SCALES):
        relative_steps = []
        for factor in (1.0, scale):
            torch.manual_seed(0)
            balancer = build(name, tasks)
            losses = torch.full((tasks,), factor)
            steps = [step(balancer, factor * normal(tasks, seed), losses) for seed in range(6)]
            relative_steps.append(torch.stack(steps) / factor)
        torch.testing.assert_close(*relative_steps, rtol=1e-4, atol=1e-4)


def a_task_with_zero_gradient_has_no_say(name: str) -> None:
    """The step is the others' own; where draws depend on the number of tasks, two tasks are tried
    alone.
    """
    zero_row = torch.zeros(1, 20, dtype=torch.float64)
    for tasks in [2] if "random" in build(name, 2).claims else range(2, 6):
        balancer, with_one_more = build(name, tasks), build(name, tasks + 1)
        for seed in range(6):
            jacobian = normal(tasks, seed)
            padded = torch.cat([jacobian[:1], zero_row, jacobian[1:]])
            torch.manual_seed(seed)
            expected = step(balancer, jacobian)
            torch.manual_seed(seed)
            found = step(with_one_more, padded)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def steps_of(balancer: Balancer, steps: range) -> Tensor:
    """Steps of four tasks, one of which sometimes has no sample."""
    combined = []
    for seed in steps:
        jacobian = normal(4, seed)
        if seed % 4 == 3:
            jacobian[2] = 0
        losses = normal(4, seed + 100)[:, 0].abs().float() + 0.1
        combined.append(step(balancer, jacobian, losses))
    return torch.stack(combined)


def what_it_is_given_is_left_as_it_was(name: str) -> None:
    """Gradients are not changed in place, and a combination has their shapes."""
    balancer = build(name, 4)
    jacobian = with_zero_rows(4)
    if isinstance(balancer, GradientCombination):
        gradients = [parts(row.clone()) for row in jacobian]
        combined = balancer(gradients)
        after = [torch.cat([part.flatten() for part in gradient]) for gradient in gradients]
        assert torch.equal(torch.stack(after), jacobian)
        assert [part.shape for part in combined] == [part.shape for part in gradients[0]]
    else:
        gramian = jacobian @ jacobian.T
        before = gramian.clone()
        balancer(gramian)
        assert torch.equal(gramian, before)


def nothing_dense_needs_to_be_shared(name: str) -> None:
    """A combination works where the embedding output is all that tasks share."""
    entry = BALANCING[name]
    balancer = cast(GradientCombination, entry.build(["a", "b", "c"], entry.config()))
    balancer.prepare([])
    gradients = [[torch.randn(2, 4)] for _ in range(3)]
    balancer.observe(torch.ones(3))
    (combined,) = balancer(gradients)
    assert combined.shape == (2, 4)
    assert combined.isfinite().all()


# Loss weightings


def weights(balancer: Balancer, losses: Tensor) -> Tensor:
    """Factors of the tasks' gradients."""
    leaf = losses.clone().requires_grad_()
    balancer(leaf).backward()
    assert leaf.grad is not None
    return leaf.grad


def losses_of(balancer: Balancer, steps: int, seed: int) -> Tensor:
    """The combined losses over some steps on random losses; the balancer's parameters learn."""
    generator = torch.Generator().manual_seed(seed)
    unused = torch.nn.Parameter(torch.zeros(()))  # an optimizer needs one
    optimizer = torch.optim.SGD([*balancer.parameters(), unused], lr=0.1)
    combined_losses = []
    for _ in range(steps):
        losses = torch.rand(len(balancer.tasks), generator=generator) + 0.1
        loss = balancer(losses.requires_grad_())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        balancer.after(losses.detach() * (0.5 + torch.rand(len(losses), generator=generator)))
        combined_losses.append(loss.detach())
    return torch.stack(combined_losses)


def equal_losses_have_weights_that_sum_to_the_number_of_tasks(name: str) -> None:
    """And each is 1, unless they are drawn at random."""
    for tasks in range(1, 7):
        task_weights = weights(build(name, tasks), torch.full((tasks,), 0.3))
        torch.testing.assert_close(task_weights.sum(), torch.tensor(float(tasks)))
        if "random" not in build(name, 2).claims:
            torch.testing.assert_close(task_weights, torch.ones(tasks))


def permuting_tasks_permutes_weights(name: str) -> None:
    """Over ten steps, past two virtual epochs."""
    balancer, permuted = build(name, 5), build(name, 5)
    order = torch.tensor([3, 0, 4, 2, 1])
    for seed in range(10):
        losses = torch.rand(5, generator=torch.Generator().manual_seed(seed)) + 0.1
        expected = weights(balancer, losses)[order]
        torch.testing.assert_close(expected, weights(permuted, losses[order]))


def finite_at_every_scale_and_without_samples(name: str) -> None:
    """A task without a sample in the batch has loss 0; none of them may have one."""
    for tasks in range(1, 7):
        balancer = build(name, tasks)
        for scale in (1e-10, 1e-5, 1.0, 1e5, 1e10):
            for absent in range(tasks + 1):
                losses = scale * torch.rand(tasks) + scale / 10
                losses[:absent] = 0
                leaf = losses.requires_grad_()
                loss = balancer(leaf)
                loss.backward()
                assert loss.isfinite()
                assert leaf.grad is not None
                assert leaf.grad.isfinite().all()
                balancer.after(losses.detach() * 0.9)


def a_loss_that_is_not_a_number_shows(name: str) -> None:
    """Training that diverged must be seen."""
    assert build(name, 3)(torch.tensor([0.5, torch.nan, 0.0])).isnan()


def a_task_without_samples_leaves_the_others_alone(name: str) -> None:
    """Their weights are as if it were not there."""
    losses = torch.tensor([0.7, 0.2])
    expected = weights(build(name, 2), losses)
    found = weights(build(name, 3), torch.tensor([0.7, 0.0, 0.2]))
    torch.testing.assert_close(found[[0, 2]], expected)


# Both


def run_of(balancer: Balancer, steps: range) -> Tensor:
    """What it makes of four tasks, step by step."""
    if isinstance(balancer, LossWeighting):
        return losses_of(balancer, len(steps), steps.start)
    return steps_of(balancer, steps)


def seeded_runs_repeat_bit_for_bit(name: str) -> None:
    """Draws come from torch's default generator alone."""
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(run_of(build(name, 4), range(12)))
    assert torch.equal(runs[0], runs[1])


def it_goes_on_from_a_saved_state_bit_for_bit(name: str) -> None:
    """`state_dict` holds all that is kept between steps."""
    for stop in (1, 4, 7):  # within the virtual epoch, and past it
        whole, resumed = build(name, 4), build(name, 4)
        run_of(whole, range(stop))
        resumed.load_state_dict({key: value.clone() for key, value in whole.state_dict().items()})
        runs = []
        for balancer in (whole, resumed):
            torch.manual_seed(5)
            runs.append(run_of(balancer, range(stop, stop + 6)))
        assert torch.equal(runs[0], runs[1])


def what_is_kept_matters_where_claimed(name: str) -> None:
    """Without it the check above could not fail."""
    runs = []
    for has_history in (True, False):
        balancer = build(name, 4)
        if has_history:
            run_of(balancer, range(5))
        torch.manual_seed(5)
        runs.append(run_of(balancer, range(5, 14)))
    assert torch.equal(runs[0], runs[1]) == ("stateful" not in build(name, 4).claims)


OF_BOTH = (
    an_entry_is_complete,
    seeded_runs_repeat_bit_for_bit,
    it_goes_on_from_a_saved_state_bit_for_bit,
    what_is_kept_matters_where_claimed,
)


def requirements(name: str) -> list[Callable[[str], None]]:
    """The checks of a balancer alone, by its kind and its class's claims, see
    `bench.testing.checks`.
    """
    balancer = build(name, 2)
    treats_tasks_alike = not {"random", "asymmetric"} & balancer.claims
    required: list[Callable[[str], None]] = list(OF_BOTH)
    if isinstance(balancer, LossWeighting):
        required.append(finite_at_every_scale_and_without_samples)
        required.append(a_loss_that_is_not_a_number_shows)
        required.append(equal_losses_have_weights_that_sum_to_the_number_of_tasks)
        if treats_tasks_alike:
            required.append(permuting_tasks_permutes_weights)
            required.append(a_task_without_samples_leaves_the_others_alone)
        return required

    required.append(finite_at_every_scale_and_rank_for_six_steps)
    required.append(one_task_is_followed_as_it_is)
    required.append(equal_gradients_are_summed)
    required.append(a_common_scale_scales_the_step)
    required.append(a_task_with_zero_gradient_has_no_say)
    required.append(what_it_is_given_is_left_as_it_was)
    if isinstance(balancer, GradientCombination):
        required.append(nothing_dense_needs_to_be_shared)
    else:
        required.append(finite_for_what_is_hardly_a_gramian)
    if treats_tasks_alike:
        required.append(permuting_tasks_changes_no_step)
    return required
