"""Which numbers the replicates of a confirmation have: their seeds come from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

from bench.frontier.points import Key, key_of
from bench.records import Replicate, TrialRecord
from bench.search.study import Study


class Numbering:
    """Deals numbers out as a confirmation asks for replicates, the same ones after an interruption.

    The replicates of a trial are numbered over all its points, the longest first, so that no two share a seed. What an
    interrupted confirmation stored of a point is taken up first, in its order, and so has the number that it had.

    Args:
        points: all that are confirmed, baselines among them.

    Attributes:
        planned: by point the numbers of its replicates so far.
    """

    def __init__(self, study: Study, points: Iterable[TrialRecord]) -> None:
        trials, baselines = study.replicates(), study.baselines()
        self.planned: dict[Key, list[int]] = {}
        self._stored: dict[Key, list[int]] = {}
        self._taken: dict[int, set[int]] = {number: {r.replicate for r in those} for number, those in trials.items()}
        for record in baselines:
            self._taken.setdefault(record.number, set()).update(each.replicate for each in record.replicates)
        for point in points:
            own = trials.get(point.number, ())
            if point.number < 0:  # of the very configuration
                own = tuple(r for record in baselines if _same(record, point) for r in record.replicates)
            self.planned[key_of(point)] = []
            self._stored[key_of(point)] = [each.replicate for each in own if each.until == point.until]

    def more(self, points: Sequence[TrialRecord]) -> list[tuple[TrialRecord, int, bool]]:
        """Another replicate for each, one for every time that it is named: its number, and whether it is stored."""
        found = []
        for at in sorted(range(len(points)), key=lambda at: -len(points[at].rungs)):
            point = points[at]
            mine, taken = self.planned[key_of(point)], self._taken.setdefault(point.number, set())
            stored = [number for number in self._stored[key_of(point)] if number not in mine]
            number = stored[0] if stored else next(free for free in count(1) if free not in taken)
            mine.append(number)
            taken.add(number)
            found.append((at, number, bool(stored)))
        return [(points[at], number, stored) for at, number, stored in sorted(found)]

    def of(self, point: TrialRecord, replicates: Sequence[Replicate]) -> TrialRecord:
        """The point with those of its trial's replicates that were asked for so far."""
        mine = self.planned[key_of(point)]
        return replace(point, replicates=tuple(each for each in replicates if each.replicate in mine))


def _same(record: TrialRecord, point: TrialRecord) -> bool:
    return record.number == point.number and record.config == point.config
