"""Optuna's samplers: made in one place, and asked with what the log has."""

import os
import subprocess
import sys
from pathlib import Path

import moocore
import numpy as np
import pytest
from search_toys import (
    OBJECTIVES,
    TASKS,
    objectives,
    toy_plan,
    toy_space,
)

from bench.results.pareto import ranks
from bench.search.samplers import BEST, OTHERS, SAMPLERS, shown
from bench.search.standing import Standing
from bench.testing.samplers import it_depends_on_its_seed_and_on_nothing_else, sequence

HERE = Path(__file__).parent


def toy(trial):
    return objectives(toy_space().suggest(trial, TASKS))


def hypervolume(values):
    return float(moocore.hypervolume(np.array(values), ref=[0.0, 0.0], maximise=True))


@pytest.mark.slow
def test_tpe_beats_random_on_a_conditional_space():
    """Ten seeds, 50 trials: median hypervolume, and most seeds one by one."""
    tpe = np.array([hypervolume(sequence("tpe", seed, 50, toy)) for seed in range(10)])
    random = np.array([hypervolume(sequence("random", seed, 50, toy)) for seed in range(10)])
    assert np.median(tpe) > np.median(random)
    assert (tpe > random).sum() >= 8


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_depends_on_its_seed_and_on_nothing_else(name):
    it_depends_on_its_seed_and_on_nothing_else(name, toy)


@pytest.mark.slow
def test_no_sampler_depends_on_the_order_of_sets():
    """Text hashes differ from process to process, and with them the order of sets."""
    code = "from test_samplers import *; print([sequence(name, 5, 45, toy) for name in SAMPLERS])"
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    command = [sys.executable, "-c", code]
    outputs = [
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count("(") == 45 * len(SAMPLERS)


RULES = toy_plan().rules
VALUES = np.random.default_rng(0).random((600, 2))


def standings(count):
    """Every seventh failed, every eleventh under way."""
    return [
        Standing(number, "mmoe", (), "failed" if number % 7 == 0 else "running")
        if number % 7 == 0 or number % 11 == 0
        else Standing(number, "mmoe", (tuple(VALUES[number].tolist()),), "waiting")
        for number in range(count)
    ]


def test_a_short_search_is_seen_whole():
    of = standings(BEST + OTHERS)
    assert shown(of, RULES, 0) == [each.number for each in of if each.progress != "failed"]


def test_of_a_long_one_the_best_are_seen_some_others_and_all_that_run():
    of = standings(600)
    seen, again = shown(of, RULES, 1), shown(of, RULES, 2)
    assert seen == shown(of, RULES, 1) == sorted(set(seen))
    running = {each.number for each in of if each.progress == "running"}
    assert len(seen) == BEST + OTHERS + len(running)
    done = np.array([each.number for each in of if each.results])
    rank = ranks(VALUES[done], OBJECTIVES)
    sure = done[rank < np.sort(rank)[BEST]]  # the rank that the bound cuts is seen in part
    assert len(sure) > BEST / 2
    assert {*sure.tolist(), *running} <= {*seen} & {*again}
    assert len({*seen} & {*again}) < len(seen)  # the others are drawn anew
