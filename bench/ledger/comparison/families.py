"""Families to compare: points of one or several runs on the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.objectives import Objective
from bench.core.records import Point
from bench.core.rows import SEARCH
from bench.ledger.errors.evidence import Evidence, evidence_of


@dataclass(frozen=True)
class FamilyPoint:
    """A point, confirmed or not, with the run that it comes from.

    Attributes:
        method: its family by balancing; `bench.app.runs.comparing` says how balancers that do the
            same are named.
        weights: the tasks' shares of static weights; None where its weights are not static, or
            nothing is shared.
        gradient: whether its balancer works on the tasks' gradients.
    """

    run: str
    dataset: str
    sampler: str
    point: Point
    method: str
    weights: tuple[float, ...] | None = None
    gradient: bool = False

    def evidence(self, objectives: Sequence[Objective], split: str) -> Evidence | None:
        """What its replicates say of metrics on a split; None where none was measured there."""
        return evidence_of(self.point, [objective.key(split) for objective in objectives])

    def searched(self, objectives: Sequence[Objective]) -> list[float] | None:
        """What the search's own run came to in each objective; None for baselines, which were not
        searched.
        """
        metrics = [
            self.point.metrics.get(objective.key(SEARCH), np.nan) for objective in objectives
        ]
        return metrics if self.point.role == "trial" and np.isfinite(metrics).all() else None


FAMILIES: dict[str, Callable[[FamilyPoint], str]] = {
    "sharing": lambda member: member.point.sharing,
    "balancing": lambda member: member.method,
    "architecture": lambda member: member.point.architecture,
    "run": lambda member: member.run,
    "sampler": lambda member: member.sampler,
    "dataset": lambda member: member.dataset,
}
"""What families may be made by, and the family of a member."""


def families(members: Iterable[FamilyPoint], by: str) -> dict[str, list[FamilyPoint]]:
    """Members by family, in the order of the families' names."""
    members_by: dict[str, list[FamilyPoint]] = {}
    for member in members:
        members_by.setdefault(FAMILIES[by](member), []).append(member)
    return dict(sorted(members_by.items()))


def trials_of(members: Iterable[FamilyPoint]) -> list[FamilyPoint]:
    """Each trial of the search once, as it was trained longest."""
    trials = {
        (each.run, each.dataset, each.point.number): each
        for each in members
        if each.point.role == "trial"
    }
    return list(trials.values())


def average(samples: Sequence[Evidence]) -> Evidence:
    """The mean of several configurations as one: over the seeds that all share, where there are two
    or more.

    Otherwise the first replicates are averaged, the second, and so on; such averages are paired
    with none.
    """
    common = sorted(set.intersection(*(set(each.seeds) for each in samples)))
    rows = [[each.seeds.index(seed) for seed in common] for each in samples]
    if len(common) < 2:
        rows, common = [list(range(min(map(len, samples))))] * len(samples), []
    b = min(each.moves.shape[1] for each in samples)
    own = [(each.values[at], each.moves[at][:, :b]) for each, at in zip(samples, rows, strict=True)]
    values, moved = (np.mean(part, axis=0) for part in zip(*own, strict=True))
    return Evidence(values, moved, tuple(common), samples[0].freedom)
