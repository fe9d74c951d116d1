"""Failed runs by reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.records import Failure, TrialRecord


@dataclass(frozen=True)
class Failed:
    """Trials, or replicates of them, that failed for one reason."""

    kind: str
    reason: str
    runs: int
    trials: tuple[int, ...]


def failures(records: Sequence[TrialRecord]) -> tuple[Failed, ...]:
    """Failed runs, replicates included, by reason; the most frequent first."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in records:
        every: list[Failure | None] = [record.failure, *(run.failure for run in record.replicates)]
        for failure in filter(None, every):
            groups[failure.kind, failure.reason].append(record.number)
    found = [
        Failed(kind, reason, len(numbers), tuple(sorted(set(numbers)))) for (kind, reason), numbers in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.runs, each.trials)))
