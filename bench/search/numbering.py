"""Which numbers the replicates of a confirmation have: their seeds come from them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.records import Replicate, Scalar, TrialRecord
from bench.search.study import Study

Key = tuple[int, int | None, str]
"""Number of the trial, `TrialRecord.until`, and a baseline's configuration: trainings that differ by seed alone."""


def key_of(number: int, until: int | None, config: Mapping[str, Scalar]) -> Key:
    """The key of a point or a baseline."""
    return number, until, json.dumps(dict(config), sort_keys=True) if number < 0 else ""


class Numbering:
    """Numbers the replicates of each point 1, 2, .. as a confirmation asks for them.

    Equal numbers have equal seeds, so that points are compared by pairs of replicates. An interrupted confirmation asks
    for the same numbers again, and finds those that are stored.
    """

    def __init__(self, study: Study) -> None:
        self._asked: Counter[Key] = Counter()
        self._stored: defaultdict[Key, dict[int, Replicate]] = defaultdict(dict)
        for number, own in study.replicates().items():
            for each in own:
                self._stored[key_of(number, each.until, {})][each.replicate] = each
        for record in study.baselines():
            for each in record.replicates:
                self._stored[key_of(record.number, each.until, record.config)][each.replicate] = each

    def more(self, points: Iterable[TrialRecord]) -> list[tuple[TrialRecord, int, bool]]:
        """Another replicate for each, one for every time that it is named: its number, and whether it is stored."""
        found = []
        for point in points:
            key = key_of(point.number, point.until, point.config)
            self._asked[key] += 1
            found.append((point, self._asked[key], self._asked[key] in self._stored[key]))
        return found

    def stored(self, point: TrialRecord) -> list[Replicate]:
        """Its replicates that were stored when this was made."""
        return list(self._stored[key_of(point.number, point.until, point.config)].values())

    def of(self, point: TrialRecord, replicates: Sequence[Replicate]) -> TrialRecord:
        """The point with those of its trial's replicates that were asked for so far."""
        asked = self._asked[key_of(point.number, point.until, point.config)]
        own = (each for each in replicates if each.until == point.until and each.replicate <= asked)
        return replace(point, replicates=tuple(own))
