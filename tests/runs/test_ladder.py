import pytest

from bench.runs.limits import ladder, most_epochs, rungs_of
from bench.runs.suite import Suite, load_suite, lowest_rung
from bench.search.space import load_space


def suite(**search):
    quick = load_suite("quick")
    return quick.model_copy(update={"search": quick.search.model_copy(update=search)})


@pytest.fixture(scope="module")
def wide():
    return load_space("wide")


@pytest.mark.parametrize(("rows", "passes"), [(100, 10), (16_609, 9), (51_020, 3), (159_765, 1), (2_000_000, 1)])
def test_small_data_are_passed_more_often_where_a_suite_says_what_full_length_is(rows, passes):
    space = load_space("quick")
    assert most_epochs(space.restricted(suite(full_length=150_000).passes(rows))) == passes
    assert suite(full_length=None).passes(rows) == {}


def test_rungs_lead_to_the_most_epochs(wide):
    rungs = rungs_of(suite(lowest=1 / 16, step=4), wide, 1600)
    assert rungs[0] == 600
    assert rungs[-1] == 9600


def test_by_itself_the_lowest_rung_is_a_32nd_and_holds_enough_samples(wide):
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 1_000_000)[0] == 187_500
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 20_000)[0] == 16_384
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 2_000) == (12_000,)
    assert rungs_of(suite(sampler="tpe", lowest=None), wide, 1_000_000) == (6_000_000,)
    assert rungs_of(suite(sampler="gp", lowest=0), wide, 1_000_000) == (6_000_000,)


def test_a_suite_that_says_nothing_is_searched_by_rungs_within_20_full_lengths():
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


def test_steps_by_the_reduction_factor():
    assert [lowest_rung(asked, 6400) for asked in (0, 1, 0.5, 20)] == [6400, 1, 3200, 20]
    assert ladder(1000, 3, 27000) == (1000, 3000, 9000, 27000)
    assert ladder(1000, 2.5, 6250) == (1000, 2500, 6250)
    assert ladder(1000, 4, 20000) == (1000, 4000, 20000)  # 16000 would lie just below full length
