"""Checks of every sampler."""

from __future__ import annotations

from collections.abc import Callable

import optuna

from bench.search.samplers import make_sampler, quiet

Objectives = Callable[[optuna.trial.BaseTrial], tuple[float, float]]


def two_switches(trial: optuna.trial.BaseTrial) -> tuple[float, float]:
    """Two conflicting objectives, over a number and a choice."""
    x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b", "c"])
    return x - (kind == "b"), 1 - x * x - (kind == "c")


def sequence(
    sampler: str, seed: int, trials: int, objectives: Objectives = two_switches
) -> list[tuple[float, float]]:
    """Objectives of a search in memory, with a new sampler for every trial."""
    with quiet():
        study = optuna.create_study(directions=["maximize", "maximize"])
        values = []
        for number in range(trials):
            study.sampler = make_sampler(sampler, seed, number)
            trial = study.ask()
            values.append(objectives(trial))
            study.tell(trial, values[-1])
    return values


def it_depends_on_its_seed_and_on_nothing_else(
    sampler: str, objectives: Objectives = two_switches
) -> None:
    """A search that is resumed proposes what it would have proposed undisturbed."""
    assert sequence(sampler, 3, 45, objectives) == sequence(sampler, 3, 45, objectives)
    assert sequence(sampler, 3, 5, objectives) != sequence(sampler, 4, 5, objectives)


OF_ALL = (it_depends_on_its_seed_and_on_nothing_else,)
