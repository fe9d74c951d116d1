"""The plan of a search, and its first configurations, learnt on other data, see
`docs/studies/search.md`.

Like Feurer et al. 2015 (auto-sklearn) and Salinas and Erickson 2024 (TabRepo), with fronts in place
of single scores. The portfolios are in `search_spaces/portfolio/learnt.toml`;
`studies/learn_portfolio.py` writes it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from bench.core.objectives import Objective
from bench.core.records import OURS, TRAINER, Scalar
from bench.core.system import content
from bench.ledger.pareto import resolve_reference
from bench.search import tree as trees
from bench.search.nodes import Switch
from bench.search.promotion import Rules
from bench.search.space import NUMERIC, Space

SHARING = "sharing.kind"
SINGLE_TASK = "single_task"
LOSS = "loss.kind"


def missing_tries(
    first: Sequence[Mapping[str, Scalar]], kinds: Sequence[str], tries: int
) -> list[dict[str, Scalar]]:
    """Pinned parameters that give each kind `tries` trials besides its first, the kinds in turn."""
    count = Counter(params[SHARING] for params in first)
    pinned: list[dict[str, Scalar]] = []
    for number in range(1, tries + 1):
        for kind in kinds:
            if count[kind] <= number:
                pinned.append({SHARING: kind})
    return pinned


@dataclass(frozen=True)
class SearchPlan:
    """A search of one space on one data set; None means no limit.

    Attributes:
        tasks: names of the data set's tasks, in order.
        trials: total number of trials, with openings and those before an interruption.
        seed: of the run; all draws of a sampler derive from it.
        portfolio: searched parameters to start with, see `learnt`.
        tries: further trials of each kind of sharing before the sampler may choose among kinds.
            Comparing a kind by its defaults only, or with a less tuned baseline, would be unfair.
        seconds: total time after which nothing is started. Jobs that take the single-task baseline
            to full length are started all the same: every comparison needs it.
        budget: total number of training samples.
        ladder: training samples at each rung, the last being full length. With one rung, or none,
            every trial is trained to full length.
        eta: at each rung one trial in eta is promoted; see `ranking.Rules`.
        share: of all training samples, the floor's limit; see `ranking`.
        reference: of the hypervolume, by objective name; defaults fill the rest.
        checkpoint_bytes: limit for checkpoints of waiting trials; see `driver.Checkpoints`.
    """

    space: Space
    tasks: tuple[str, ...]
    objectives: tuple[Objective, ...]
    trials: int | None
    seed: int
    sampler: str = "tpe"
    portfolio: tuple[Mapping[str, Scalar], ...] = ()
    tries: int = 0
    seconds: float | None = None
    budget: int | None = None
    ladder: tuple[int, ...] = ()
    eta: tuple[float, ...] = (4.0,)
    share: float = 0.1
    reference: Mapping[str, float] = field(default_factory=dict)
    checkpoint_bytes: float = math.inf

    @property
    def by_rungs(self) -> bool:
        """Whether trials are judged before full length."""
        return len(self.ladder) > 1

    @property
    def lengths(self) -> float:
        """The budget in trainings of full length: of its samples, else of its trials."""
        if self.budget is not None and self.ladder:
            return self.budget / self.ladder[-1]
        return float(self.trials or 0)

    @cached_property
    def rules(self) -> Rules:
        """The rules of promotion, whose floor considers a kind's defaults and tries; UserError
        without a reference.
        """
        reference = resolve_reference(self.objectives, self.reference)
        rungs = self.ladder or (1,)
        return Rules(rungs, self.eta, self.objectives, reference, 1 + self.tries, self.share)

    @cached_property
    def openings(self) -> tuple[Mapping[str, Scalar], ...]:
        """Pinned parameters of the first trials, which the sampler completes: `beginning`, then
        each kind's tries.
        """
        space = self.space
        first = beginning(space, self.tasks, self.portfolio) if space.has_ours else ()
        kinds = space.branches(SHARING)
        if kinds:
            first = (*first, *missing_tries(first, kinds, self.tries))
        if not space.trainers:
            return first
        ours = [{TRAINER: OURS, **pinned} for pinned in first]
        tries = [{TRAINER: name} for name in space.trainers] * self.tries
        return (*defaults_of_trainers(space, self.tasks), *ours, *tries)

    def identity(self) -> dict[str, object]:
        """The settings that determine trial n, which a resumed search must keep; limits may rise,
        so they are left out.
        """
        identity = {
            "seed": self.seed,
            "sampler": self.sampler,
            "space": self.space.digest(),
            "tasks": list(self.tasks),
            "objectives": [[objective.name, objective.direction] for objective in self.objectives],
            "tries": self.tries,
            "portfolio": [dict(params) for params in self.portfolio],
            "reference": dict(self.rules.reference),
        }
        if self.by_rungs:
            identity |= {"ladder": list(self.ladder), "eta": list(self.eta), "share": self.share}
        return identity


def kind_of_trial(config: Mapping[str, Scalar]) -> str:
    """The way of sharing of a configuration, or its trainer."""
    trainer = str(config.get(TRAINER, OURS))
    return str(config.get(SHARING, "?")) if trainer == OURS else trainer


def defaults_of_trainers(space: Space, tasks: Sequence[str]) -> Iterator[Mapping[str, Scalar]]:
    """Pinned parameters of each trainer's first trial."""
    for name, tree in space.trainers.items():
        defaults = trees.searched(tree, tasks, lambda _, node: node.default)
        yield {TRAINER: name, **defaults}


LEARNT_FIRST = 2
"""Configurations of a portfolio before the defaults, which are safer on data unlike those it was
learnt on.
"""


def beginning(
    space: Space,
    tasks: Sequence[str],
    portfolio: Sequence[Mapping[str, Scalar]],
    learnt_first: int = LEARNT_FIRST,
) -> tuple[Mapping[str, Scalar], ...]:
    """The single-task baseline, the best of a portfolio, each kind of sharing by its defaults, the
    portfolio's rest.

    Which kind of numbers is right differs by data. Where a portfolio does not say it, its best is
    tried with each kind, and the sampler chooses for the rest. Without a portfolio the defaults
    only; with fixed sharing the portfolio only.
    """
    kinds = space.branches(SHARING)
    if not kinds:
        return tuple(portfolio) or (space.defaults(tasks),)
    defaults = [space.defaults(tasks, {SHARING: kind}) for kind in kinds]
    numeric: dict[str, Scalar] = {}
    if NUMERIC in defaults[0]:
        numeric[NUMERIC] = defaults[0][NUMERIC]

    openings: list[Mapping[str, Scalar]] = []
    for params in (*portfolio, *defaults):
        if params[SHARING] == SINGLE_TASK:
            openings.append({**numeric, **params})
            break
    for params in portfolio[:learnt_first]:
        openings.append({**numeric, **params})
    if portfolio and NUMERIC not in portfolio[0]:
        for kind in space.branches(NUMERIC):
            openings.append({**portfolio[0], NUMERIC: kind})
    openings += [*defaults, *portfolio[learnt_first:]]
    return tuple(_distinct(openings))


def _distinct(configs: Iterable[Mapping[str, Scalar]]) -> Iterable[Mapping[str, Scalar]]:
    """Configurations without repetitions, in order."""
    return {frozenset(config.items()): config for config in configs}.values()


def learnt(
    space: Space, tasks: Sequence[str], objectives: int, rows: int
) -> list[Mapping[str, Scalar]]:
    """Searched parameters of the best matching portfolio, best first; empty if none matches.

    A portfolio matches if it was learnt on no more rows of train and knows every choice of the
    space, and the space has its losses: configurations with a choice at its default would pull the
    search there (docs/studies/search.md). It may leave the kind of numbers open. Among these the
    one with the fewest other choices wins, so data without groups do not start with configurations
    learnt within groups; then the largest, then the one with the nearest number of objectives. A
    configuration whose sharing the space lacks is left out; other values become the nearest that
    the space has, or the default.
    """
    switches = {name for name, node in space.tree.items() if isinstance(node, Switch)} - {NUMERIC}
    nearest: Mapping[str, Any] = {"configurations": []}
    least_distance = (math.inf, 0, 0)
    for portfolio in read_portfolios():
        if portfolio["rows"] > rows or not _matches(portfolio, space, switches):
            continue
        extra_choices = _choices(portfolio) - switches
        by_objectives = abs(portfolio["objectives"] - objectives)
        distance = (len(extra_choices), -portfolio["rows"], by_objectives)
        if distance < least_distance:
            nearest, least_distance = portfolio, distance
    configurations = [fitted(config, space, tasks) for config in nearest["configurations"]]
    return list(_distinct(filter(None, configurations)))


def _choices(portfolio: Mapping[str, Any]) -> set[str]:
    """Names of the choices in any of a portfolio's configurations."""
    names = set().union(*portfolio["configurations"])
    return {name for name in names if name.endswith(".kind")}


def _matches(portfolio: Mapping[str, Any], space: Space, switches: set[str]) -> bool:
    """Whether a portfolio knows every choice of a space, and the space has its losses."""
    if not switches <= _choices(portfolio):
        return False
    if LOSS not in switches:
        return True
    losses = {config[LOSS] for config in portfolio["configurations"] if LOSS in config}
    return losses <= set(space.branches(LOSS))


def fitted(config: Mapping[str, Scalar], space: Space, tasks: Sequence[str]) -> dict[str, Scalar]:
    """Maps a configuration to searched parameters of a space; empty if the space lacks its sharing.

    Args:
        config: dotted; the last part of a weight's name is its task's position, from "1".
    """
    if config.get(SHARING) not in space.choices(SHARING):
        return {}
    by_task = {_name_with_task(name, tasks): value for name, value in config.items()}
    tree = {name: node for name, node in space.tree.items() if name != NUMERIC or name in by_task}
    return trees.searched(tree, tasks, lambda name, node: node.nearest(by_task.get(name)))


def _name_with_task(name: str, tasks: Sequence[str]) -> str:
    """The name of a parameter, with a task in place of its position."""
    stem, _, position = name.rpartition(".")
    if position.isdigit() and int(position) <= len(tasks):
        return f"{stem}.{tasks[int(position) - 1]}"
    return name


@cache
def read_portfolios() -> list[dict[str, Any]]:
    """All portfolios, as in the file."""
    file = content.read_toml(content.root("search_spaces") / "portfolio" / "learnt.toml")
    return list(file["portfolios"])
