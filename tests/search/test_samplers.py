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
from search_toys import TASKS, objectives, toy_space

from bench.errors import UserError
from bench.search.samplers import SAMPLERS, make_sampler, quiet

HERE = Path(__file__).parent


def sequence(sampler: str, seed: int, trials: int) -> list[tuple[float, float]]:
    """Objectives of a search in memory, its sampler made anew for every trial."""
    space = toy_space()
    with quiet():
        study = optuna.create_study(directions=["maximize", "maximize"])
        values = []
        for number in range(trials):
            study.sampler = make_sampler(sampler, seed, number)
            trial = study.ask()
            values.append(objectives(space.suggest(trial, TASKS)))
            study.tell(trial, values[-1])
    return values


def hypervolume(values: list[tuple[float, float]]) -> float:
    return float(moocore.hypervolume(np.array(values), ref=[0.0, 0.0], maximise=True))


@pytest.mark.slow
def test_tpe_beats_random_on_a_conditional_space() -> None:
    """Ten seeds, 50 trials: median hypervolume, and most seeds one by one."""
    tpe = np.array([hypervolume(sequence("tpe", seed, 50)) for seed in range(10)])
    random = np.array([hypervolume(sequence("random", seed, 50)) for seed in range(10)])
    assert np.median(tpe) > np.median(random)
    assert (tpe > random).sum() >= 8


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_depends_on_its_seed_and_on_nothing_else(name: str) -> None:
    assert sequence(name, 3, 45) == sequence(name, 3, 45)
    assert sequence(name, 3, 5) != sequence(name, 4, 5)


@pytest.mark.slow
def test_no_sampler_depends_on_the_order_of_sets() -> None:
    """Text hashes differ from process to process, and with them the order of sets."""
    code = "from test_samplers import *; print([sequence(name, 5, 45) for name in SAMPLERS])"
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


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown sampler 'tpee' \(did you mean 'tpe'\?\)"):
        make_sampler("tpee", 1, 0)


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
