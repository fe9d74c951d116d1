"""The progress of a run, read from its log, and the time left: of the search and of all stages
after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

from bench.app.runs.folder import PICK, DatasetRun
from bench.app.runs.search_limits import ended, most_epochs, spent_of
from bench.app.runs.suite import Confirm, Suite
from bench.core.errors import listed
from bench.core.records import TRAINED, Failure, Point, RungResult, TrialRecord
from bench.core.system.lock import is_held
from bench.core.system.progress import Advance, Progress, Work, duration
from bench.data import Store
from bench.deciding.words.verdict import ACRONYMS
from bench.ledger.heads import front_volume
from bench.models.training.teacher import trainings_left
from bench.search.confirm.baselines import LEAST_TRIES, tries_of
from bench.search.driver import Checkpoints
from bench.search.plan import SHARING
from bench.search.space import Space
from bench.search.study import Study

SERVING = 8.0
"""Seconds to draw the served front, write the page and end MLflow, for a data set of 100,000 rows
on one core.
"""
REPLICATE = 1.2
"""A replicate over a training of the search: it is measured on two more splits and on resamples of
both.
"""
TREES = 6.0
"""Passes of a network over train that take as long as a training of boosted trees."""


class Pace:
    """The duration of a training of full length, estimated from the jobs of the search so far.

    The first job of a worker also imports and compiles, for up to half a minute. So it counts only
    while there is no other.

    Args:
        ladder: training samples at each rung; with one rung or none, every trial is trained to full
            length.
        workers: how many began at the same time.
    """

    def __init__(
        self, ladder: Sequence[int], workers: int, records: Sequence[TrialRecord] = ()
    ) -> None:
        self._full = ladder[-1] if len(ladder) > 1 else 1
        self._by_rungs = len(ladder) > 1
        self._workers = workers
        self._jobs: dict[int, _Job] = {}
        for record in records:
            self.add(record)

    def add(self, record: TrialRecord) -> None:
        """Take in what a trial has come to by now."""
        rungs = record.rungs
        if not self._by_rungs:
            whole = RungResult(self._full, record.number, {}, record.seconds)
            rungs = (whole,) if record.measured else ()
        begin = 0
        for rung in rungs:
            self._jobs[rung.order] = _Job(record.number, rung.seconds, begin, rung.samples)
            begin = rung.samples

    @property
    def full_length(self) -> float | None:
        """Seconds of one training to full length on one worker; None before the first result.

        The median over the jobs that trained furthest: short jobs cost more for each sample.
        """
        jobs = self._usual()
        if not jobs:
            return None
        longest = max(job.end for job in jobs)
        rates = [job.seconds / job.samples for job in jobs if job.end == longest]
        return median(rates) * self._full

    def search(self, remaining: Mapping[str, float]) -> float | None:
        """Seconds on one worker until the first limit; None before the first result, or without a
        limit.

        Args:
            remaining: of `trials` and of `samples`, where there is such a limit.
        """
        jobs = self._usual()
        busy = sum(job.seconds for job in jobs)
        done = {
            "trials": len({job.trial for job in jobs}),
            "samples": sum(job.samples for job in jobs),
        }
        estimates = []
        for key, amount in remaining.items():
            if done[key]:
                estimates.append(busy * max(0.0, amount) / done[key])
        return min(estimates, default=None)

    def _usual(self) -> list[_Job]:
        timed, later = [], []
        for order, job in self._jobs.items():
            if job.seconds:
                timed.append(job)
                if order >= self._workers:
                    later.append(job)
        return later or timed


class _Job(NamedTuple):
    """What a job trained: from `begin` to `end` samples of its trial."""

    trial: int
    seconds: float
    begin: int
    end: int

    @property
    def samples(self) -> int:
        return self.end - self.begin


class After:
    """The duration of the stages after the search, and of the search's teacher, in trainings of
    full length.

    Args:
        space: of the run, for its kinds of sharing and its passes.
        lengths: the budget of the search in full lengths.
        store: where a teacher's predictions are; None where the data are gone.
    """

    def __init__(
        self, suite: Suite, space: Space, lengths: float, store: Store | None = None
    ) -> None:
        confirm = suite.confirm
        kinds = max(1, len(space.branches(SHARING)))
        replicates = confirm.replicates
        trees = TREES / most_epochs(space)
        grows_trees = "trees" in confirm.baselines and replicates > 0
        twins = 0.0  # see `bench.search.confirm.twins`
        if "single_task" in confirm.baselines and replicates > 0 and kinds > 1:
            twins = min(confirm.limit, max(1.0, lengths / kinds))

        self.tuning = trees * tries_of(lengths, kinds) if grows_trees else 0.0
        self.tuning += LEAST_TRIES * confirm.static
        self.tuning += twins

        trainings = _replicates_of_points(confirm, kinds)
        trainings += replicates * _networks_among(confirm.baselines)
        if twins:  # of the best one
            trainings += replicates
        trainings += replicates * confirm.static
        self.confirming = REPLICATE * trainings
        if grows_trees:
            self.confirming += REPLICATE * trees * replicates

        self._trees = trees
        self._distils = ("loss.kind", "distilled") in space.values()
        self._store = store

    def seconds(
        self, pace: Pace, workers: int, stages: Sequence[str], replicates: int = 0
    ) -> float:
        """Seconds that these stages take: `teaching`, `tuning`, `confirming`, `serving`.

        Args:
            replicates: how many are there already.
        """
        lengths = 0.0
        if "tuning" in stages:
            lengths += self.tuning
        if "confirming" in stages:
            lengths += max(0.0, self.confirming - REPLICATE * replicates)
        # the first training of `distilled` waits for its teacher
        if "teaching" in stages and self._distils and self._store is not None:
            lengths += self._trees * trainings_left(self._store)
        seconds = lengths * (pace.full_length or 0.0) / workers
        return seconds + SERVING if "serving" in stages else seconds


def _replicates_of_points(confirm: Confirm, kinds: int) -> int:
    """Of the shortlist, and of the best point of each kind of sharing where these are wanted."""
    if not confirm.replicates:
        return 0
    of_kinds = confirm.replicates * (kinds - 1) if confirm.kinds else 0
    return confirm.replicates_in_all + of_kinds


def _networks_among(baselines: Sequence[str]) -> int:
    return sum(kind in baselines and kind not in ("trees", "blend") for kind in TRAINED)


class WithLater(Progress):
    """Progress whose time left includes the stages after the task.

    Args:
        later: seconds that later stages take, as far as is known by now.
    """

    def __init__(self, progress: Progress, later: Callable[[], float]) -> None:
        self._progress = progress
        self._later = later

    def show(self, work: Work) -> AbstractContextManager[Advance]:
        """The work, with what follows it."""
        return self._progress.show(replace(work, later=work.later or self._later))

    def note(self, text: str) -> None:
        """A line for the user."""
        self._progress.note(text)


STATES = ("completed", "running", "failed", "pruned", "waiting")


def status_of(run: DatasetRun) -> dict[str, Any]:
    """Counts by state, failures with their reasons, what of the space is left out and why, and how
    far it has come.
    """
    study = Study.read(run.folder) if Study.exists(run.folder) else None
    records = study.records() if study else []
    states = Counter[str](record.state for record in records)
    counts: dict[str, Any] = {state: states[state] for state in STATES}
    counts["total"] = run.run.suite.budget.trials or len(records)
    counts["replicates"] = sum(len(record.replicates) for record in records)
    counts["failures"] = _failures(records, study.baselines() if study else ())
    counts["left_out"] = dict(run.fitted().left_out)
    counts["search"] = _search_of(run, study, records) if study else {}
    return counts


def _failures(records: Sequence[TrialRecord], baselines: Sequence[Point]) -> list[dict[str, Any]]:
    """Of trials, then of their replicates, then of those of baselines."""
    failures: list[tuple[int | str, Failure | None]] = []
    for record in records:
        failures.append((record.number, record.failure))
    for record in records:
        for replicate in record.replicates:
            failures.append((record.number, replicate.failure))
    for point in baselines:
        for replicate in point.replicates:
            failures.append((point.id, replicate.failure))
    documents = []
    for trial, failure in failures:
        if failure:
            documents.append({"trial": trial, "kind": failure.kind, "reason": failure.reason})
    return documents


def has_ended(status: Mapping[str, Any]) -> bool:
    """Whether a data set's part has come to its end."""
    return bool(status["search"]) and status["search"]["left"] == 0


def in_words(status: Mapping[str, Any]) -> str:
    """How far a data set's part is, the time left, and what is being trained, as sentences."""
    search = status["search"]
    if not search:
        return "nothing is trained yet."
    rungs = [rung["trials"] for rung in search["rungs"]] or [status["completed"]]
    words = f"{rungs[0]} trials have a result"
    if len(rungs) > 1:
        words += f", {rungs[-1]} of them at full length"
    words += f"; {status['replicates']} replicates are trained"
    if search["left"]:
        words += f"; about {duration(search['left'])} left"
    begun: dict[int, str] = {}
    for job in search["begun"]:
        kind = ACRONYMS.get(job["sharing"], job["sharing"].replace("_", "-"))
        begun[job["trial"]] = f"trial {job['trial']} ({kind})"
    if begun:
        words += f". Now it trains {listed([*begun.values()])}"
    elif search["ended"]:
        words += ". Now it trains the best models again on fresh seeds"
    return f"{words}."


def _search_of(run: DatasetRun, study: Study, records: Sequence[TrialRecord]) -> dict[str, Any]:
    """By rung and by sharing kind what has a result; what is under way and since when; what is used
    and left.
    """
    budget = run.run.suite.budget
    ladder = study.ladder
    spent, counts = spent_of(run, study)
    used: dict[str, Any] = spent | {"seconds": study.seconds}
    limits: dict[str, Any] = counts | {"seconds": budget.time}
    shares: dict[str, float] = {}
    for key, limit in limits.items():
        if limit:
            shares[key] = min(1.0, used[key] / limit)
    over = study.concluded or study.cut_short
    if not over and shares.get("trials") == 1 and not ladder:
        over = not study.under_way()
    left: float | None = 0.0
    if not _finished(run, study, over):
        left = _left(run, study, records, used, {} if over else limits)
    reached = [len(record.rungs) if ladder else int(record.measured) for record in records]
    at_rungs = []
    for rung, samples in enumerate(ladder):
        trials = sum(rungs > rung for rungs in reached)
        at_rungs.append({"samples": samples, "trials": trials})
    return {
        "rungs": at_rungs,
        "kinds": _reached_by_kind(records, reached, max(1, len(ladder))),
        "begun": _under_way(study, records),
        "failures": dict(Counter(record.failure.kind for record in records if record.failure)),
        "samples": {"used": used["samples"], "budget": limits["samples"]},
        "seconds": {"used": used["seconds"], "budget": limits["seconds"]},
        "checkpoints": _checkpoints(run),
        "share": max(shares.values(), default=0.0),
        "left": left,
        "hypervolume": front_volume(records, run.objectives, run.dataset.reference),
        "ended": ended(run, study) if over else "",
    }


def _finished(run: DatasetRun, study: Study, search_is_over: bool) -> bool:
    if not search_is_over or not (run.folder / PICK).is_file():
        return False
    return study.confirmed and not is_held(run.run.folder)


def _reached_by_kind(
    records: Sequence[TrialRecord], reached: Sequence[int], rungs: int
) -> dict[str, list[int]]:
    """By kind of sharing, how many trials have a result at each rung."""
    counts: dict[str, list[int]] = {}
    for record, results in zip(records, reached, strict=True):
        of_kind = counts.setdefault(record.sharing, [0] * rungs)
        for rung in range(min(results, rungs)):
            of_kind[rung] += 1
    return counts


def _under_way(study: Study, records: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    jobs = []
    for step, since in study.under_way():
        jobs.append(
            {
                "trial": step.trial,
                "sharing": records[step.trial].sharing,
                "to": study.ladder[step.rung] if study.ladder else None,
                "since": since,
            }
        )
    return jobs


def _checkpoints(run: DatasetRun) -> dict[str, Any]:
    trials, size = Checkpoints(run.folder).used()
    options = run.run.suite.search
    limit = round(options.checkpoint_gb * 1e9) if options.by_rungs else None
    return {"trials": trials, "bytes": size, "limit": limit}


def _left(
    run: DatasetRun,
    study: Study,
    records: Sequence[TrialRecord],
    used: dict[str, Any],
    limits: dict[str, Any],
) -> float | None:
    """Seconds until the run has ended, all stages after the search included; None where no job has
    ended yet.

    Args:
        limits: of the search; empty where it is over.
    """
    workers = run.run.request.workers
    pace = Pace(study.ladder, workers, records)
    if pace.full_length is None:
        return None
    search = 0.0
    lengths = 0.0
    stages = ["confirming", "serving"]
    if limits:
        stages += ["tuning", "teaching"]
        search = _left_of_search(pace, workers, used, limits)
        lengths = limits["trials"] or 0
        if study.ladder:
            lengths = (limits["samples"] or 0) / study.ladder[-1]
    elif not study.tries:
        stages.append("tuning")
    after = After(run.run.suite, run.fitted().space, lengths, run.store)
    replicates = sum(map(len, study.replicates().values()))
    return search + after.seconds(pace, workers, stages, replicates)


def _left_of_search(
    pace: Pace, workers: int, used: Mapping[str, Any], limits: Mapping[str, Any]
) -> float:
    remaining = {}
    for key in ("trials", "samples"):
        if limits[key]:
            remaining[key] = limits[key] - used[key]
    estimates = []
    seconds = pace.search(remaining)
    if seconds is not None:
        estimates.append(seconds / workers)
    if limits["seconds"]:
        estimates.append(max(0.0, limits["seconds"] - used["seconds"]))
    return min(estimates, default=0.0)
