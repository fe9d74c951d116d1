"""Asks Optuna's samplers for a trial's parameters. What they know is rebuilt in memory from the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from bench.records import Scalar
from bench.search import tree as trees
from bench.search.events import params_in
from bench.search.log import Event
from bench.search.plan import Plan
from bench.search.promotion import Rules
from bench.search.ranking import Order
from bench.search.samplers import TPE, make_sampler, quiet
from bench.search.space import suggest
from bench.search.standing import Standing, Standings
from bench.seeds import derive

BEST, OTHERS = 128, 128
"""Of the trials that TPE is shown. It looks at all of them many times over: with a bound the thousandth proposal takes
no longer than the three hundredth. It parts them into a good tenth, here at most 26 and all among the best, and the
rest, of which as many at random as there are best are enough."""


def ask(plan: Plan, pinned: Mapping[str, Scalar], trials: Sequence[Event], standings: Sequence[Standing]) -> Event:
    """A configuration for the next trial. The same trials lead to the same answer.

    Args:
        pinned: parameters with values that the sampler keeps.
        trials: the event of asking each trial, by number.
        standings: how far each has come by what is told.

    Returns:
        For the event of asking it: `config`, and `params` that name what of it is searched.
    """
    number = len(trials)
    with quiet():
        study = optuna.create_study(
            directions=[objective.direction for objective in plan.objectives],
            sampler=make_sampler(plan.sampler, plan.seed, number),
        )
        if plan.sampler == TPE:
            known = distributions(plan)
            seen = shown(standings, plan.rules, derive(plan.seed, "shown", number))
            study.add_trials([_trial(trials[each], standings[each], known) for each in seen])
        if pinned:
            study.enqueue_trial(dict(pinned))
        trial = study.ask()
        config = plan.space.suggest(trial, plan.tasks)
    return {"config": config, "params": list(trial.params)}


def distributions(plan: Plan) -> dict[str, BaseDistribution]:
    """Optuna's distribution of each parameter of a space, in whatever branch."""
    leaves = [(name, leaf) for name, leaf, _ in trees.leaves(plan.space.tree, plan.tasks)]
    trial = FixedTrial({name: leaf.default for name, leaf in leaves})
    for name, leaf in leaves:
        suggest(trial, name, leaf)
    return trial.distributions


def shown(standings: Sequence[Standing], rules: Rules, seed: int) -> list[int]:
    """Numbers of the trials that TPE is shown, rising: the best, some others, and all that are under way.

    Shorter searches are shown whole.

    Args:
        standings: of every trial of a search without rungs, by number.
        seed: of the draw of the others.
    """
    now = Standings(standings)
    done, running = np.flatnonzero(now.reached), np.flatnonzero(~(now.waiting | now.failed))
    if len(done) > BEST + OTHERS:
        order = Order(now.values(0)[done], rules.objectives, rules.reference)
        best = order.at(np.arange(BEST))
        others = np.random.default_rng(seed).permutation(np.delete(np.arange(len(done)), best))[:OTHERS]
        done = done[np.concatenate([best, others])]
    return sorted([*done.tolist(), *running.tolist()])


def _trial(asked: Event, standing: Standing, known: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """What Optuna is told of a trial that has a result or is under way."""
    params = params_in(asked)
    return create_trial(
        state=TrialState.COMPLETE if standing.results else TrialState.RUNNING,
        values=standing.results[-1] if standing.results else None,
        params=params,
        distributions={name: known[name] for name in params},
    )
