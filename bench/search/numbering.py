"""Which numbers the replicates of a confirmation have: their seeds come from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.records import Point, Replicate


class Numbering:
    """Numbers the replicates of each point 1, 2, .. as a confirmation asks for them.

    Equal numbers have equal seeds, so that points are compared by pairs of replicates. An interrupted confirmation asks
    for the same numbers again, and finds those that are stored.

    Args:
        stored: replicates by `Point.training`.
    """

    def __init__(self, stored: Mapping[str, Sequence[Replicate]]) -> None:
        self._asked: Counter[str] = Counter()
        self._stored = {(training, each.replicate) for training, own in stored.items() for each in own}

    def more(self, points: Iterable[Point]) -> list[tuple[Point, int, bool]]:
        """Another replicate for each, one for every time that it is named: its number, and whether it is stored."""
        found = []
        for point in points:
            self._asked[point.training] += 1
            number = self._asked[point.training]
            found.append((point, number, (point.training, number) in self._stored))
        return found

    def of(self, point: Point, stored: Mapping[str, Sequence[Replicate]]) -> Point:
        """The point with those of its replicates that were asked for so far."""
        own = stored.get(point.training, ())
        return replace(point, replicates=tuple(each for each in own if each.replicate <= self._asked[point.training]))
