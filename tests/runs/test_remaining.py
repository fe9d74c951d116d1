"""The time left of a run, on simulated logs: right within a factor of two from a third on."""

import numpy as np
import pytest

from bench.confirm.baselines import LEAST_TREES, LEAST_TRIES
from bench.core.records import RungResult, TrialRecord
from bench.runs.limits import most_epochs
from bench.runs.status import SERVING, After, Pace
from bench.runs.suite import Suite, load_suite
from bench.search.space import load_space

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
    return TrialRecord(number, state, {}, {}, "mmoe", rungs=tuple(rungs), seconds=sum(rung.seconds for rung in rungs))


def search(seed, workers, sample):
    """Jobs of a search by rungs until its budget is used: seconds of each, samples so far, the trial's record."""
    rng, used, number, order = np.random.default_rng(seed), 0, 0, 0
    while used + LADDER[0] <= BUDGET:
        slow, rungs = float(rng.lognormal(0, 0.4)), []
        reached = 1 + int(rng.random() < 1 / 4) * (1 + int(rng.random() < 0.8))
        for rung in range(reached):
            samples = LADDER[rung] - (LADDER[rung - 1] if rung else 0)
            if used + samples > BUDGET:
                return
            seconds = slow * (FIXED + sample * samples) + WARM_UP * (order < workers)
            rungs.append(RungResult(LADDER[rung], order, {}, seconds))
            used, order = used + samples, order + 1
            yield seconds, used, record(number, rungs)
        number += 1


@pytest.mark.parametrize(("workers", "sample"), [(1, 2e-5), (2, 4e-6)], ids=["long", "short beside the warm-up"])
def test_time_left_is_right_within_a_factor_of_two_from_a_third_on(workers, sample):
    """
    Args:
        sample: seconds of a training sample.
    """
    for seed in range(20):
        assert_told(seed, workers, sample)


def assert_told(seed, workers, sample):
    suite, space, jobs = load_suite("quick"), load_space("quick"), list(search(seed, workers, sample))
    after, pace = After(suite, space, BUDGET / LADDER[-1]), Pace(LADDER, workers)
    full = FIXED * len(LADDER) + sample * LADDER[-1]
    confirm = suite.confirm
    extra = confirm.replicates * (4 + len(confirm.baselines) - 3)  # other kinds; three baselines train none
    networks, trees = REPLICATE * (confirm.replicates_in_all + extra), TREES / most_epochs(space) * confirm.replicates
    tuned = TREES / most_epochs(space) * LEAST_TREES
    then = full * (networks + trees + tuned) / workers + 1.5 * SERVING
    total = sum(seconds for seconds, *_ in jobs) / workers + then
    now, stages = 0.0, ("tuning", "confirming", "serving")
    looked = 0
    for seconds, used, trial in jobs:
        now += seconds / workers
        pace.add(trial)
        if now < total / 3:
            continue
        looked += 1
        driver = now * (BUDGET - used) / used + after.seconds(pace, workers, stages)
        status = (pace.search({"samples": BUDGET - used}) or 0.0) / workers + after.seconds(pace, workers, stages)
        for told in (driver, status):
            assert 0.5 <= told / (total - now) <= 2
    assert looked or now < total / 3
    left = after.seconds(pace, workers, stages[1:], 10)
    assert 0.5 <= left / (full * (networks + trees - 10 * REPLICATE) / workers + 1.5 * SERVING) <= 2


def test_what_comes_after_a_search_follows_the_suite():
    values, space = load_suite("quick").model_dump(), load_space("quick")
    bare = Suite(**values | {"confirm": {"replicates": 0}})
    pace = Pace((100,), 1, [TrialRecord(0, "completed", {}, {}, "mmoe", seconds=10.0)])
    assert pace.full_length == 10
    assert After(bare, space, 7).seconds(pace, 1, ("tuning", "confirming", "serving")) == SERVING
    weighed = Suite(**values | {"confirm": {"replicates": 1, "limit": 1, "baselines": [], "static": 7}})
    after = After(weighed, space, 7)
    assert after.tuning == 7 * LEAST_TRIES
    assert after.seconds(pace, 2, ("tuning",)) == 35 * LEAST_TRIES
    slow = [TrialRecord(at, "completed", {}, {}, "mmoe", seconds=s) for at, s in enumerate((90.0, 80.0, 10.0, 12.0))]
    assert Pace((100,), 2, slow).full_length == 11  # the first job of each worker also imports
    assert Pace((100,), 1).full_length is None
    assert Pace((100,), 1).search({"trials": 5}) is None
    assert pace.search({"trials": 3, "samples": 1}) == pytest.approx(10)
