"""A search's trials and replicates, read from the log in its folder."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import Failure, Outcome, Point, Replicate, Scalar, TrialRecord
from bench.core.system.lock import FolderLock
from bench.ledger.points import TWIN
from bench.search.log import (
    FILE,
    Event,
    Log,
    many_objects,
    outcome_event,
    points_beside_trials,
    record_of,
    replicate_event,
    replicates_in,
    training_in,
    values_in,
)
from bench.search.plan import SHARING, SINGLE_TASK, SearchPlan, kind_of_trial
from bench.search.samplers import ask
from bench.search.standing import JobHistory, RungStep


class Study(AbstractContextManager["Study"]):
    """The trials of one search; created by `open` for a driver, by `read` for everyone else.

    A job takes a trial to its next rung, or to full length if there is one rung. It is asked, then
    finished (its outcome is on disk), then recorded (later decisions use it). Jobs are asked and
    recorded in the order of their numbers, but finish in any order. In a search with one rung, a
    job's number is its trial's. Each of these is an event of the log: first on disk, then applied
    here.

    Attributes:
        configs: configuration of every trial.
        tries: tuning of baselines: `Point.training` -> metrics on validation, empty for a failed
            try.
        seconds: duration of the search so far, as last recorded.
        concluded: whether the search by rungs has ended, so that no trial continues unless the
            search does.
        cut_short: whether the time limit ended the search.
        confirmed: whether the confirmation has ended, with no event since.
    """

    def __init__(
        self, folder: Path, log: Log, lock: FolderLock | None = None, plan: SearchPlan | None = None
    ) -> None:
        self.folder = folder
        self.history = JobHistory()
        self.configs: list[dict[str, Scalar]] = []
        self.tries: dict[str, dict[str, float]] = {}
        self.objectives: tuple[Objective, ...] = ()
        self.seconds, self.concluded, self.cut_short, self.confirmed = 0.0, False, False, False
        self._log, self._lock = log, lock
        self._identity = plan.identity() if plan else None
        self._plan: dict[str, Any] = {}
        self._asked: list[list[Event]] = []
        self._outcomes: dict[int, Event] = {}
        self._replicates: dict[str, list[Event]] = {}  # by training
        with many_objects():
            for event in log.take():
                self._apply(event)
        if self._identity and not self._plan:
            self._add("begun", plan=self._identity)

    @classmethod
    def open(cls, folder: Path, plan: SearchPlan) -> Study:
        """Opens or creates the study for a driver; locked until `close`.

        Raises:
            UserError: another driver works on it, it was started with another plan, or its log is
                damaged.
        """
        lock = FolderLock(folder)
        try:
            return cls(folder, Log(folder, write=True), lock, plan)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Reads the current study without a lock; raises UserError if there is none, or its log is
        damaged.
        """
        if not cls.exists(folder):
            raise UserError(f"{folder}: expected a run's folder with its {FILE}, found none")
        return cls(folder, Log(folder))

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether the folder has a study."""
        return (folder / FILE).is_file()

    def close(self) -> None:
        """Releases the lock."""
        if self._lock:
            self._lock.release()

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def asked(self) -> int:
        """Number of jobs, so the next one's number."""
        return len(self.history.steps)

    @property
    def told(self) -> int:
        """Number of jobs with a recorded outcome, so the next one to record."""
        return self.history.told

    @property
    def finished(self) -> Collection[int]:
        """Numbers of the jobs with an outcome."""
        return self._outcomes.keys()

    @property
    def ladder(self) -> tuple[int, ...]:
        """Training samples at each rung; empty where every trial is trained to full length."""
        return tuple(self._plan.get("ladder", ()))

    def running(self) -> dict[int, dict[str, Scalar]]:
        """Configurations of the jobs without an outcome, by number."""
        unfinished = sorted(set(range(self.asked)) - set(self.finished))
        return {number: self.configs[self.history.steps[number].trial] for number in unfinished}

    def under_way(self) -> list[tuple[RungStep, float]]:
        """The jobs without an outcome and their starts, in seconds since 1970; by number."""
        steps = [self.history.steps[number] for number in self.running()]
        return [(step, self._asked[step.trial][step.rung]["at"]) for step in steps]

    def ask(
        self, plan: SearchPlan, pinned: Mapping[str, Scalar], seconds: float | None = None
    ) -> tuple[int, dict[str, Scalar]]:
        """Starts the next trial, with `pinned` parameters; returns its number and dotted
        configuration.

        It is on disk completely or not at all, with the duration of the search so far (`seconds`).
        """
        number = self.history.trials
        trials = [asked[0] for asked in self._asked]
        proposal = ask(plan, pinned, trials, self.history.standings)
        baseline = number < len(plan.openings) and proposal["config"].get(SHARING) == SINGLE_TASK
        self._begin(RungStep(number, 0), seconds, baseline=baseline, **proposal)
        return number, self.configs[number]

    def promote(self, step: RungStep, seconds: float | None = None) -> dict[str, Scalar]:
        """Starts a trial's next job; returns its configuration. `seconds` as in `ask`."""
        self._begin(step, seconds)
        return self.configs[step.trial]

    def finish(self, number: int, outcome: Outcome | Failure) -> None:
        """Stores the outcome of a job, before any decision uses it; see `outcome_event`."""
        self._add("outcome", job=number, **outcome_event(outcome, self.objectives))

    def tell(self, number: int) -> TrialRecord:
        """Records the outcome of a finished job for later decisions; returns its trial's record."""
        self._add("told", job=number)
        return self.record(self.history.steps[number].trial)

    def conclude(self) -> None:
        """Ends a search by rungs; starting another job reopens it, and trials wait as before."""
        if self.ladder and not self.concluded:
            self._add("concluded")

    def rest(self, seconds: float, cut_short: bool) -> None:
        """Records the duration of a search that has nothing to start, and whether the time limit is
        the reason.
        """
        self._add("rest", seconds=seconds, cut_short=cut_short)

    def end_confirmation(self) -> None:
        """Records the end of the confirmation, valid until the next event."""
        if not self.confirmed:
            self._add("confirmed")

    def add_replicate(self, outcome: Outcome) -> None:
        """Stores the outcome of a retraining."""
        self._add("replicate", **replicate_event(outcome, self.objectives))

    def replicates(self) -> dict[str, tuple[Replicate, ...]]:
        """Replicates by `Point.training`."""
        return {training: replicates_in(events) for training, events in self._replicates.items()}

    def baselines(self) -> list[Point]:
        """Points that are no trials, the current point among them, see
        `bench.search.log.points_beside_trials`.
        """
        groups = [events for events in self._replicates.values() if events[0]["trial"] is None]
        baselines = []
        for point in points_beside_trials(groups):
            if point.kind == TWIN:
                metrics = self.tries.get(point.training, {})
                baselines.append(replace(point, metrics=metrics))
            else:
                baselines.append(point)
        return baselines

    def record(self, number: int) -> TrialRecord:
        """The record of one trial."""
        asked = self._asked[number]
        done = [self._outcomes[event["job"]] for event in asked if event["job"] in self._outcomes]
        replicates: list[Event] = []
        for events in self._replicates.values():
            if events[0]["trial"] == number:
                replicates += events
        return record_of(asked, done, replicates_in(replicates), self.ladder, self.concluded)

    def records(self) -> list[TrialRecord]:
        """The records of all trials, by number."""
        with many_objects():
            return [self.record(number) for number in range(self.history.trials)]

    def _check_identity(self) -> None:
        """Refuses another plan than the one that the log began with."""
        logged = self._plan
        identity = logged if self._identity is None else self._identity
        for key in [*identity, *logged]:
            if logged.get(key) != identity.get(key):
                raise UserError(
                    f"{self.folder}: expected {key} = {logged.get(key)!r}, with which this run "
                    f"began, found {identity.get(key)!r}"
                )

    def _begin(self, step: RungStep, seconds: float | None, **trial: Any) -> None:
        seconds = self.seconds if seconds is None else seconds
        self._add("asked", job=self.asked, **asdict(step), seconds=seconds, **trial)

    def _add(self, name: str, **fields: Any) -> None:
        self._apply(self._log.append({"event": name, "at": time.time(), **fields}))

    def _apply(self, event: Event) -> None:
        """Applies an event, the same from the driver as from the log."""
        self.confirmed = event["event"] == "confirmed"
        match event["event"]:
            case "begun":
                self._plan = event["plan"]
                self._check_identity()
                self.objectives = tuple(
                    Objective(name, direction) for name, direction in self._plan["objectives"]
                )
            case "asked":
                step = RungStep(event["trial"], event["rung"], event["floor"])
                if step.rung == 0:
                    self._asked.append([])
                    self.configs.append(event["config"])
                self._asked[step.trial].append(event)
                self.history.ask(step, kind_of_trial(self.configs[step.trial]))
                self.seconds, self.concluded, self.cut_short = event["seconds"], False, False
            case "outcome":
                self._outcomes[event["job"]] = event
            case "told":
                self.history.tell(values_in(self._outcomes[event["job"]], self.objectives))
            case "replicate":
                if event["replicate"]:
                    self._replicates.setdefault(training_in(event), []).append(event)
                else:
                    self.tries[training_in(event)] = event["metrics"]
            case "rest":
                self.seconds, self.cut_short = event["seconds"], event["cut_short"]
            case "concluded":
                self.concluded = True
