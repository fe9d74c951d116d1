"""Optuna's samplers: no other module creates them, silences Optuna, or asks for a trial's
parameters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from bench.core.errors import check_known
from bench.core.plugins import Registry
from bench.core.records import Scalar
from bench.core.seeds import derive
from bench.search import tree as trees
from bench.search.log import Event, params_in
from bench.search.plan import SearchPlan
from bench.search.space import suggest
from bench.search.standing import Standing

TPE, GP = "tpe", "gp"
RUNG_SAMPLERS = (GP, "random")
"""Samplers for a search by rungs: TPE learns nothing from a trial below full length."""

_OURS: dict[str, Callable[[int], BaseSampler]] = {
    # Jointly over each branch of the space (Watanabe 2023): parameters apart take about twice the
    # trials. Running trials count as poor ones, so that parallel workers spread out.
    TPE: lambda seed: TPESampler(
        seed=seed, n_startup_trials=12, multivariate=True, group=True, constant_liar=True
    ),
    "random": RandomSampler,
    GP: RandomSampler,  # our proposals are complete, so Optuna draws nothing
}
SAMPLERS = Registry("sampler", _OURS, Callable, "a function of a seed")


def make_sampler(name: str, run_seed: int, trial: int) -> BaseSampler:
    """Makes a fresh sampler for one trial; raises UserError for an unknown one.

    Samplers keep their random state in memory. A new one for every trial, seeded by the trial's
    number, lets a resumed search sample like an uninterrupted one; everything else they read from
    the study.
    """
    check_known("sampler", name, SAMPLERS)
    with quiet():
        return SAMPLERS[name](derive(run_seed, "sampler", trial))


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Optuna's log and its warnings about experimental features."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def ask(
    plan: SearchPlan,
    pinned: Mapping[str, Scalar],
    trials: Sequence[Event],
    standings: Sequence[Standing],
) -> Event:
    """Samples the next trial's configuration, with `pinned` values; deterministic in its arguments.

    `trials` are the events that asked the earlier ones, `standings` their progress by recorded
    outcomes. Returns, for the event that asks this one, `config`, and `params`, the names of its
    searched parameters.
    """
    with quiet():
        study = optuna.create_study(
            directions=[objective.direction for objective in plan.objectives],
            sampler=make_sampler(plan.sampler, plan.seed, len(trials)),
        )
        if plan.sampler not in RUNG_SAMPLERS:  # these need no earlier trials of Optuna's
            study.add_trials(_optuna_trials(plan, trials, standings))
        if pinned:
            study.enqueue_trial(dict(pinned))
        trial = study.ask()
        config = plan.space.suggest(trial, plan.tasks)
    return {"config": config, "params": list(trial.params)}


def _optuna_trials(
    plan: SearchPlan, trials: Sequence[Event], standings: Sequence[Standing]
) -> list[FrozenTrial]:
    """Optuna's view of the trials that have a result or are unfinished."""
    of_parameter = distributions(plan)
    optuna_trials = []
    for asked, standing in zip(trials, standings, strict=True):
        if standing.progress == "failed":
            continue
        params = params_in(asked)
        trial = create_trial(
            state=TrialState.COMPLETE if standing.results else TrialState.RUNNING,
            values=standing.results[-1] if standing.results else None,
            params=params,
            distributions={name: of_parameter[name] for name in params},
        )
        optuna_trials.append(trial)
    return optuna_trials


def distributions(plan: SearchPlan) -> dict[str, BaseDistribution]:
    """Optuna's distribution of each parameter of a space, in any branch."""
    leaves = [(name, leaf) for name, leaf, _ in trees.leaves(plan.space.whole, plan.tasks)]
    trial = FixedTrial({name: leaf.default for name, leaf in leaves})
    for name, leaf in leaves:
        suggest(trial, name, leaf)
    return trial.distributions
