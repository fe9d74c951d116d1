"""All jobs of a search, in the order in which they were begun, and how far each trial has come by what is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bench.search.standing import Standing, Standings, Step


class Ledger:
    """What a study's events say of its jobs, as they are added.

    Attributes:
        steps: by the number of the job.
        told: of how many jobs the outcome is known; the next one to be told.
        standings: how far every trial has come by what is told, by number.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.told = 0
        self.standings: list[Standing] = []
        self._told_before: list[int] = []  # how many jobs were told when a trial was begun

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self.standings)

    def ask(self, step: Step, kind: str) -> None:
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
