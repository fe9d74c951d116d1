"""Searchers as replays run them: each trains what it asks for until its budget is used up."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FixedTrial, TrialState, create_trial
from replay import KIND, Floats, Problem

from bench.app.runs.search_limits import ladder
from bench.core.records import Scalar
from bench.core.seeds import derive
from bench.search.encoding import Encoding
from bench.search.gp import GaussianSampler
from bench.search.plan import LEARNT_FIRST, beginning, fitted, missing_tries
from bench.search.promotion import Rules, promotions, reduction_factors
from bench.search.samplers import quiet
from bench.search.standing import Standing, Standings


class Trace(NamedTuple):
    """Checkpoints in the order in which they came into being.

    Attributes:
        spent: full-length trainings until then (N,).
        measured: objectives as the searcher saw them (N, M).
        judged: and as they count (N, M).
    """

    spent: Floats
    measured: Floats
    judged: Floats

    @classmethod
    def of(
        cls,
        spent: Sequence[float],
        measured: Sequence[Floats],
        judged: Sequence[Floats],
        objectives: int,
    ) -> Trace:
        """From lists, which may be empty."""
        return cls(
            np.array(spent),
            *(np.array(values).reshape(-1, objectives) for values in (measured, judged)),
        )


Searcher = Callable[[Problem, int, float], Trace]
"""(problem, seed, budget in full-length trainings) -> trace."""

Pinned = Mapping[str, Scalar]
FULL = 2**20
STEP, LOWEST, TRIES = 4, 1 / 32, 2


def full_length(make: Callable[[int], BaseSampler]) -> Searcher:
    """Every trial to full length, as a search without rungs.

    Each point of its curve counts as a checkpoint when it is passed; the sampler is told the one
    with the best mean, as early stopping would. It is told of the configuration that was trained.
    """

    def search(problem: Problem, seed: int, budget: float) -> Trace:
        times: list[float] = []
        measured: list[Floats] = []
        judged: list[Floats] = []
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(
                directions=[o.direction for o in problem.objectives], sampler=make(seed)
            )
            spent = 0.0
            signs = np.array([objective.sign for objective in problem.objectives])
            while spent + 1 <= budget + 1e-9:
                proposals = []
                for _ in range(problem.proposals):
                    trial = study.ask()
                    proposals.append(problem.space.suggest(trial, problem.tasks))
                    study.tell(trial, state=TrialState.FAIL)
                trained = problem.train(proposals)
                if trained is None:
                    break
                _, config, curve, worth = trained
                finite = np.isfinite(curve).all(axis=1)
                passed = len(curve) if finite.all() else int(np.argmin(finite))
                times += [spent + fraction for fraction in problem.fractions[:passed]]
                measured += list(curve[:passed])
                judged += list(worth[:passed])
                spent += problem.fractions[min(passed, len(curve) - 1)]
                fixed = FixedTrial(config)
                problem.space.suggest(fixed, problem.tasks)
                if finite.all():
                    best = curve[int(np.argmax((curve * signs).sum(axis=1)))]
                    study.add_trial(
                        create_trial(
                            params=fixed.params,
                            distributions=fixed.distributions,
                            values=best.tolist(),
                        )
                    )
        return Trace.of(times, measured, judged, len(problem.objectives))

    return search


def by_rungs(
    process: bool = True,
    tries: int = TRIES,
    eta: tuple[float, ...] | None = None,
    lowest: float = LOWEST,
    openings: Callable[[Problem], Sequence[Pinned]] | None = None,
) -> Searcher:
    """Promotion by rungs, as the product does it, one job at a time.

    Args:
        process: whether `gp` proposes; else configurations are drawn at random.
        tries: of each kind of sharing besides the openings; 0 for no floor either.
        eta: reduction factors; by itself those that the product has for the problem's objectives.
        openings: configurations to begin with.
    """

    def search(problem: Problem, seed: int, budget: float) -> Trace:
        rungs = ladder(round(lowest * FULL), STEP, FULL)
        stages = [
            int(np.argmin(np.abs(np.array(problem.fractions) - rung / FULL))) for rung in rungs
        ]
        if not np.allclose([problem.fractions[i] * FULL for i in stages], rungs, rtol=0.01):
            raise SystemExit(f"the table has no values at {[rung / FULL for rung in rungs]}")
        space = problem.space
        tasks = problem.tasks
        objectives = problem.objectives
        reference = problem.reference
        rules = Rules(
            rungs,
            eta or reduction_factors(len(objectives)),
            objectives,
            reference,
            tries and tries + 1,
        )
        shape = Encoding(space, tasks)
        sampler = GaussianSampler(shape, objectives, reference, rungs)
        starts = list(openings(problem)) if openings else []
        starts += missing_tries(starts, space.branches(KIND), tries)
        standings: list[Standing] = []
        configs: list[dict[str, Scalar]] = []
        curves: list[tuple[Floats, Floats]] = []
        times: list[float] = []
        measured: list[Floats] = []
        judged: list[Floats] = []
        spent = 0.0
        while spent < budget - 1e-9:
            if promotion := next(promotions(Standings(standings), rules), None):
                number, rung = promotion.trial, promotion.rung
                if promotion.floor:
                    standings[number] = replace(
                        standings[number], granted=standings[number].granted | {rung}
                    )
            else:
                number, rung = len(standings), 0
                pinned = starts[number] if number < len(starts) else {}
                results = [standing.results for standing in standings]
                whole = len(pinned) > 1
                belief = (
                    None
                    if whole or not process
                    else sampler.learn(results, configs, derive(seed, number))
                )
                proposals = []
                for attempt in range(1 if whole else problem.proposals):
                    draw = derive(seed, "proposal", number, attempt)
                    row = shape.draw(1, np.random.default_rng(draw), pinned)[0]
                    proposals.append(
                        belief.propose_batch(draw, [pinned])[0]
                        if belief
                        else shape.config(row, pinned)
                    )
                trained = problem.train(proposals)
                if trained is None:
                    break
                configs.append(trained.config)
                curves.append((trained.curve, trained.worth))
                standings.append(Standing(number, str(trained.config[KIND]), (), "waiting"))
            spent += rules.samples(rung) / FULL
            value, worth = (curve[stages[rung]] for curve in curves[number])
            if np.isfinite(value).all():
                times.append(spent)
                measured.append(value)
                judged.append(worth)
                results_so_far = (*standings[number].results, tuple(value.tolist()))
                standings[number] = replace(standings[number], results=results_so_far)
            else:
                standings[number] = replace(standings[number], progress="failed")
        return Trace.of(times, measured, judged, len(problem.objectives))

    return search


def defaults(problem: Problem) -> list[dict[str, Scalar]]:
    """Each way of sharing by its defaults: what a search began with before there was a
    portfolio.
    """
    return [
        problem.space.defaults(problem.tasks, {KIND: kind}) for kind in problem.space.branches(KIND)
    ]


def from_portfolio(problem: Problem, learnt_first: int = LEARNT_FIRST) -> list[dict[str, Scalar]]:
    """What a search begins with that has the portfolio which was learnt on other data."""
    first = [fitted(config, problem.space, problem.tasks) for config in problem.portfolio]
    return [dict(config) for config in beginning(problem.space, problem.tasks, first, learnt_first)]


RANDOM = "random, full length"
TARGET = "multivariate TPE"
DEFAULTS = "gp from defaults"
OURS = "gp from the portfolio"
SEARCHERS: dict[str, Searcher] = {
    RANDOM: full_length(lambda seed: RandomSampler(seed=seed)),
    TARGET: full_length(
        lambda seed: TPESampler(seed=seed, n_startup_trials=12, multivariate=True, group=True)
    ),
    "ASHA, random configurations": by_rungs(process=False, tries=0, eta=(STEP,)),
    DEFAULTS: by_rungs(openings=defaults),
    OURS: by_rungs(openings=from_portfolio),
}
ORDERS: dict[int, Searcher] = {
    first: by_rungs(openings=partial(from_portfolio, learnt_first=first))
    for first in (0, LEARNT_FIRST, 4, 12)
}
"""By how many of the portfolio come before the defaults."""
FULL_LENGTH = (RANDOM, TARGET)
