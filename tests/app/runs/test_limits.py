"""How long trainings are, and the time left of a run: on simulated logs right within a factor of
two.
"""

import numpy as np
import pytest

from bench.app.runs.search_limits import ladder, most_epochs, rungs_of
from bench.app.runs.status import SERVING, After, Pace
from bench.app.runs.suite import Suite, load_suite, lowest_rung
from bench.core.records import RungResult, TrialRecord
from bench.search.confirm.baselines import LEAST_TREES, LEAST_TRIES
from bench.search.space import load_space


def suite(**search):
    quick = load_suite("quick")
    return quick.model_copy(update={"search": quick.search.model_copy(update=search)})


@pytest.mark.parametrize(
    ("rows", "passes"), [(100, 10), (16_609, 9), (51_020, 3), (159_765, 1), (2_000_000, 1)]
)
def test_small_data_are_passed_more_often_where_a_suite_says_what_full_length_is(rows, passes):
    space = load_space("quick")
    assert most_epochs(space.restricted(suite(full_length=150_000).passes(rows))) == passes
    assert suite(full_length=None).passes(rows) == {}


def test_rungs_lead_to_the_most_epochs():
    rungs = rungs_of(suite(lowest=1 / 16, step=4), load_space("wide"), 1600)
    assert rungs[0] == 600
    assert rungs[-1] == 9600


def test_by_itself_the_lowest_rung_is_a_32nd_and_holds_enough_samples():
    wide = load_space("wide")
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 1_000_000)[0] == 187_500
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 20_000)[0] == 16_384
    assert rungs_of(suite(sampler="gp", lowest=None), wide, 2_000) == (12_000,)
    assert rungs_of(suite(sampler="tpe", lowest=None), wide, 1_000_000) == (6_000_000,)
    assert rungs_of(suite(sampler="gp", lowest=0), wide, 1_000_000) == (6_000_000,)


def test_a_suite_that_says_nothing_is_searched_by_rungs_within_20_full_lengths():
    smallest = {"title": "t", "space": "quick", "datasets": [{"id": "census-income"}]}
    silent = Suite.model_validate(smallest)
    assert silent.search.sampler == "gp"
    assert silent.search.by_rungs
    assert (silent.budget.lengths, silent.budget.trials) == (20, None)
    for search in ({"sampler": "tpe"}, {"lowest": False}):
        whole = Suite.model_validate(smallest | {"search": search})
        assert not whole.search.by_rungs
        assert (whole.budget.lengths, whole.budget.trials) == (None, 40)
    assert Suite.model_validate_json(silent.model_dump_json()) == silent


def test_steps_by_the_reduction_factor():
    assert [lowest_rung(asked, 6400) for asked in (0, 1, 0.5, 20)] == [6400, 1, 3200, 20]
    assert ladder(1000, 3, 27000) == (1000, 3000, 9000, 27000)
    assert ladder(1000, 2.5, 6250) == (1000, 2500, 6250)
    assert ladder(1000, 4, 20000) == (1000, 4000, 20000)  # 16000 would lie just below full length


LADDER = (20_000, 80_000, 320_000)
BUDGET = 7 * LADDER[-1]
FIXED = 0.1
"""Seconds of a job whatever it trains."""
WARM_UP = 25.0
"""Seconds that the first job of each worker takes besides, to import and compile."""
TREES, REPLICATE = 5.0, 1.4
"""A training of trees in passes of a network, and a replicate over a training to full length."""


def record(number, rungs):
    state = "completed" if len(rungs) == len(LADDER) else "pruned"
    return TrialRecord(
        number,
        state,
        {},
        {},
        "mmoe",
        rungs=tuple(rungs),
        seconds=sum(rung.seconds for rung in rungs),
    )


def search(seed, workers, sample):
    """Jobs of a search by rungs until its budget is used: seconds of each, samples so far, the
    trial's record.
    """
    rng, trained, number, order = np.random.default_rng(seed), 0, 0, 0
    while trained + LADDER[0] <= BUDGET:
        slow, rungs = float(rng.lognormal(0, 0.4)), []
        reached = 1 + int(rng.random() < 1 / 4) * (1 + int(rng.random() < 0.8))
        for rung in range(reached):
            samples = LADDER[rung] - (LADDER[rung - 1] if rung else 0)
            if trained + samples > BUDGET:
                return
            seconds = slow * (FIXED + sample * samples) + WARM_UP * (order < workers)
            rungs.append(RungResult(LADDER[rung], order, {}, seconds))
            trained, order = trained + samples, order + 1
            yield seconds, trained, record(number, rungs)
        number += 1


@pytest.mark.parametrize(
    ("workers", "sample"), [(1, 2e-5), (2, 4e-6)], ids=["long", "short beside the warm-up"]
)
def test_time_left_is_right_within_a_factor_of_two_from_a_third_on(workers, sample):
    """`sample` is the seconds of a training sample."""
    for seed in range(20):
        assert_told(seed, workers, sample)


def assert_told(seed, workers, sample):
    suite = load_suite("quick")
    space = load_space("quick")
    jobs = list(search(seed, workers, sample))
    after, pace = After(suite, space, BUDGET / LADDER[-1]), Pace(LADDER, workers)
    full = FIXED * len(LADDER) + sample * LADDER[-1]
    confirm = suite.confirm
    # other kinds; three baselines train none
    extra = confirm.replicates * (4 + len(confirm.baselines) - 3)
    networks = REPLICATE * (confirm.replicates_in_all + extra)
    trees = TREES / most_epochs(space) * confirm.replicates
    tuned = TREES / most_epochs(space) * LEAST_TREES
    then = full * (networks + trees + tuned) / workers + 1.5 * SERVING
    total = sum(seconds for seconds, *_ in jobs) / workers + then
    now, stages = 0.0, ("tuning", "confirming", "serving")
    looked = 0
    for seconds, trained, trial in jobs:
        now += seconds / workers
        pace.add(trial)
        if now < total / 3:
            continue
        looked += 1
        driver = now * (BUDGET - trained) / trained + after.seconds(pace, workers, stages)
        status = (pace.search({"samples": BUDGET - trained}) or 0.0) / workers + after.seconds(
            pace, workers, stages
        )
        for estimate in (driver, status):
            assert 0.5 <= estimate / (total - now) <= 2
    assert looked or now < total / 3
    remaining = after.seconds(pace, workers, stages[1:], 10)
    assert (
        0.5
        <= remaining / (full * (networks + trees - 10 * REPLICATE) / workers + 1.5 * SERVING)
        <= 2
    )


def test_what_comes_after_a_search_follows_the_suite():
    values, space = load_suite("quick").model_dump(), load_space("quick")
    bare = Suite(**values | {"confirm": {"replicates": 0}})
    pace = Pace((100,), 1, [TrialRecord(0, "completed", {}, {}, "mmoe", seconds=10.0)])
    assert pace.full_length == 10
    assert After(bare, space, 7).seconds(pace, 1, ("tuning", "confirming", "serving")) == SERVING
    weighed = Suite(
        **values | {"confirm": {"replicates": 1, "limit": 1, "baselines": [], "static": 7}}
    )
    after = After(weighed, space, 7)
    assert after.tuning == 7 * LEAST_TRIES
    assert after.seconds(pace, 2, ("tuning",)) == 35 * LEAST_TRIES
    slow = [
        TrialRecord(number, "completed", {}, {}, "mmoe", seconds=s)
        for number, s in enumerate((90.0, 80.0, 10.0, 12.0))
    ]
    assert Pace((100,), 2, slow).full_length == 11  # the first job of each worker also imports
    assert Pace((100,), 1).full_length is None
    assert Pace((100,), 1).search({"trials": 5}) is None
    assert pace.search({"trials": 3, "samples": 1}) == pytest.approx(10)
