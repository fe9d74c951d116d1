"""Properties of every loss weighting."""

from __future__ import annotations

import pytest
import torch
from balancing_toys import WEIGHTINGS

from bench.testing import balancing as of

DETERMINISTIC = [name for name in WEIGHTINGS if name != "rlw"]
# These draw losses to a ray, against a task's own interest where it is ahead.
RAYS = ["cosmos", "pbi"]
STATEFUL = ["uncertainty", "revised_uncertainty", "dwa", "famo", "stch"]
FAIR = [of.permuting_tasks_permutes_weights, of.a_task_without_samples_leaves_the_others_alone]


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_equal_losses_have_weights_that_sum_to_the_number_of_tasks(name: str) -> None:
    of.equal_losses_have_weights_that_sum_to_the_number_of_tasks(name, [] if name in DETERMINISTIC else ["random"])


@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if name not in RAYS])
def test_weights_are_positive(name: str) -> None:
    balancer = of.build(name, 6)
    for seed in range(10):
        losses = torch.rand(6, generator=torch.Generator().manual_seed(seed)) + 0.01
        assert (of.weights(balancer, losses) > 0).all()


@pytest.mark.parametrize("check", of.OF_LOSSES, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_each(name: str, check) -> None:
    check(name)


@pytest.mark.parametrize("check", FAIR, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_each_that_draws_nothing(name: str, check) -> None:
    check(name)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_training_goes_on_from_a_saved_state(name: str) -> None:
    for stop in (1, 4, 7):
        of.losses_go_on_from_a_saved_state(name, stop)


@pytest.mark.parametrize("name", STATEFUL)
def test_the_state_matters(name: str) -> None:
    """Without it the test above could not fail."""
    whole = of.build(name, 4)
    of.losses_of(whole, 7, seed=0)
    assert not torch.equal(of.losses_of(whole, 9, seed=1), of.losses_of(of.build(name, 4), 9, seed=1))
