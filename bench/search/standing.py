"""Progress of a search's trials, and all its jobs in the order in which they were begun."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Progress = Literal["running", "waiting", "failed"]


@dataclass(frozen=True)
class RungStep:
    """A job: a trial on its way to a rung.

    Attributes:
        rung: counted from 0, the lowest.
        floor: whether the trial goes on only as the best of its kind's first tries, see `ranking`.
    """

    trial: int
    rung: int
    floor: bool = False


@dataclass(frozen=True)
class Standing:
    """The progress of one trial.

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

    def after(self, step: RungStep) -> Standing:
        """The trial once a job was begun: on its way, if the job is its own."""
        if step.trial != self.number:
            return self
        granted = self.granted | {step.rung} if step.floor else self.granted
        return replace(self, progress="running", granted=granted)


class Standings:
    """Standings in the order of their trials' numbers, as objects and as columns. A row is a place in this order.

    Attributes:
        every: the standings.
        reached: how many rungs each has a result at: (N,).
        waiting, failed: which wait, and which have failed: (N,) each.
        begun: how many rungs each was, or is being, trained to: (N,).
        granted: by row, the rungs to which the floor let a trial go on, where there are any.
        kinds: rows by kind of sharing.
    """

    def __init__(self, standings: Iterable[Standing]) -> None:
        self.every = sorted(standings, key=attrgetter("number"))
        self.reached = np.array([len(each.results) for each in self.every], dtype=np.int64)
        self.waiting = np.array([each.progress == "waiting" for each in self.every], dtype=np.bool_)
        self.failed = np.array([each.progress == "failed" for each in self.every], dtype=np.bool_)
        self.begun = self.reached + ~self.waiting
        self.granted = {row: each.granted for row, each in enumerate(self.every) if each.granted}
        self.kinds: defaultdict[str, list[int]] = defaultdict(list)
        for row, each in enumerate(self.every):
            self.kinds[each.kind].append(row)

    def __len__(self) -> int:
        return len(self.every)

    def values(self, rung: int) -> NDArray[np.float64]:
        """The results at a rung that some trial has reached: (N, objectives), NaN where one has not."""
        found = [each.results[rung] for each in self.every if len(each.results) > rung]
        values = np.full((len(self), len(found[0])), np.nan)
        values[self.reached > rung] = np.fromiter(chain.from_iterable(found), np.float64).reshape(len(found), -1)
        return values

    def samples(self, rungs: tuple[int, ...]) -> int:
        """Training samples of all jobs, those under way included; `rungs` has those at each rung."""
        steps = np.diff(rungs, prepend=0).tolist()
        return sum(step * int((self.begun > rung).sum()) for rung, step in enumerate(steps))


class Ledger:
    """Standings and jobs of a study, updated as events are added.

    Attributes:
        steps: by the number of the job.
        told: the number of jobs whose outcome is recorded, and so the next job to record.
        standings: the progress of every trial, by number, from recorded outcomes.
    """

    def __init__(self) -> None:
        self.steps: list[RungStep] = []
        self.told = 0
        self.standings: list[Standing] = []
        self._told_before: list[int] = []  # how many jobs were told when a trial was begun

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self.standings)

    def ask(self, step: RungStep, kind: str) -> None:
        """A job is begun; `kind` is the trial's way of sharing."""
        if step.trial == self.trials:
            self._told_before.append(self.told)
            self.standings.append(Standing(step.trial, kind, (), "running"))
        else:
            self.standings[step.trial] = self.standings[step.trial].after(step)
        self.steps.append(step)

    def tell(self, values: tuple[float, ...] | None) -> None:
        """The outcome of the next job in order is known; None for a failure."""
        trial = self.steps[self.told].trial
        before = self.standings[trial]
        self.told += 1
        if values is None:
            self.standings[trial] = replace(before, progress="failed")
        else:
            self.standings[trial] = replace(before, progress="waiting", results=(*before.results, values))

    def samples(self, ladder: tuple[int, ...]) -> int:
        """Training samples of all jobs, see `Standings.samples`; 0 where there are no rungs."""
        return Standings(self.standings).samples(ladder)

    def known_at(self, trial: int) -> list[tuple[tuple[float, ...], ...] | None]:
        """Results by rung of the trials before one, as they were known when that one was begun, or now if it is not.

        None for a trial of which it was known that it had failed without any.
        """
        told = self._told_before[trial] if trial < self.trials else self.told
        jobs = Counter(step.trial for step in self.steps[:told])
        known: list[tuple[tuple[float, ...], ...] | None] = []
        for number in range(trial):
            results = self.standings[number].results[: jobs[number]]
            known.append(None if jobs[number] and not results else results)
        return known
