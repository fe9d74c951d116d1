"""Optuna's samplers: made in one place, and asked with what the log has."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import moocore
import numpy as np
import optuna
import pytest
from search_toys import (
    OBJECTIVES,
    TASKS,
    essence,
    ignore,
    interrupted_at,
    make_job,
    objectives,
    toy_plan,
    toy_space,
    train,
)

from bench.results.pareto import ranks
from bench.search import samplers as module
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.samplers import BEST, OTHERS, SAMPLERS, make_sampler, quiet, shown
from bench.search.standing import Standing
from bench.search.study import Study
from bench.testing.samplers import it_depends_on_its_seed_and_on_nothing_else, sequence

HERE = Path(__file__).parent


def toy(trial: optuna.trial.BaseTrial) -> tuple[float, float]:
    return objectives(toy_space().suggest(trial, TASKS))


def hypervolume(values: list[tuple[float, float]]) -> float:
    return float(moocore.hypervolume(np.array(values), ref=[0.0, 0.0], maximise=True))


@pytest.mark.slow
def test_tpe_beats_random_on_a_conditional_space() -> None:
    """Ten seeds, 50 trials: median hypervolume, and most seeds one by one."""
    tpe = np.array([hypervolume(sequence("tpe", seed, 50, toy)) for seed in range(10)])
    random = np.array([hypervolume(sequence("random", seed, 50, toy)) for seed in range(10)])
    assert np.median(tpe) > np.median(random)
    assert (tpe > random).sum() >= 8


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_depends_on_its_seed_and_on_nothing_else(name: str) -> None:
    it_depends_on_its_seed_and_on_nothing_else(name, toy)


@pytest.mark.slow
def test_no_sampler_depends_on_the_order_of_sets() -> None:
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


@pytest.mark.parametrize("name", SAMPLERS)
def test_making_a_sampler_says_nothing(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_sampler(name, 1, 0)


def test_quiet_gives_optuna_its_voice_back() -> None:
    before = optuna.logging.get_verbosity()
    with quiet():
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    assert optuna.logging.get_verbosity() == before


RULES = toy_plan().rules
VALUES = np.random.default_rng(0).random((600, 2))


def standings(count: int) -> list[Standing]:
    """Every seventh failed, every eleventh under way."""
    return [
        Standing(number, "mmoe", (), "failed" if number % 7 == 0 else "running")
        if number % 7 == 0 or number % 11 == 0
        else Standing(number, "mmoe", (tuple(VALUES[number].tolist()),), "waiting")
        for number in range(count)
    ]


def test_a_short_search_is_seen_whole() -> None:
    of = standings(BEST + OTHERS)
    assert shown(of, RULES, 0) == [each.number for each in of if each.progress != "failed"]


def test_of_a_long_one_the_best_are_seen_some_others_and_all_that_run() -> None:
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


def test_a_stopped_search_sees_what_the_undisturbed_one_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEST", 10)
    monkeypatch.setattr(module, "OTHERS", 8)
    plan = toy_plan(trials=32)
    with Study.open(tmp_path / "whole", plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
        whole = essence(study.records())
    for at in (25, 29):
        with pytest.raises(KeyboardInterrupt), Study.open(tmp_path / "cut", plan) as study:
            search(plan, study, InlineExecutor(interrupted_at(train, at)), make_job, ignore)
    with Study.open(tmp_path / "cut", plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
        assert essence(study.records()) == whole
