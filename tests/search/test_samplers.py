"""Optuna's samplers: made in one place, and asked with what the log has."""

import pytest
from search_toys import (
    TASKS,
    objectives,
    printed_under_other_hashes,
    toy_space,
)

from bench.search.samplers import SAMPLERS
from bench.testing.samplers import it_depends_on_its_seed_and_on_nothing_else


def toy(trial):
    return objectives(toy_space().suggest(trial, TASKS))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_depends_on_its_seed_and_on_nothing_else(name):
    it_depends_on_its_seed_and_on_nothing_else(name, toy)


@pytest.mark.slow
def test_no_sampler_depends_on_the_order_of_sets():
    """Text hashes differ from process to process, and with them the order of sets."""
    code = (
        "from test_samplers import *; from bench.testing.samplers import sequence; "
        "print([sequence(name, 5, 45, toy) for name in SAMPLERS])"
    )
    first, second = printed_under_other_hashes(code)
    assert first == second
    assert first.count("(") == 45 * len(SAMPLERS)
