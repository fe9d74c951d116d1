from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.run.limits import ladder, most_epochs, rungs_of
from bench.run.suite import Budget, Suite, load_suite, with_limits
from bench.search.space import Space, load_space


def suite(**search: Any) -> Suite:
    quick = load_suite("quick")
    return quick.model_copy(update={"search": quick.search.model_copy(update=search)})


@pytest.fixture(scope="module")
def wide() -> Space:
    return load_space("wide")


def test_full_length_is_that_of_the_most_epochs_a_space_has(wide: Space) -> None:
    assert rungs_of(suite(), wide, 1000) == (6000,)
    assert rungs_of(suite(), wide.restricted({"optim.epochs": 0.5}), 1000) == (500,)
    assert rungs_of(suite(), load_space("quick"), 1000) == (4000,)


@pytest.mark.parametrize(("rows", "passes"), [(100, 10), (16_609, 9), (51_020, 3), (159_765, 1), (2_000_000, 1)])
def test_small_data_are_passed_more_often_where_a_suite_says_what_full_length_is(rows: int, passes: int) -> None:
    space = load_space("quick")
    assert most_epochs(space.restricted(suite(full_length=150_000).search.passes(rows))) == passes
    assert suite(full_length=None).search.passes(rows) == {}


def test_rungs_lead_to_the_most_epochs(wide: Space) -> None:
    rungs = rungs_of(suite(lowest=1 / 16, step=4), wide, 1600)
    assert rungs[0] == 600
    assert rungs[-1] == 9600


def test_by_itself_the_lowest_rung_is_a_32nd_and_holds_enough_samples(wide: Space) -> None:
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 1_000_000)[0] == 187_500
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 20_000)[0] == 16_384
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 2_000) == (12_000,)
    assert rungs_of(suite(sampler="tpe", lowest=None), wide, 1_000_000) == (6_000_000,)
    assert rungs_of(suite(sampler="gp", lowest=0), wide, 1_000_000) == (6_000_000,)


def test_a_suite_that_says_nothing_is_searched_by_rungs_within_20_full_lengths() -> None:
    least = {"title": "t", "space": "quick", "datasets": [{"id": "census-income"}]}
    silent = Suite.model_validate(least)
    assert silent.search.sampler == "gp"
    assert silent.search.by_rungs
    assert (silent.budget.lengths, silent.budget.trials) == (20, None)
    for search in ({"sampler": "tpe"}, {"lowest": False}):
        whole = Suite.model_validate(least | {"search": search})
        assert not whole.search.by_rungs
        assert (whole.budget.lengths, whole.budget.trials) == (None, 40)
    assert Suite.model_validate_json(silent.model_dump_json()) == silent


def test_samples_and_lengths_take_each_others_place() -> None:
    lengths = Budget(lengths=20)
    assert Budget(**with_limits(lengths, {"samples": 5})).samples_of(100) == 5
    assert Budget(**with_limits(Budget(samples=5), {"lengths": 3.5})).samples_of(100) == 350
    assert Budget(**with_limits(lengths, {"trials": 7})).samples_of(100) == 2000


def test_steps_by_the_reduction_factor() -> None:
    assert ladder(1000, 3, 27000) == (1000, 3000, 9000, 27000)
    assert ladder(1000, 2.5, 6250) == (1000, 2500, 6250)


def test_the_last_step_takes_up_what_is_left() -> None:
    assert ladder(1000, 4, 20000) == (1000, 4000, 20000)  # 16000 would lie just below full length
    assert ladder(1000, 4, 40000) == (1000, 4000, 16000, 40000)


@given(st.integers(1, 10**6), st.floats(1.01, 20), st.integers(1, 10**8))
def test_rises_to_full_length(lowest: int, eta: float, full: int) -> None:
    rungs = ladder(lowest, eta, full)
    assert rungs[-1] == full
    assert list(rungs) == sorted(set(rungs))
    if lowest < full:
        assert rungs[0] == lowest
    if len(rungs) > 1 and lowest * (eta - 1) > 10:  # else rounding moves the steps
        assert math.sqrt(eta) * 0.9 <= rungs[-1] / rungs[-2] <= eta**1.5 * 1.1 or len(rungs) == 2
