"""Estimates the time left of a run: the rest of the search, and all stages after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from statistics import median

from bench.confirm.baselines import LEAST_TRIES, tries_of
from bench.progress import Advance, Progress
from bench.records import TRAINED, TrialRecord
from bench.run.ladder import most_epochs
from bench.search.plan import SHARING
from bench.search.space import Space
from bench.suite import Suite

SERVING = 8.0
"""Seconds to draw the served front, write the page and end MLflow, for a data set of 100,000 rows on one core."""
REPLICATE = 1.2
"""A replicate over a training of the search: it is measured on two more splits and on resamples of both."""
TREES = 4.0
"""Passes of a network over train that take as long as a training of boosted trees."""


class Pace:
    """The duration of a training of full length, estimated from the search so far.

    Args:
        ladder: training samples at each rung; with one rung or none, every trial is trained to full length.
    """

    def __init__(self, ladder: Sequence[int], records: Sequence[TrialRecord] = ()) -> None:
        self._full = ladder[-1] if len(ladder) > 1 else 1
        self._by_rungs = len(ladder) > 1
        self._trained: dict[int, tuple[float, int]] = {}
        for record in records:
            self.add(record)

    def add(self, record: TrialRecord) -> None:
        """Take in a trial's latest result."""
        if record.seconds and record.measured:
            samples = record.rungs[-1].samples if self._by_rungs and record.rungs else self._full
            self._trained[record.number] = record.seconds, samples

    @property
    def full_length(self) -> float | None:
        """Seconds of one training to full length on one worker; None before the first result.

        The median over the trials that were trained longest: short jobs cost more for each sample, and the first jobs
        on a machine compile.
        """
        longest = max((samples for _, samples in self._trained.values()), default=0)
        rates = [seconds / samples for seconds, samples in self._trained.values() if samples == longest]
        return median(rates) * self._full if rates else None

    def search(self, left: Mapping[str, float]) -> float | None:
        """Seconds on one worker until the first limit; None before the first result, or without a limit.

        Args:
            left: of `trials` and of `samples`, where there is such a limit.
        """
        trained = list(self._trained.values())
        busy, samples = (sum(column) for column in zip(*trained, strict=True)) if trained else (0.0, 0)
        done = {"trials": len(trained), "samples": samples}
        found = [busy * max(0.0, amount) / done[key] for key, amount in left.items() if done[key]]
        return min(found, default=None)


class After:
    """The duration of the stages after the search, in trainings of full length.

    Args:
        space: of the run, for its kinds of sharing and its passes.
        lengths: the budget of the search in full lengths.
    """

    def __init__(self, suite: Suite, space: Space, lengths: float) -> None:
        confirm, kinds = suite.confirm, max(1, len(space.branches(SHARING)))
        tries, trees = tries_of(lengths, kinds), TREES / most_epochs(space)
        grown = "trees" in confirm.baselines and confirm.replicates > 0
        extra = confirm.replicates * (kinds - 1 if confirm.kinds else 0)
        own = confirm.replicates_in_all + extra if confirm.replicates else 0
        others = sum(kind in confirm.baselines and kind != "trees" for kind in TRAINED) * confirm.replicates
        self.tuning = trees * tries * (grown and tries > 1) + LEAST_TRIES * confirm.static
        self.confirming = REPLICATE * (own + others + confirm.static * confirm.replicates)
        self.confirming += REPLICATE * trees * confirm.replicates * grown

    def seconds(self, pace: Pace, workers: int, stages: Sequence[str], known: int = 0) -> float:
        """Seconds that these stages take: `tuning`, `confirming`, `serving`.

        Args:
            known: replicates that are there already.
        """
        one = pace.full_length or 0.0
        found = SERVING if "serving" in stages else 0.0
        found += self.tuning * one / workers if "tuning" in stages else 0.0
        if "confirming" in stages:
            found += max(0.0, self.confirming - REPLICATE * known) * one / workers
        return found


class WithLater:
    """Progress whose time left includes the stages after the task.

    Args:
        later: seconds that later stages take, as far as is known by now.
    """

    def __init__(self, progress: Progress, later: Callable[[], float]) -> None:
        self._progress, self._later = progress, later

    def task(
        self,
        description: str,
        total: float | None,
        unit: str,
        done: float = 0.0,
        later: Callable[[], float] | None = None,
    ) -> AbstractContextManager[Advance]:
        """A piece of work; see `bench.progress.Progress`."""
        return self._progress.task(description, total, unit, done, later or self._later)

    def note(self, text: str) -> None:
        """A line for the user."""
        self._progress.note(text)
