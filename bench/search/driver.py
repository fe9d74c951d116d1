"""The driver: decides on the next job, submits it, and records its outcome. Timing does not change
the search.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Literal

import numpy as np

from bench.core.errors import UserError
from bench.core.records import Failure, Job, Outcome, Point, Scalar, SplitName, TrialRecord
from bench.core.rows import SEARCH
from bench.core.system.progress import Advance, Progress, Silent
from bench.search.executors.base import Executor
from bench.search.gp import Proposals
from bench.search.plan import SHARING, SINGLE_TASK, SearchPlan
from bench.search.promotion import Rules, best_first, best_first_across_rungs, promotions
from bench.search.standing import RungStep, Standing, Standings
from bench.search.study import Study


class Checkpoints:
    """A search's folder of checkpoints: `<trial>/<rung>`.

    Losing any of it only costs time: a trial without its checkpoint is trained again from its
    start, to the same result.

    Args:
        max_bytes: that all may take. Those that running jobs start from are never removed.
    """

    def __init__(self, folder: Path, max_bytes: float = math.inf) -> None:
        self._folder = folder.resolve() / "checkpoints"
        self._max_bytes = max_bytes
        self._bytes: dict[int, int] = {}

    def path(self, trial: int, rung: int) -> Path:
        """Path of the checkpoint that a trial's job writes for its next one."""
        return self._folder / str(trial) / str(rung)

    def tidy(self, standings: Iterable[Standing], rungs: int) -> None:
        """Removes checkpoints that no job will start from: those below a trial's last, and all of a
        finished trial.
        """
        for standing in standings:
            self._bytes.pop(standing.number, None)
            if standing.progress == "failed" or len(standing.results) == rungs:
                shutil.rmtree(self._folder / str(standing.number), ignore_errors=True)
                continue
            last_rung = len(standing.results) - 1
            for rung in range(last_rung):
                self.path(standing.number, rung).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                size = self.path(standing.number, last_rung).stat().st_size
                self._bytes[standing.number] = size

    def fit(self, standings: Sequence[Standing], rules: Rules) -> None:
        """Removes those of the worst waiting trials until the rest fit into `max_bytes`; call it
        after `tidy`.
        """
        total = sum(self._bytes.values())
        if total <= self._max_bytes:
            return
        waiting = [trial for trial in sorted(self._bytes) if standings[trial].progress == "waiting"]
        results = [standings[trial].results for trial in waiting]
        order = best_first_across_rungs(results, rules.objectives, rules.reference)
        for row in reversed(order):
            if total <= self._max_bytes:
                return
            trial = waiting[row]
            shutil.rmtree(self._folder / str(trial), ignore_errors=True)
            total -= self._bytes.pop(trial)

    def used(self) -> tuple[int, int]:
        """Number of trials with a checkpoint, and bytes of all checkpoints."""
        sizes = {}
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):  # a driver may just have removed it
                sizes[path] = path.stat().st_size
        return len({path.parent for path in sizes}), sum(sizes.values())

    def clear(self) -> None:
        """Removes all checkpoints."""
        shutil.rmtree(self._folder, ignore_errors=True)


NEXT_BEST = 16
"""Number of best promotions considered; the first that fits the budget is taken."""

NextStep = RungStep | Literal["new trial"]


def decide(plan: SearchPlan, standings: Iterable[Standing], late: bool = False) -> NextStep | None:
    """Decides on the next job: a promotion; else, within the limits, a new trial; None if there is
    nothing to start.

    The budget of samples must hold the job, after reserving enough to bring a single-task trial to
    full length. If a promotion is too expensive, the next best affordable one is taken. At the end
    of the search, the best single-task trial continues to full length unless one is there.

    Args:
        standings: of every trial, by number, from recorded outcomes.
        late: whether the time limit is reached.
    """
    rules, now = plan.rules, Standings(standings)
    single_task = [now.standings[row] for row in now.kinds[SINGLE_TASK]]
    budget_left = math.inf if plan.budget is None else plan.budget - now.samples(rules.rungs)
    if not late:
        for step in islice(promotions(now, rules), NEXT_BEST):
            then = [standing.after(step) for standing in single_task]
            if rules.samples(step.rung) + _set_aside(plan, then) <= budget_left:
                return step
        if plan.trials is None or len(now) < plan.trials:
            then = _after_new_trial(plan, len(now), single_task)
            if rules.samples(0) + _set_aside(plan, then) <= budget_left:
                return "new trial"
    if not (now.waiting | now.failed).all():
        return None
    baseline = _baseline_on(single_task, rules)
    if baseline and rules.samples(baseline.rung) <= budget_left:
        return baseline
    return None


def _after_new_trial(
    plan: SearchPlan, number: int, single_task: Sequence[Standing]
) -> list[Standing]:
    """Single-task trials if trial `number` is started: with it, if its opening makes it one."""
    opening = plan.openings[number] if number < len(plan.openings) else {}
    if opening.get(SHARING) != SINGLE_TASK:
        return list(single_task)
    return [*single_task, Standing(number, SINGLE_TASK, (), "running")]


def _set_aside(plan: SearchPlan, single_task: Sequence[Standing]) -> int:
    """Training samples that one of these trials still needs to reach full length."""
    if not plan.by_rungs or SINGLE_TASK not in plan.space.choices(SHARING):
        return 0
    alive = _alive(single_task)
    if not alive and len(single_task) > plan.tries:
        return 0  # all planned ones have failed
    rungs = plan.rules.rungs
    begun = max((standing.begun for standing in alive), default=0)
    return rungs[-1] - (rungs[begun - 1] if begun else 0)


def _alive(standings: Sequence[Standing]) -> list[Standing]:
    return [standing for standing in standings if standing.progress != "failed"]


def _baseline_on(single_task: Sequence[Standing], rules: Rules) -> RungStep | None:
    """The next step of the best of these trials at the highest rung, unless that is the last."""
    alive = _alive(single_task)
    reached = max((len(standing.results) for standing in alive), default=0)
    if reached in (0, len(rules.rungs)):
        return None
    highest = [standing for standing in alive if len(standing.results) == reached]
    values = np.array([standing.results[-1] for standing in highest])
    order = best_first(values, rules.objectives, rules.reference)
    return RungStep(highest[order[0]].number, reached, floor=True)


MakeJob = Callable[[Point, int, tuple[SplitName, ...]], Job]
"""(point, replicate, splits) -> job that trains the point to its length. The job, seed included,
depends only on the point's `kind`, `number`, `config` and `until`."""

OnRecord = Callable[[TrialRecord], None]


def outcomes(
    executor: Executor, jobs: Sequence[Job], advance: Advance, study: Study | None
) -> Iterator[Outcome]:
    """Runs jobs outside the search and yields their outcomes; a study records each outcome
    first.
    """
    for job in jobs:
        executor.submit(job)
    for _ in jobs:
        outcome = executor.next()
        if study:
            study.add_replicate(outcome)
        advance(1)
        yield outcome


def search(
    plan: SearchPlan,
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    on_record: OnRecord,
    progress: Progress | None = None,
    clock: Callable[[], float] = monotonic,
) -> None:
    """Executes a plan, including jobs that an interrupted search left running.

    A job takes a trial to its next rung. Outcomes are recorded in the order of the jobs' numbers;
    early ones wait. Job n is decided when exactly the outcomes up to n - lag are recorded, or later
    if nothing could start then. So decisions depend on numbers, not on time, and one seed gives one
    search whatever each job takes. The lag is 1 for one slot, else twice the number of slots, so
    that a slow job seldom leaves a slot empty. With several slots, jobs added to an ended search
    know more than in a search that never ended. A concluded search continues if its limits were
    raised.

    Args:
        on_record: called, in order, with the record of each trial whose outcome is recorded. It may
            miss one that was recorded just before a crash; `study.records()` has them all.
        clock: seconds, for the plan's time limit.

    Raises:
        KeyboardInterrupt and any other error here: unfinished jobs stay as they are, to be run by
        the next search.
    """
    _Search(plan, study, executor, make_job, progress or Silent()).run(on_record, clock)


class _Search:
    def __init__(
        self,
        plan: SearchPlan,
        study: Study,
        executor: Executor,
        make_job: MakeJob,
        progress: Progress,
    ) -> None:
        self._plan, self._study, self._executor, self._progress = plan, study, executor, progress
        self._make_job = make_job
        self._proposals = Proposals(plan)
        self._checkpoints = Checkpoints(study.folder, plan.checkpoint_bytes)
        self._rungs = plan.rules.rungs
        self._max_seconds = math.inf if plan.seconds is None else plan.seconds
        self._in_samples = plan.by_rungs or plan.budget is not None
        self._numbers: dict[int, int] = {}  # trial -> number of its submitted job
        self._advance: Advance

    def run(self, on_record: OnRecord, clock: Callable[[], float]) -> None:
        study = self._study
        lag = 1 if self._executor.slots == 1 else 2 * self._executor.slots
        seconds = study.seconds
        began = clock() - seconds
        self._checkpoints.tidy(study.history.standings, len(self._rungs))
        with self._task() as self._advance:
            for number, config in study.running().items():
                self._submit(number, config)
            while True:
                while study.asked - study.told < lag:
                    seconds = clock() - began
                    if not self._begin(seconds):
                        break
                if study.told == study.asked:
                    self._rest(seconds)
                    return
                on_record(self._record_next())

    def _record_next(self) -> TrialRecord:
        """Waits for the outcome of the next job in order and records it."""
        study = self._study
        number = study.told
        while number not in study.finished:
            outcome = self._executor.next()
            assert outcome.job.trial is not None
            self._finish(self._numbers[outcome.job.trial], outcome)
        record = study.tell(number)
        standings = study.history.standings
        self._checkpoints.tidy([standings[record.number]], len(self._rungs))
        self._checkpoints.fit(standings, self._plan.rules)
        failure = record.failure
        if failure:
            self._progress.note(f"trial {record.number} failed ({failure.kind}): {failure.reason}")
        return record

    def _rest(self, seconds: float) -> None:
        """Records why there is nothing to start, where a time limit may be the reason."""
        if self._plan.seconds is None:
            return
        late = seconds >= self._max_seconds
        cut_short = late and decide(self._plan, self._study.history.standings) is not None
        self._study.rest(seconds, cut_short)

    def _begin(self, seconds: float) -> bool:
        """Starts the next job; returns False if, given the recorded outcomes, there is nothing to
        start.
        """
        study, plan, number = self._study, self._plan, self._study.asked
        decision = decide(plan, study.history.standings, late=seconds >= self._max_seconds)
        if decision is None:
            return False
        recorded_seconds = None if plan.seconds is None else seconds
        if isinstance(decision, RungStep):
            config = study.promote(decision, recorded_seconds)
        else:
            pinned = self._proposals.next(study.history, study.configs)
            _, config = study.ask(plan, pinned, recorded_seconds)
        self._submit(number, config)
        return True

    def _submit(self, number: int, config: Mapping[str, Scalar]) -> None:
        step = self._study.history.steps[number]
        trial, rung = step.trial, step.rung
        try:
            job = self._make_job(Point("trial", dict(config), "", trial), 0, (SEARCH,))
        except UserError as error:
            self._finish(number, Failure("configuration", str(error)))
            return
        if rung < len(self._rungs) - 1:  # the last rung is full length, and needs no checkpoint
            checkpoint = self._checkpoints.path(trial, rung)
            job = replace(job, until=self._rungs[rung], checkpoint=str(checkpoint))
        if rung:
            resume = self._checkpoints.path(trial, rung - 1)
            if resume.is_file():
                job = replace(job, resume=str(resume))
            else:
                self._progress.note(
                    f"trial {trial} is trained again from its beginning: its checkpoint is gone"
                )
        self._numbers[trial] = number
        self._executor.submit(job)

    def _finish(self, number: int, outcome: Outcome | Failure) -> None:
        self._study.finish(number, outcome)
        self._advance(self._size(number))

    def _task(self) -> AbstractContextManager[Advance]:
        done = sum(map(self._size, self._study.finished))
        if self._in_samples:
            return self._progress.task("search", self._plan.budget, "samples", done)
        return self._progress.task("trials", self._plan.trials, "trials", done)

    def _size(self, number: int) -> int:
        """A job's share of the progress: its training samples, or 1 where trials are counted."""
        if not self._in_samples:
            return 1
        return self._plan.rules.samples(self._study.history.steps[number].rung)
