"""The rows of the reference by data set and configuration, as samples over fresh seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.app.reference.cells import ALONE, EQUAL, PREDICTED, SEARCH, STATIC
from bench.app.reference.comparisons import sample_of
from bench.app.reference.one_training import fusions
from bench.app.reference.table import Row
from bench.core.objectives import Objective, ranked
from bench.ledger.effect import Effect
from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.intervals import differences
from bench.ledger.pareto import resolve_reference
from bench.models.balancing import works_on_gradients

Floats = NDArray[np.float64]
Served = tuple[Evidence, ...]
FORMER = ("cr_mogm", "dualproj", "excess_mtl", "modo", "pcd", "sdmgrad")
"""Gradient methods of published rows that are no longer built in."""


@dataclass(frozen=True)
class Member:
    """A configuration with its fresh seeds.

    Attributes:
        label: balancer, or kind of models that share nothing; of static weights with their ratio.
        heads: of the objectives.
        served: of the outcomes, one for each fusion.
        heads_in_groups: of each outcome what its task's head alone serves, where all are ranked within
            groups; else None.
        valid: (M,) what validation found on the seed of tuning; NaN where it was not tuned.
    """

    sharing: str
    balancing: str
    label: str
    config: Mapping[str, object]
    heads: Evidence
    served: Served
    heads_in_groups: Evidence | None
    valid: Floats
    parameters: int
    latency_ms: float

    @property
    def id(self) -> str:
        """Tells it from every other member of its data set."""
        return json.dumps([self.sharing, self.balancing, dict(self.config)], sort_keys=True)

    @property
    def of_gradients(self) -> bool:
        """Whether its balancer reads gradients rather than losses."""
        return works_on_gradients(self.balancing) or self.balancing in FORMER

    @property
    def name(self) -> str:
        """For tables."""
        return self.label if self.sharing in (ALONE, SEARCH) else f"{self.sharing}, {self.label}"


@dataclass(frozen=True)
class Data:
    """What the rows say of one data set.

    Attributes:
        outcomes: of what is served.
        tried: rows of tuning that have values.
        reference: of the hypervolume, complete.
    """

    name: str
    objectives: tuple[Objective, ...]
    outcomes: tuple[Objective, ...]
    reference: dict[str, float]
    members: tuple[Member, ...]
    tried: tuple[Row, ...]

    @property
    def tasks(self) -> int:
        """How many tasks are objectives."""
        return len({objective.name.partition(".")[0] for objective in self.objectives})

    def members_of(self, sharing: str, *balancing: str) -> list[Member]:
        """Members of some cells."""
        return [
            member
            for member in self.members
            if member.sharing == sharing and member.balancing in balancing
        ]

    def best(self, members: Sequence[Member]) -> Member | None:
        """The one with the largest sum of objectives on validation, each over its standard
        deviation over all tries.

        Of those that validation did not see, such as defaults, the first; None of none.
        """
        spread = (
            np.nanstd([row.valid for row in self.tried], axis=0)
            if self.tried
            else np.ones(len(self.objectives))
        )
        weights = np.array([objective.sign for objective in self.objectives]) / np.where(
            spread > 0, spread, 1
        )
        return max(
            members,
            key=lambda member: float(np.nan_to_num(weights @ member.valid, nan=-np.inf)),
            default=None,
        )

    @cached_property
    def leads(self) -> tuple[Member, dict[str, list[Effect]]] | None:
        """The best model that shares with equal weights, and how far each member (by `id`) is ahead
        of it, in pairs.

        In the objectives' own units, larger is better. None without such a model.
        """
        plain = self.best([member for member in self.members if member.balancing == EQUAL])
        paired = differences([member.heads for member in self.members])
        if plain is None or paired is None:
            return None
        row_of_plain = self.members.index(plain)
        return plain, {
            member.id: paired.improvements(place, row_of_plain, self.objectives)
            for place, member in enumerate(self.members)
        }


def gather(
    rows: Iterable[Row],
    objectives: Mapping[str, tuple[Objective, ...]],
    references: Mapping[str, Mapping[str, float]],
) -> list[Data]:
    """The rows by data set and configuration. Of a data set that was prepared in several ways the
    most rows count.

    Args:
        references: reference points by data set, as a suite has them.
    """
    by_data: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        if not row.failure and row.data in objectives:
            by_data.setdefault(row.data, {}).setdefault(row.content, []).append(row)
    datasets = []
    for name in objectives:
        if name in by_data:
            largest = max(by_data[name].values(), key=len)
            datasets.append(_data(name, objectives[name], references.get(name, {}), largest))
    return datasets


def _data(
    name: str,
    objectives: tuple[Objective, ...],
    reference: Mapping[str, float],
    rows: Sequence[Row],
) -> Data:
    tried = tuple(row for row in rows if row.seed == 0)
    valid = {
        (row.sharing, row.balancing, json.dumps(row.config, sort_keys=True)): row.valid
        for row in tried
    }
    replicates: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.seed:
            replicates.setdefault(
                (row.sharing, row.balancing, json.dumps(row.config, sort_keys=True)), []
            ).append(row)
    nothing = [math.nan] * len(objectives)
    members = [
        _member(
            replicate_rows,
            np.array(
                replicate_rows[0].valid
                if replicate_rows[0].sharing == SEARCH
                else valid.get(key, nothing)
            ),
        )
        for key, replicate_rows in sorted(replicates.items())
        if len(replicate_rows) > 1
    ]
    return Data(
        name,
        objectives,
        tuple(
            Objective(outcome, "maximize")
            for outcome in next((row.outcomes for row in rows if row.outcomes), ())
        ),
        resolve_reference(objectives, reference),
        tuple(members),
        tried,
    )


def _member(rows: Sequence[Row], valid: Floats) -> Member:
    rows = sorted(rows, key=lambda row: row.seed)
    first = rows[0]
    seeds, outcomes = tuple(row.seed for row in rows), len(first.outcomes)
    heads = sample_of([row.test for row in rows], [row.test_moved for row in rows], seeds)
    served = sample_of([row.served for row in rows], [row.served_moved for row in rows], seeds)
    columns = [
        slice(start, start + outcomes) for start in range(0, served.values.shape[1], outcomes)
    ]
    by_fusion = tuple(
        Evidence(served.values[:, column], served.moves[..., column], seeds) for column in columns
    )
    return Member(
        sharing=first.sharing,
        balancing=first.balancing,
        label=_label(first),
        config=first.config,
        heads=heads,
        served=by_fusion,
        heads_in_groups=_within(by_fusion, first.outcomes),
        valid=valid,
        parameters=first.parameters,
        latency_ms=float(np.median([row.latency_ms for row in rows])),
    )


def _within(served: Served, outcomes: Sequence[str]) -> Evidence | None:
    tops = {name.partition(".")[0]: ranked(name.partition(".")[2]) for name in outcomes}
    if (
        not served
        or len(tops) < len(outcomes)
        or not all(top and not top.percent for top in tops.values())
    ):
        return None
    weights = np.array([fusion.weights for fusion in fusions(len(outcomes))])
    # of each task the fusion that is its head alone
    heads = [served[place] for place in weights.argmax(axis=0)]
    values = np.stack([head.values[..., task] for task, head in enumerate(heads)], axis=-1)
    moved = np.stack([head.moves[..., task] for task, head in enumerate(heads)], axis=-1)
    return Evidence(values, moved, served[0].seeds)


def _label(row: Row) -> str:
    """The balancer's name; behind static weights stands their ratio, in the order of the
    objectives.
    """
    prefix = "balancing.static.weight."
    tasks = dict.fromkeys(f"{prefix}{name.partition('.')[0]}" for name in row.objectives)
    weights = [float(str(row.config[key])) for key in tasks if key in row.config]
    if row.balancing not in (STATIC, PREDICTED) or not weights:
        return row.balancing
    return f"{row.balancing} " + ":".join(f"{weight / min(weights):.3g}" for weight in weights)
