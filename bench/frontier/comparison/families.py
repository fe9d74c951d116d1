"""Who is compared: points of one or several runs on the same data, in families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.frontier.samples import Sample, sample
from bench.objectives import Objective
from bench.records import TrialRecord


@dataclass(frozen=True)
class Member:
    """A point, and where it comes from."""

    run: str
    dataset: str
    sampler: str
    point: TrialRecord

    def sample(self, objectives: Sequence[Objective], split: str) -> Sample | None:
        """What its replicates say of metrics on a split; None where none was measured there."""
        return sample(self.point, [objective.key(split) for objective in objectives])


FAMILIES: dict[str, Callable[[Member], str]] = {
    "sharing": lambda member: member.point.sharing,
    "balancing": lambda member: member.point.balancing,
    "architecture": lambda member: member.point.architecture,
    "run": lambda member: member.run,
    "sampler": lambda member: member.sampler,
    "dataset": lambda member: member.dataset,
}
"""What families may be made by, and the family of a member."""


def families(members: Iterable[Member], by: str) -> dict[str, list[Member]]:
    """Members by family, in the order of the families' names."""
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(FAMILIES[by](member), []).append(member)
    return dict(sorted(found.items()))
