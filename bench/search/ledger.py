"""All jobs of a search, in the order in which they were begun, and how far each trial has come by what is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.search.field import Field
from bench.search.standing import Standing


@dataclass(frozen=True)
class Step:
    """A job: a trial on its way to a rung, which counts from 0."""

    trial: int
    rung: int
    floor: bool = False


class Ledger:
    """What a study's events say of its jobs, as they are added.

    Attributes:
        steps: by the number of the job.
        told: of how many jobs the outcome is known; the next one to be told.
        finished: numbers of the jobs with an outcome.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.told = 0
        self.finished: set[int] = set()
        self._standings = Field()
        self._told_before: list[int] = []  # how many jobs were told when a trial was begun
        self._last: list[int] = []
        self._begun: Counter[int] = Counter()

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self._last)

    @property
    def unfinished(self) -> list[int]:
        """Numbers of the jobs without an outcome."""
        return [number for number in range(len(self.steps)) if number not in self.finished]

    def ask(self, step: Step, kind: str) -> None:
        """A job is begun; `kind` is the trial's way of sharing."""
        if step.trial == self.trials:
            self._last.append(0)
            self._told_before.append(self.told)
            self._standings.put(step.trial, Standing(step.trial, kind, (), "running"))
        else:
            before = self._standings[step.trial]
            granted = before.granted | {step.rung} if step.floor else before.granted
            self._standings.put(step.trial, replace(before, progress="running", granted=granted))
        self._last[step.trial] = len(self.steps)
        self.steps.append(step)
        self._begun[step.rung] += 1

    def finish(self, order: int) -> None:
        """A job has an outcome."""
        self.finished.add(order)

    def tell(self, order: int, values: tuple[float, ...] | None) -> None:
        """The outcome of the next job in order is known; None for a failure."""
        before = self._standings[self.steps[order].trial]
        self.told += 1
        if values is None:
            now = replace(before, progress="failed")
        else:
            now = replace(before, progress="waiting", results=(*before.results, values))
        self._standings.put(before.number, now)

    def step(self, number: int) -> Step:
        """What a job is."""
        return self.steps[number]

    def samples(self, ladder: Sequence[int]) -> int:
        """Training samples of all jobs, those under way included; `ladder` has those at each rung."""
        rungs = self._begun.items() if ladder else ()
        return sum(begun * (ladder[rung] - (ladder[rung - 1] if rung else 0)) for rung, begun in rungs)

    def job_of(self, trial: int) -> int:
        """The number of a trial's last job."""
        return self._last[trial]

    def standing(self, number: int) -> Standing:
        """How far a trial has come by what is told."""
        return self._standings[number]

    def standings(self) -> Field:
        """How far every trial has come by what is told; it changes as the search goes on."""
        return self._standings

    def known_at(self, trial: int) -> list[tuple[tuple[float, ...], ...] | None]:
        """Results by rung of the trials before one, as they were known when that one was begun, or now if it is not.

        None for a trial of which it was known that it had failed without any.
        """
        told = self._told_before[trial] if trial < self.trials else self.told
        jobs = Counter(step.trial for step in self.steps[:told])
        known: list[tuple[tuple[float, ...], ...] | None] = []
        for number in range(trial):
            results = self._standings[number].results[: jobs[number]]
            known.append(None if jobs[number] and not results else results)
        return known
