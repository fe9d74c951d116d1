"""Families to compare: points of one or several runs on the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.objectives import Objective, keys_on, values_in
from bench.core.records import OURS, Point
from bench.core.rows import SEARCH
from bench.ledger.errors.evidence import Evidence, evidence_of, resamples_of


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
        return evidence_of(self.point, keys_on(objectives, split))

    def searched(self, objectives: Sequence[Objective]) -> list[float] | None:
        """What the search's own run came to in each objective; None for baselines, which were not
        searched.
        """
        if self.point.role != "trial":
            return None
        values = values_in(self.point.metrics, objectives, SEARCH)
        return values if np.isfinite(values).all() else None


FAMILIES: dict[str, Callable[[FamilyPoint], str]] = {
    "sharing": lambda member: member.point.sharing,
    "balancing": lambda member: member.method,
    "architecture": lambda member: member.point.architecture,
    "trainer": lambda member: member.point.trainer or OURS,
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
    longest = {}
    for member in members:
        if member.point.role == "trial":
            longest[member.run, member.dataset, member.point.number] = member
    return list(longest.values())


def average(members: Sequence[Evidence]) -> Evidence:
    """The mean of several configurations as one: over the seeds that all share, where there are two
    or more.

    Otherwise the first replicates are averaged, the second, and so on; such averages are paired
    with none.
    """
    shared_seeds = set(members[0].seeds)
    for evidence in members:
        shared_seeds &= set(evidence.seeds)
    seeds = sorted(shared_seeds) if len(shared_seeds) > 1 else []
    replicates = list(range(min(map(len, members))))
    resamples = min(resamples_of(members))
    values, moves = [], []
    for evidence in members:
        rows = [evidence.seeds.index(seed) for seed in seeds] if seeds else replicates
        values.append(evidence.values[rows])
        moves.append(evidence.moves[rows][:, :resamples])
    mean_moves = np.mean(moves, axis=0)
    return Evidence(np.mean(values, axis=0), mean_moves, tuple(seeds), members[0].freedom)
