"""Progress of a search's trials, and all its jobs in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TrialProgress = Literal["running", "waiting", "failed"]


@dataclass(frozen=True)
class RungStep:
    """A job: a trial on its way to a rung, 0 being the lowest; `floor` marks a promotion by the
    floor.
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
        results: the objectives' values at each rung that it reached, from the lowest. A trial with
            a value that is not finite does not continue.
        progress: running to the rung above `results`; waiting there, or done at the top; or failed
            on that way.
        granted: rungs to which the floor promoted it.
    """

    number: int
    kind: str
    results: tuple[tuple[float, ...], ...]
    progress: TrialProgress
    granted: frozenset[int] = frozenset()

    @property
    def begun(self) -> int:
        """Number of rungs it was, or is being, trained to."""
        return len(self.results) + (self.progress != "waiting")

    def after(self, step: RungStep) -> Standing:
        """The trial after a job was started: running, if the job is its own."""
        if step.trial != self.number:
            return self
        granted = self.granted | {step.rung} if step.floor else self.granted
        return replace(self, progress="running", granted=granted)


class Standings:
    """Standings in the order of their trials' numbers, as objects and as columns. A row is an index
    in this order.

    Attributes:
        reached: number of rungs with a result: (N,).
        waiting, failed: whether each is: (N,).
        begun: number of rungs each was, or is being, trained to: (N,).
        granted: row -> the rungs to which the floor promoted the trial, if any.
        kinds: rows by kind of sharing.
    """

    def __init__(self, standings: Iterable[Standing]) -> None:
        self.standings = sorted(standings, key=attrgetter("number"))
        progress = np.array([standing.progress for standing in self.standings], dtype=str)
        reached = [len(standing.results) for standing in self.standings]
        self.reached = np.array(reached, dtype=np.int64)
        self.waiting = progress == "waiting"
        self.failed = progress == "failed"
        self.begun = self.reached + ~self.waiting
        self.granted: dict[int, frozenset[int]] = {}
        self.kinds: defaultdict[str, list[int]] = defaultdict(list)
        for row, standing in enumerate(self.standings):
            self.kinds[standing.kind].append(row)
            if standing.granted:
                self.granted[row] = standing.granted

    def __len__(self) -> int:
        return len(self.standings)

    def promoted_by_floor(self, rung: int) -> NDArray[np.bool_]:
        """Whether the floor promoted each trial to a rung: (N,)."""
        promoted = np.zeros(len(self), dtype=bool)
        for row, rungs in self.granted.items():
            promoted[row] = rung in rungs
        return promoted

    def values(self, rung: int) -> NDArray[np.float64]:
        """Results at a rung that some trial has reached: (N, objectives), NaN for the others."""
        results = []
        for standing in self.standings:
            if len(standing.results) > rung:
                results.append(standing.results[rung])
        values = np.full((len(self), len(results[0])), np.nan)
        values[self.reached > rung] = results
        return values

    def samples(self, rungs: tuple[int, ...]) -> int:
        """Training samples of all jobs, running ones included; `rungs` has those at each rung."""
        steps = np.diff(rungs, prepend=0).tolist()
        return sum(step * int((self.begun > rung).sum()) for rung, step in enumerate(steps))


class JobHistory:
    """The standings of a study's trials and its jobs, `steps`, updated with each event.

    The first `told` jobs have recorded outcomes; standings reflect these only.
    """

    def __init__(self) -> None:
        self.steps: list[RungStep] = []
        self.told = 0
        self.standings: list[Standing] = []
        self._told_before: list[int] = []  # value of `told` when each trial was started

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(self.standings)

    def ask(self, step: RungStep, kind: str) -> None:
        """Adds a started job; `kind` is the trial's way of sharing."""
        if step.trial == self.trials:
            self._told_before.append(self.told)
            self.standings.append(Standing(step.trial, kind, (), "running"))
        else:
            self.standings[step.trial] = self.standings[step.trial].after(step)
        self.steps.append(step)

    def tell(self, values: tuple[float, ...] | None) -> None:
        """Records the outcome of the next job in order; None for a failure."""
        trial = self.steps[self.told].trial
        self.told += 1
        standing = self.standings[trial]
        if values is None:
            self.standings[trial] = replace(standing, progress="failed")
        else:
            results = (*standing.results, values)
            self.standings[trial] = replace(standing, progress="waiting", results=results)

    def samples(self, ladder: tuple[int, ...]) -> int:
        """Training samples of all jobs, see `Standings.samples`; 0 without rungs."""
        return Standings(self.standings).samples(ladder)

    def results_known_to(self, trial: int) -> list[tuple[tuple[float, ...], ...] | None]:
        """Results by rung of the trials before one, as recorded when that one was started, or now
        if it was not.

        None for a trial that was then recorded as failed without any result.
        """
        recorded = self._told_before[trial] if trial < self.trials else self.told
        recorded_jobs = Counter(step.trial for step in self.steps[:recorded])
        known_results: list[tuple[tuple[float, ...], ...] | None] = []
        for number in range(trial):
            results = self.standings[number].results[: recorded_jobs[number]]
            failed = recorded_jobs[number] and not results
            known_results.append(None if failed else results)
        return known_results
