from __future__ import annotations

from typing import Any

import pytest

from bench.errors import UserError
from bench.run.ladder import rungs_of
from bench.search.space import Space, load_space
from bench.suite import Suite, load_suite


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


def test_rungs_lead_to_the_most_epochs(wide: Space) -> None:
    rungs = rungs_of(suite(lowest=1 / 16, step=4), wide, 1600)
    assert rungs[0] == 600
    assert rungs[-1] == 9600


def test_a_budget_below_one_trial_of_the_most_epochs_is_refused(wide: Space) -> None:
    short = load_suite("quick")
    short = short.model_copy(update={"budget": short.budget.model_copy(update={"samples": 5999})})
    with pytest.raises(UserError, match=r"at least 6,000.*found 5,999"):
        rungs_of(short, wide, 1000)
