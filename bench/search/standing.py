"""How far the trials of a search have come: what is known of them when something is decided."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Progress = Literal["running", "waiting", "failed"]


@dataclass(frozen=True)
class Step:
    """A job: a trial on its way to a rung.

    Attributes:
        rung: counted from 0, the lowest.
        floor: whether the trial goes on only as the best of its kind's first tries, see `promotion`.
    """

    trial: int
    rung: int
    floor: bool = False


@dataclass(frozen=True)
class Standing:
    """How far a trial has come.

    Attributes:
        number: of the trial.
        kind: its way of sharing.
        results: the objectives' values at each rung that it reached, from the lowest. One that is not finite keeps the
            trial where it is.
        progress: on the way to the rung above `results`; waiting there to go on, or done at the top; or failed on that
            way.
        granted: rungs to which the floor let it go on.
    """

    number: int
    kind: str
    results: tuple[tuple[float, ...], ...]
    progress: Progress
    granted: frozenset[int] = frozenset()

    @property
    def begun(self) -> int:
        """How many rungs it was, or is being, trained to."""
        return len(self.results) + (self.progress != "waiting")

    def after(self, step: Step) -> Standing:
        """The trial once a job was begun: on its way, if the job is its own."""
        if step.trial != self.number:
            return self
        granted = self.granted | {step.rung} if step.floor else self.granted
        return replace(self, progress="running", granted=granted)


class Standings:
    """Standings in the order of their trials' numbers, and the same as columns, kept as one after the other changes.

    Making the columns anew for every decision would take time in a long search. A row is a place in the order.

    Attributes:
        granted: by row, the rungs to which the floor let a trial go on, where there are any.
        kinds: rows by kind of sharing.
    """

    def __init__(self, standings: Iterable[Standing] = ()) -> None:
        self._standings: list[Standing] = []
        self.granted: dict[int, frozenset[int]] = {}
        self.kinds: defaultdict[str, list[int]] = defaultdict(list)
        self._reached, self._waiting, self._failed = array("q"), array("b"), array("b")
        self._values: list[array[float]] = []  # of each rung, row after row
        for standing in standings:
            self.put(len(self), standing)

    @classmethod
    def of(cls, standings: Iterable[Standing]) -> Standings:
        """Itself, or those of trials in whatever order."""
        return standings if isinstance(standings, cls) else cls(sorted(standings, key=attrgetter("number")))

    def put(self, row: int, standing: Standing) -> None:
        """Sets a row, or adds the next one. A trial keeps its kind and the results that it has."""
        if row == len(self):
            for values in self._values:
                values.extend([np.nan] * (len(values) // row))
            self._standings.append(standing)
            self.kinds[standing.kind].append(row)
            for column in (self._reached, self._waiting, self._failed):
                column.append(0)
        self._standings[row] = standing
        self._waiting[row], self._failed[row] = standing.progress == "waiting", standing.progress == "failed"
        for rung in range(self._reached[row], len(standing.results)):
            result = standing.results[rung]
            if rung == len(self._values):
                self._values.append(array("d", [np.nan]) * (len(self) * len(result)))
            self._values[rung][row * len(result) : (row + 1) * len(result)] = array("d", result)
        self._reached[row] = len(standing.results)
        if standing.granted:
            self.granted[row] = standing.granted

    def __len__(self) -> int:
        return len(self._standings)

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._standings)

    def __getitem__(self, row: int) -> Standing:
        return self._standings[row]

    @property
    def reached(self) -> NDArray[np.int64]:
        """How many rungs each has a result at: (N,)."""
        return np.array(self._reached, dtype=np.int64)

    @property
    def waiting(self) -> NDArray[np.bool_]:
        """Which wait: (N,)."""
        return np.array(self._waiting, dtype=np.bool_)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which have failed: (N,)."""
        return np.array(self._failed, dtype=np.bool_)

    @property
    def begun(self) -> NDArray[np.int64]:
        """How many rungs each was, or is being, trained to: (N,)."""
        return self.reached + ~self.waiting

    def values(self, rung: int) -> NDArray[np.float64]:
        """The results at a rung that some trial has reached: (N, objectives), NaN where one has not."""
        return np.array(self._values[rung]).reshape(len(self), -1)

    def samples(self, rungs: tuple[int, ...]) -> int:
        """Training samples of all jobs, those under way included; `rungs` has those at each rung."""
        steps, begun = np.diff(rungs, prepend=0).tolist(), self.begun
        return sum(step * int((begun > rung).sum()) for rung, step in enumerate(steps))
