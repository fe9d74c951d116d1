"""Asks Optuna's samplers for a trial's parameters. What they know is rebuilt in memory from the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import NSGAIISampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from bench.objectives import Objective
from bench.records import Scalar
from bench.search import tree as trees
from bench.search.events import params_in
from bench.search.log import Event
from bench.search.plan import Plan
from bench.search.ranking import Order
from bench.search.samplers import NSGA2, TPE, make_sampler, quiet
from bench.search.space import suggest
from bench.search.standing import Standing
from bench.search.tie_breaks import epsilon_net
from bench.seeds import derive

BEST, OTHERS = 128, 128
"""Of the trials that TPE is shown. It looks at all of them many times over: with a bound the thousandth proposal takes
no longer than the three hundredth. It parts them into a good tenth, here at most 26 and all among the best, and the
rest, of which as many at random as there are best are enough."""


class Asking:
    """Asks the sampler of one plan. The same trials lead to the same answer, whether they were read or just made."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._distributions = distributions(plan)
        self._frozen: dict[int, FrozenTrial] = {}
        self._generations: optuna.Study | None = None
        self._running: set[int] = set()
        self._common = IntersectionSearchSpace()

    def ask(self, pinned: Mapping[str, Scalar], trials: Sequence[Event], standings: Sequence[Standing]) -> Event:
        """A configuration for the next trial.

        Args:
            pinned: parameters with values that the sampler keeps.
            trials: the event of asking each trial, by number.
            standings: how far each has come by what is told.

        Returns:
            For the event of asking it: `config`, `params` that name what of it is searched, and as `sampler` what
            NSGA-II keeps beside the trial and must find again.
        """
        plan, number = self._plan, len(trials)
        with quiet():
            if plan.sampler == NSGA2:
                study = self._with_generations(trials, standings)
            else:
                study = self._study()
                if plan.sampler == TPE:
                    seen = shown(standings, plan.objectives, derive(plan.seed, "shown", number))
                    study.add_trials([self._trial(trials[each], standings[each]) for each in seen])
            study.sampler = sampler = make_sampler(plan.sampler, plan.seed, number)
            if isinstance(sampler, NSGAIISampler):
                sampler._search_space = self._common  # kept, so that it looks at new trials alone
            storage = study._storage  # Optuna has no other way to what its samplers keep
            before = set(storage.get_study_system_attrs(study._study_id))
            if pinned:
                study.enqueue_trial(dict(pinned))
            trial = study.ask()
            config = plan.space.suggest(trial, plan.tasks)
        found: Event = {"config": config, "params": list(trial.params)}
        if plan.sampler != NSGA2:
            return found
        self._generations = study
        self._running.add(number)
        after = storage.get_study_system_attrs(study._study_id)
        new = {key: value for key, value in after.items() if key not in before}
        return found | {"sampler": {"trial": storage.get_trial(number).system_attrs, "study": new}}

    def _study(self) -> optuna.Study:
        return optuna.create_study(directions=[objective.direction for objective in self._plan.objectives])

    def _with_generations(self, trials: Sequence[Event], standings: Sequence[Standing]) -> optuna.Study:
        """A study of all trials, with the generation of each; kept from one trial to the next."""
        study = self._generations
        if study is None:
            study, self._running, self._common = self._study(), set(), IntersectionSearchSpace()
            for event, standing in zip(trials, standings, strict=True):
                study.add_trial(self._trial(event, standing))
                for key, value in event["sampler"]["study"].items():
                    study._storage.set_study_system_attr(study._study_id, key, value)
                if standing.progress == "running":
                    self._running.add(standing.number)
        for number in sorted(self._running):
            if (standing := standings[number]).progress != "running":
                study._storage.set_trial_state_values(number, *_end(standing))
                self._running.discard(number)
        return study

    def _trial(self, event: Event, standing: Standing) -> FrozenTrial:
        if (known := self._frozen.get(standing.number)) is not None:
            return known
        params = params_in(event)
        state, values = _end(standing)
        trial = create_trial(
            state=state,
            values=values,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            system_attrs=event.get("sampler", {}).get("trial", {}),
        )
        if state.is_finished():
            self._frozen[standing.number] = trial
        return trial


def distributions(plan: Plan) -> dict[str, BaseDistribution]:
    """Optuna's distribution of each parameter of a space, in whatever branch."""
    leaves = [(name, leaf) for name, leaf, _ in trees.leaves(plan.space.tree, plan.tasks)]
    trial = FixedTrial({name: leaf.default for name, leaf in leaves})
    for name, leaf in leaves:
        suggest(trial, name, leaf)
    return trial.distributions


def shown(standings: Sequence[Standing], objectives: tuple[Objective, ...], seed: int) -> list[int]:
    """Numbers of the trials that TPE is shown, rising: the best, some others, and all that are under way.

    Best is by non-dominated rank, and within a rank what covers it: as TPE would choose them, and without a reference.
    Shorter searches are shown whole.

    Args:
        standings: of every trial of a search without rungs, by number.
        seed: of the draw of the others.
    """
    done = np.array([each.number for each in standings if each.results], dtype=np.int64)
    if len(done) > BEST + OTHERS:
        values = np.array([standings[number].results[-1] for number in done])
        order = Order(values, objectives, {objective.name: 0.0 for objective in objectives}, epsilon_net)
        best = order.at(np.arange(BEST))
        others = np.random.default_rng(seed).permutation(np.delete(np.arange(len(done)), best))[:OTHERS]
        done = done[np.concatenate([best, others])]
    return sorted([*done.tolist(), *(each.number for each in standings if each.progress == "running")])


def _end(standing: Standing) -> tuple[TrialState, tuple[float, ...] | None]:
    """What Optuna is told of a trial."""
    if standing.results:
        return TrialState.COMPLETE, standing.results[-1]
    return (TrialState.RUNNING if standing.progress == "running" else TrialState.FAIL), None
