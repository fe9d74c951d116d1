"""The plan of a search, and its first configurations, learnt on other data, see
`docs/studies/search.md`.

Like Feurer et al. 2015 (auto-sklearn) and Salinas and Erickson 2024 (TabRepo), with fronts in place
of single scores. The portfolios are in `search_spaces/portfolio/learnt.toml`;
`studies/learn_portfolio.py` writes it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from bench.core.objectives import Objective
from bench.core.records import Scalar
from bench.core.system import content
from bench.ledger.pareto import resolve_reference
from bench.search import tree as trees
from bench.search.nodes import Switch
from bench.search.ranking import Rules
from bench.search.space import NUMERIC, Space

SHARING = "sharing.kind"
SINGLE_TASK = "single_task"
LOSS = "loss.kind"


def missing_tries(
    first: Sequence[Mapping[str, Scalar]], kinds: Sequence[str], tries: int
) -> list[dict[str, Scalar]]:
    """Pinned parameters that give each kind `tries` trials besides its first, the kinds in turn."""
    there = Counter(params[SHARING] for params in first)
    return [{SHARING: kind} for n in range(tries) for kind in kinds if there[kind] <= n + 1]


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
        first, kinds = (
            beginning(self.space, self.tasks, self.portfolio),
            self.space.branches(SHARING),
        )
        return (*first, *missing_tries(first, kinds, self.tries)) if kinds else first

    def identity(self) -> dict[str, object]:
        """The settings that determine trial n, which a resumed search must keep; limits may rise,
        so they are left out.
        """
        rungs = (
            {"ladder": list(self.ladder), "eta": list(self.eta), "share": self.share}
            if self.by_rungs
            else {}
        )
        return {
            "seed": self.seed,
            "sampler": self.sampler,
            "space": self.space.digest(),
            "tasks": list(self.tasks),
            "objectives": [[objective.name, objective.direction] for objective in self.objectives],
            "tries": self.tries,
            "portfolio": [dict(params) for params in self.portfolio],
            "reference": dict(self.rules.reference),
            **rungs,
        }


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
    usual = {name: value for name, value in defaults[0].items() if name == NUMERIC}
    best, rest = [{**usual, **each} for each in portfolio[:learnt_first]], portfolio[learnt_first:]
    every = [{NUMERIC: kind} for kind in space.branches(NUMERIC)]
    twins = [{**each, **kind} for each in portfolio[:1] if NUMERIC not in each for kind in every]
    baselines = (
        {**usual, **each} for each in (*portfolio, *defaults) if each[SHARING] == SINGLE_TASK
    )
    first = [*[*baselines][:1], *best, *twins, *defaults, *rest]
    return tuple({tuple(sorted(each.items())): each for each in first}.values())


def learnt(
    space: Space, tasks: Sequence[str], objectives: int, rows: int
) -> list[dict[str, Scalar]]:
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
    known = []
    for each in read():
        choices = {
            name for config in each["configurations"] for name in config if name.endswith(".kind")
        }
        losses = {
            config[LOSS] for config in each["configurations"] if LOSS in config and LOSS in switches
        }
        if each["rows"] <= rows and switches <= choices and losses <= {*space.branches(LOSS)}:
            known.append(
                (len(choices - switches), -each["rows"], abs(each["objectives"] - objectives), each)
            )
    if not known:
        return []
    *_, nearest = min(known, key=lambda each: each[:3])
    configurations = [fitted(each, space, tasks) for each in nearest["configurations"]]
    return list({tuple(each.items()): each for each in configurations if each}.values())


def fitted(config: Mapping[str, Scalar], space: Space, tasks: Sequence[str]) -> dict[str, Scalar]:
    """Maps a configuration to searched parameters of a space; empty if the space lacks its sharing.

    Args:
        config: dotted; the last part of a weight's name is its task's position, from "1".
    """
    if config.get(SHARING) not in space.choices(SHARING):
        return {}
    named = {_named(name, tasks): value for name, value in config.items()}
    tree = {name: node for name, node in space.tree.items() if name != NUMERIC or name in named}
    return trees.searched(tree, tasks, lambda name, node: node.nearest(named.get(name)))


def _named(name: str, tasks: Sequence[str]) -> str:
    stem, _, place = name.rpartition(".")
    return (
        f"{stem}.{tasks[int(place) - 1]}" if place.isdigit() and int(place) <= len(tasks) else name
    )


@cache
def read() -> list[dict[str, Any]]:
    """All portfolios, as in the file."""
    file = content.read_toml(content.root("search_spaces") / "portfolio" / "learnt.toml")
    return list(file["portfolios"])
