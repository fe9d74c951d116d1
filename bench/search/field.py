"""All trials' standings, and the same as columns: kept as one after the other changes, not made anew for a decision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from bench.search.standing import Standing


class Field(Sequence[Standing]):
    """Standings in the order of their trials' numbers. A row is a place in this order.

    Attributes:
        granted: by row, the rungs to which the floor let a trial go on, where there are any.
        kinds: rows by kind of sharing.
    """

    def __init__(self, standings: Iterable[Standing] = ()) -> None:
        self._standings: list[Standing] = []
        self.granted: dict[int, frozenset[int]] = {}
        self.kinds: defaultdict[str, list[int]] = defaultdict(list)
        self._reached = np.zeros(64, dtype=np.int64)
        self._waiting, self._failed = np.zeros(64, dtype=bool), np.zeros(64, dtype=bool)
        self._values: list[NDArray[np.float64]] = []
        for standing in standings:
            self.put(len(self), standing)

    @classmethod
    def of(cls, standings: Sequence[Standing]) -> Field:
        """Itself, or one of standings in whatever order."""
        return standings if isinstance(standings, cls) else cls(sorted(standings, key=attrgetter("number")))

    def put(self, row: int, standing: Standing) -> None:
        """Sets a row, or adds the next one. A trial keeps its kind and the results that it has."""
        if row == len(self):
            self._standings.append(standing)
            self.kinds[standing.kind].append(row)
            if row == len(self._reached):
                self._reached, self._waiting, self._failed = map(_longer, (self._reached, self._waiting, self._failed))
                self._values = [_longer(values) for values in self._values]
        self._standings[row] = standing
        self._waiting[row], self._failed[row] = standing.progress == "waiting", standing.progress == "failed"
        for rung in range(int(self._reached[row]), len(standing.results)):
            if rung == len(self._values):
                self._values.append(np.full((len(self._reached), len(standing.results[rung])), np.nan))
            self._values[rung][row] = standing.results[rung]
        self._reached[row] = len(standing.results)
        if standing.granted:
            self.granted[row] = standing.granted

    def __len__(self) -> int:
        return len(self._standings)

    @overload
    def __getitem__(self, row: int) -> Standing: ...
    @overload
    def __getitem__(self, row: slice) -> list[Standing]: ...
    def __getitem__(self, row: int | slice) -> Standing | list[Standing]:
        return self._standings[row]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._standings == list(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def reached(self) -> NDArray[np.int64]:
        """How many rungs each has a result at: (N,)."""
        return self._reached[: len(self)]

    @property
    def waiting(self) -> NDArray[np.bool_]:
        """Which wait: (N,)."""
        return self._waiting[: len(self)]

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which have failed: (N,)."""
        return self._failed[: len(self)]

    @property
    def begun(self) -> NDArray[np.int64]:
        """How many rungs each was, or is being, trained to: (N,)."""
        return self.reached + ~self.waiting

    def values(self, rung: int) -> NDArray[np.float64]:
        """The results at a rung that some trial has reached: (N, objectives), NaN where one has not."""
        return self._values[rung][: len(self)]

    def of_kind(self, kind: str) -> list[Standing]:
        """Those of one kind of sharing."""
        return [self._standings[row] for row in self.kinds.get(kind, ())]


def _longer(column: NDArray[Any]) -> NDArray[Any]:
    """Twice as long, for what is to come."""
    return np.concatenate([column, np.full_like(column, np.nan if column.dtype.kind == "f" else 0)])
