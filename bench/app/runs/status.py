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
from bench.app.runs.limits import ended, most_epochs, spent_of
from bench.app.runs.suite import Suite
from bench.core.errors import listed
from bench.core.records import TRAINED, Failure, RungResult, TrialRecord
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
        whole = RungResult(self._full, record.number, {}, record.seconds)
        rungs = record.rungs if self._by_rungs else (whole,) * record.measured
        begins = [0, *(rung.samples for rung in rungs)]
        for rung, begin in zip(rungs, begins, strict=False):
            self._jobs[rung.order] = _Job(record.number, rung.seconds, begin, rung.samples)

    @property
    def full_length(self) -> float | None:
        """Seconds of one training to full length on one worker; None before the first result.

        The median over the jobs that trained furthest: short jobs cost more for each sample.
        """
        jobs = self._usual()
        longest = max((job.end for job in jobs), default=0)
        rates = [job.seconds / (job.end - job.begin) for job in jobs if job.end == longest]
        return median(rates) * self._full if rates else None

    def search(self, left: Mapping[str, float]) -> float | None:
        """Seconds on one worker until the first limit; None before the first result, or without a
        limit.

        Args:
            left: of `trials` and of `samples`, where there is such a limit.
        """
        jobs = self._usual()
        busy = sum(job.seconds for job in jobs)
        done = {
            "trials": len({job.trial for job in jobs}),
            "samples": sum(job.end - job.begin for job in jobs),
        }
        estimates = [
            busy * max(0.0, amount) / done[key] for key, amount in left.items() if done[key]
        ]
        return min(estimates, default=None)

    def _usual(self) -> list[_Job]:
        timed = {order: job for order, job in self._jobs.items() if job.seconds}
        return [job for order, job in timed.items() if order >= self._workers] or list(
            timed.values()
        )


class _Job(NamedTuple):
    """What a job trained: from `begin` to `end` samples of its trial."""

    trial: int
    seconds: float
    begin: int
    end: int


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
        confirm, kinds = suite.confirm, max(1, len(space.branches(SHARING)))
        tries, trees = tries_of(lengths, kinds), TREES / most_epochs(space)
        grown = "trees" in confirm.baselines and confirm.replicates > 0
        extra = confirm.replicates * (kinds - 1 if confirm.kinds else 0)
        own = confirm.replicates_in_all + extra if confirm.replicates else 0
        others = (
            sum(kind in confirm.baselines and kind not in ("trees", "blend") for kind in TRAINED)
            * confirm.replicates
        )
        with_twins = "single_task" in confirm.baselines and confirm.replicates > 0 and kinds > 1
        # see `bench.search.confirm.twins`
        twins = min(confirm.limit, max(1.0, lengths / kinds)) if with_twins else 0.0
        others += confirm.replicates * with_twins  # of the best one
        self.tuning = trees * tries * grown + LEAST_TRIES * confirm.static + twins
        self.confirming = REPLICATE * (own + others + confirm.static * confirm.replicates)
        self.confirming += REPLICATE * trees * confirm.replicates * grown
        self._trees = trees
        self._taught = store if ("loss.kind", "distilled") in space.values() else None

    def seconds(self, pace: Pace, workers: int, stages: Sequence[str], known: int = 0) -> float:
        """Seconds that these stages take: `teaching`, `tuning`, `confirming`, `serving`.

        Args:
            known: replicates that are there already.
        """
        lengths = {
            "tuning": self.tuning,
            "confirming": max(0.0, self.confirming - REPLICATE * known),
        }
        if (
            "teaching" in stages and self._taught is not None
        ):  # the first training of `distilled` waits for its teacher
            lengths["teaching"] = self._trees * trainings_left(self._taught)
        trained = (
            sum(lengths.get(stage, 0.0) for stage in stages) * (pace.full_length or 0.0) / workers
        )
        return trained + (SERVING if "serving" in stages else 0.0)


class WithLater(Progress):
    """Progress whose time left includes the stages after the task.

    Args:
        later: seconds that later stages take, as far as is known by now.
    """

    def __init__(self, progress: Progress, later: Callable[[], float]) -> None:
        self._progress, self._later = progress, later

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
    counts: dict[str, Any] = {
        state: sum(record.state == state for record in records) for state in STATES
    }
    counts["total"] = run.run.suite.budget.trials or len(records)
    counts["replicates"] = sum(len(record.replicates) for record in records)
    failures: list[tuple[int | str, Failure | None]] = [
        (each.number, each.failure) for each in records
    ]
    failures += [(record.number, run.failure) for record in records for run in record.replicates]
    failures += [
        (point.id, run.failure)
        for point in (study.baselines() if study else ())
        for run in point.replicates
    ]
    counts["failures"] = [
        {"trial": number, "kind": f.kind, "reason": f.reason} for number, f in failures if f
    ]
    counts["left_out"] = dict(run.fitted().left_out)
    counts["search"] = _search_of(run, study, records) if study else {}
    return counts


def in_words(status: Mapping[str, Any]) -> str:
    """How far a data set's part is, the time left, and what is being trained, as sentences."""
    search = status["search"]
    if not search:
        return "nothing is trained yet."
    rungs = [rung["trials"] for rung in search["rungs"]] or [status["completed"]]
    full = f", {rungs[-1]} of them at full length" if len(rungs) > 1 else ""
    left = f"; about {duration(search['left'])} left" if search["left"] else ""
    kinds = {
        job["trial"]: ACRONYMS.get(job["sharing"], job["sharing"].replace("_", "-"))
        for job in search["begun"]
    }
    jobs = [f"trial {number} ({kind})" for number, kind in kinds.items()]
    now = (
        f" Now it trains {listed(jobs)}."
        if jobs
        else " Now it trains the best models again on fresh seeds."
    )
    now = now if jobs or search["ended"] else ""
    return (
        f"{rungs[0]} trials have a result{full}; {status['replicates']} replicates are "
        f"trained{left}.{now}"
    )


def _search_of(run: DatasetRun, study: Study, records: Sequence[TrialRecord]) -> dict[str, Any]:
    """By rung and by sharing kind what has a result; what is under way and since when; what is used
    and left.
    """
    budget, ladder = run.run.suite.budget, study.ladder
    reached = [len(record.rungs) if ladder else int(record.measured) for record in records]
    kinds = dict.fromkeys(record.sharing for record in records)
    objectives = run.objectives
    spent, most = spent_of(run, study)
    used, limits = spent | {"seconds": study.seconds}, most | {"seconds": budget.time}
    shares = {key: min(1.0, used[key] / limit) for key, limit in limits.items() if limit}
    (kept, taken), options = Checkpoints(run.folder).used(), run.run.suite.search
    most_kept = round(options.checkpoint_gb * 1e9) if options.by_rungs else None
    over = (
        study.concluded
        or study.cut_short
        or (shares.get("trials") == 1 and not ladder and not study.under_way())
    )
    finished = (
        over and (run.folder / PICK).is_file() and study.confirmed and not is_held(run.run.folder)
    )
    return {
        "rungs": [
            {"samples": length, "trials": sum(each > rung for each in reached)}
            for rung, length in enumerate(ladder)
        ],
        "kinds": {
            kind: [
                sum(
                    each > rung
                    for record, each in zip(records, reached, strict=True)
                    if record.sharing == kind
                )
                for rung in range(max(1, len(ladder)))
            ]
            for kind in kinds
        },
        "begun": [
            {
                "trial": step.trial,
                "sharing": records[step.trial].sharing,
                "to": ladder[step.rung] if ladder else None,
                "since": since,
            }
            for step, since in study.under_way()
        ],
        "failures": dict(Counter(record.failure.kind for record in records if record.failure)),
        **{key: {"used": used[key], "budget": limits[key]} for key in ("samples", "seconds")},
        "checkpoints": {"trials": kept, "bytes": taken, "limit": most_kept},
        "share": max(shares.values(), default=0.0),
        "left": 0.0 if finished else _left(run, study, records, used, {} if over else limits),
        "hypervolume": front_volume(records, objectives, run.dataset.reference),
        "ended": ended(run, study) if over else "",
    }


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
    if limits:
        open_ = {key: limits[key] - used[key] for key in ("trials", "samples") if limits[key]}
        estimates = [] if (seconds := pace.search(open_)) is None else [seconds / workers]
        estimates += [max(0.0, limits["seconds"] - used["seconds"])] if limits["seconds"] else []
        search = min(estimates, default=0.0)
    space = run.fitted().space
    lengths = (
        (limits.get("samples") or 0) / study.ladder[-1]
        if study.ladder
        else limits.get("trials") or 0
    )
    known = sum(map(len, study.replicates().values()))
    stages = (
        ["confirming", "serving"]
        if study.tries and not limits
        else ["tuning", "confirming", "serving"]
    )
    stages += ["teaching"] if limits else []
    return search + After(run.run.suite, space, lengths, run.store).seconds(
        pace, workers, stages, known
    )
