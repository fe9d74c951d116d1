"""All jobs of a search, in the order in which they were begun, and how far each trial has come by what is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.search.field import Field
from bench.search.standing import Standing


@dataclass(frozen=True)
class Step:
    """A job: a trial on its way to a rung, which counts from 0."""

    trial: int
    rung: int
    floor: bool = False


@dataclass
class _Trial:
    kind: str
    orders: list[int] = field(default_factory=list)
    results: list[tuple[float, ...]] = field(default_factory=list)
    failed: bool = False
    told: int = 0
    granted: frozenset[int] = frozenset()


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
        self._trials: list[_Trial] = []
        self._standings = Field()
        self._begun: Counter[int] = Counter()

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self._trials)

    @property
    def unfinished(self) -> list[int]:
        """Numbers of the jobs without an outcome."""
        return [number for number in range(len(self.steps)) if number not in self.finished]

    def ask(self, step: Step, kind: str) -> None:
        """A job is begun."""
        if step.trial == len(self._trials):
            self._trials.append(_Trial(kind))
            self._standings.put(step.trial, Standing(step.trial, kind, (), "running"))
        of = self._trials[step.trial]
        of.orders.append(len(self.steps))
        of.granted |= {step.rung} if step.floor else set()
        self.steps.append(step)
        self._begun[step.rung] += 1
        self._standings.put(step.trial, self._standing(step.trial))

    def finish(self, order: int) -> None:
        """A job has an outcome."""
        self.finished.add(order)

    def tell(self, order: int, values: tuple[float, ...] | None) -> None:
        """The outcome of the next job in order is known; None for a failure."""
        trial = self.steps[order].trial
        of = self._trials[trial]
        of.told += 1
        self.told += 1
        if values is None:
            of.failed = True
        else:
            of.results.append(values)
        self._standings.put(trial, self._standing(trial))

    def step(self, number: int) -> Step:
        """What a job is."""
        return self.steps[number]

    def samples(self, ladder: Sequence[int]) -> int:
        """Training samples of all jobs, those under way included; `ladder` has those at each rung."""
        rungs = self._begun.items() if ladder else ()
        return sum(begun * (ladder[rung] - (ladder[rung - 1] if rung else 0)) for rung, begun in rungs)

    def job_of(self, trial: int) -> int:
        """The number of a trial's last job."""
        return self._trials[trial].orders[-1]

    def standing(self, number: int) -> Standing:
        """How far a trial has come by what is told."""
        return self._standings[number]

    def standings(self) -> Field:
        """How far every trial has come by what is told; it changes as the search goes on."""
        return self._standings

    def _standing(self, number: int) -> Standing:
        of = self._trials[number]
        running = len(of.orders) > of.told
        return Standing(
            number,
            of.kind,
            tuple(of.results),
            "failed" if of.failed else "running" if running else "waiting",
            of.granted,
        )
