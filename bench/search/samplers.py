"""Who proposes the next configuration: the one place that makes Optuna samplers, and that keeps Optuna quiet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from bench.errors import unknown
from bench.seeds import derive


def _tpe(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator (Watanabe 2023), jointly over each branch of the space.

    Without `multivariate` and `group` the parameters would be modelled one by one, which takes about twice the trials.
    `constant_liar` counts running trials as poor ones, so that parallel workers spread out; alone it changes nothing.
    """
    return TPESampler(seed=seed, n_startup_trials=12, multivariate=True, group=True, constant_liar=True)


TPE, GP = "tpe", "gp"
RUNG_SAMPLERS = (GP, "random")
"""Those for a search by rungs: TPE learns nothing from a trial below full length."""

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    TPE: _tpe,
    "random": RandomSampler,
    GP: RandomSampler,  # our proposals are whole and leave Optuna nothing to draw
}


def make_sampler(name: str, run_seed: int, trial: int) -> BaseSampler:
    """A fresh sampler for one trial.

    Samplers keep their random state in memory. A new one for every trial, seeded by the trial's number, makes a resumed
    search sample what the undisturbed one would; all else that they know they read from the study.

    Raises:
        UserError: no such sampler.
    """
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    with quiet():
        return SAMPLERS[name](derive(run_seed, "sampler", trial))


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna without its log lines and its warnings that a feature is experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
