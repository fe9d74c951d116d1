"""What is known of a search's trials: Optuna studies in `<folder>/study.log`, or in the database that the folder names.

They are the only source of truth. There are two: "search", whose trials are configurations, and "confirm", whose
trials are replicates and, numbered 0, the tries by which boosted trees are tuned.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial

from bench.errors import UserError
from bench.objectives import Objective
from bench.records import Failure, Outcome, Point, Replicate, Scalar, TrialRecord
from bench.search.attributes import asked_key, attributes_of, outcome_key, record_of, told_key, values_in
from bench.search.beginning import begun, create
from bench.search.ledger import Ledger, Step
from bench.search.lock import FolderLock
from bench.search.plan import SHARING, Opening, Plan
from bench.search.promotion import Promotion
from bench.search.replicates import as_trial, by_training, by_trial, of_others, of_tries
from bench.search.samplers import TPE, make_sampler, quiet
from bench.search.shown import shown
from bench.search.storage import JOURNAL as FILE
from bench.search.storage import Note, Storage, open_storage
from bench.search.trials import Trials
from bench.seeds import derive

__all__ = ["FILE", "Study"]


class Study:
    """The trials of one search. Made by `open` for a driver, by `read` for everyone else.

    A job takes a trial to its next rung, which is full length where there is but one. It is asked, then finished (its
    outcome is on disk), then told (what is decided from then on knows it). Jobs are asked and told in the order of
    their numbers; they finish in any order. Where a search has one rung, a job's number is its trial's.
    """

    def __init__(self, folder: Path, storage: Storage, lock: FolderLock | None) -> None:
        self.folder = folder
        self._kept = storage
        self._lock = lock
        self._load()

    @classmethod
    def open(cls, folder: Path, plan: Plan, note: Note = lambda text: None) -> Study:
        """The study that a driver works on: a new one, or the one that is there; locked until `close`.

        Args:
            note: told when a database stops answering, for which a while is waited.

        Raises:
            UserError: another driver works on it, it was begun with another plan, its file is damaged, or its database
                cannot be had.
        """
        lock = FolderLock(folder)
        storage: Storage | None = None
        try:
            storage = open_storage(folder, write=True, note=note)
            if storage.empty:
                create(storage, plan)
            study = cls(folder, storage, lock)
            identity = plan.identity()
            for key in dict.fromkeys([*identity, *study._plan]):
                if (before := study._plan.get(key)) != (value := identity.get(key)):
                    raise UserError(
                        f"{folder}: expected {key} = {before!r}, with which this run began, found {value!r}"
                    )
        except BaseException:
            if storage:
                storage.close()
            lock.release()
            raise
        return study

    @classmethod
    def read(cls, folder: Path) -> Study:
        """The study as it is now, without a lock and never changed.

        Raises:
            UserError: there is none, or its database cannot be had.
        """
        storage = begun(folder)
        if storage is None:
            raise UserError(f"{folder}: expected a run's folder with its {FILE}, found none")
        try:
            return cls(folder, storage, None)
        finally:
            storage.close()

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether there is one to read.

        Raises:
            UserError: its database cannot be had.
        """
        storage = begun(folder)
        if storage:
            storage.close()
        return storage is not None

    def close(self) -> None:
        """Lets the next driver in."""
        self._kept.close()
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def asked(self) -> int:
        """How many jobs there are, which is the next one's number."""
        return len(self.ledger.steps)

    @property
    def told(self) -> int:
        """Of how many jobs the outcome is known, which is the number of the next to be told."""
        return self.ledger.told

    @property
    def ladder(self) -> tuple[int, ...]:
        """Training samples at each rung; empty where every trial is trained to full length."""
        return tuple(self._plan.get("ladder", ()))

    @property
    def seconds(self) -> float:
        """What the search has taken so far, as far as it was kept."""
        return self._trials.seconds

    def configs(self) -> list[dict[str, Scalar]]:
        """Every trial's configuration."""
        return list(self._configs)

    def running(self) -> dict[int, dict[str, Scalar]]:
        """Configurations of the jobs without an outcome, by number."""
        return {number: self._configs[self.ledger.step(number).trial] for number in self.ledger.unfinished}

    def under_way(self) -> list[tuple[Step, float]]:
        """The jobs without an outcome, and when each was begun, in seconds since 1970; by number."""
        trials = list(self._trials)
        steps = map(self.ledger.step, self.ledger.unfinished)
        return [(step, trials[step.trial].user_attrs[asked_key(step.rung)].get("at", 0.0)) for step in steps]

    def ask(self, plan: Plan, opening: Opening | None, seconds: float | None = None) -> tuple[int, dict[str, Scalar]]:
        """Begins the next trial: its number and dotted configuration. All of it is on disk, or nothing.

        Args:
            seconds: what the search has taken so far, to be kept with it.
        """
        number = self.ledger.trials
        with self._transaction():
            self._search.sampler = make_sampler(plan.sampler, plan.seed, number, self._common)
            if opening:
                self._search.enqueue_trial(opening.params)
            trial = self._search.ask()
            with self._storage.showing(self._shown(plan, number)):
                config = plan.space.suggest(trial, plan.tasks)
            trial.set_user_attr("config", config)
            trial.set_user_attr("architecture", plan.name(config))
            trial.set_user_attr("baseline", bool(opening and opening.baseline))
            trial.set_user_attr(asked_key(0), {"order": self.asked, "floor": False, "at": time.time()})
            self._trials.go_on(seconds)
        self._configs.append(config)
        self.ledger.ask(Step(number, 0), str(config.get(SHARING, "?")))
        return number, config

    def promote(self, promotion: Promotion, seconds: float | None = None) -> dict[str, Scalar]:
        """Begins a trial's next job; gives its configuration. `seconds` as in `ask`."""
        with self._transaction():
            begun = {"order": self.asked, "floor": promotion.floor, "at": time.time()}
            self._trials.set(promotion.trial, asked_key(promotion.rung), begun)
            self._trials.go_on(seconds)
        self.ledger.ask(Step(promotion.trial, promotion.rung, promotion.floor), "")
        return self._configs[promotion.trial]

    def finish(self, number: int, outcome: Outcome | Failure) -> None:
        """Keeps what became of a job, before anything that is decided may know it.

        A result without a finite value for every objective counts as a failure; its measurements are kept.
        """
        step = self.ledger.step(number)
        with self._transaction():
            self._trials.set(step.trial, outcome_key(step.rung), attributes_of(outcome, self.objectives))
        self.ledger.finish(number)

    def is_finished(self, number: int) -> bool:
        """Whether a job has an outcome."""
        return number in self.ledger.finished

    def tell(self, number: int) -> TrialRecord:
        """Lets what is decided from now on know the outcome of a finished job; gives its trial's record.

        Optuna is told where it is the trial's last: at full length, or a failure.
        """
        step = self.ledger.step(number)
        values = values_in(self._trials[step.trial].user_attrs[outcome_key(step.rung)], self.objectives)
        results = self.ledger.standing(step.trial).results + (() if values is None else (values,))
        with self._transaction():
            self._trials.set(step.trial, told_key(step.rung), True)
            if values is None or step.rung + 1 >= len(self.ladder):
                self._trials.conclude(step.trial, results)
        self.ledger.tell(number, values)
        return self.record(step.trial)

    @property
    def concluded(self) -> bool:
        """Whether the search by rungs has ended, so that no trial goes on unless the search does."""
        return self._trials.over

    def conclude(self) -> None:
        """Ends a search: Optuna is told of the trials that stay below full length, with their last values.

        The next job that is begun opens it again, and these trials wait as before.
        """
        if not self.ladder or self.concluded:
            return
        with self._transaction():
            for standing in self.ledger.standings():
                if standing.progress == "waiting":
                    self._trials.conclude(standing.number, standing.results)
            self._trials.end()

    @property
    def cut_short(self) -> bool:
        """Whether the time limit ended the search, which would have gone on otherwise."""
        return self._trials.cut_short

    def rest(self, seconds: float, cut_short: bool) -> None:
        """Keeps what the search has taken when nothing is left to begin, and whether the time limit is why."""
        with self._transaction():
            self._trials.rest(seconds, cut_short)

    def add_replicate(self, outcome: Outcome) -> None:
        """Keeps what became of a retraining."""
        with self._transaction():
            self._confirm.add_trial(as_trial(outcome, self.objectives))

    def replicates(self) -> dict[str, tuple[Replicate, ...]]:
        """Replicates by `Point.training`, in their own order."""
        return by_training(self._confirm.get_trials(deepcopy=False))

    def baselines(self) -> list[Point]:
        """Points that are no trials, the current point among them, see `bench.search.replicates.of_others`."""
        return of_others(self._confirm.get_trials(deepcopy=False))

    def tries(self) -> list[tuple[dict[str, Scalar], dict[str, float]]]:
        """What baselines were tuned by, see `bench.search.replicates.of_tries`."""
        return of_tries(self._confirm.get_trials(deepcopy=False))

    def record(self, number: int) -> TrialRecord:
        """All that is known of one trial."""
        own = by_trial(self._confirm.get_trials(deepcopy=False)).get(number, ())
        return record_of(self._trials[number], own, self.ladder, self.concluded)

    def records(self) -> list[TrialRecord]:
        """All that is known of every trial, by number."""
        replicates, over = by_trial(self._confirm.get_trials(deepcopy=False)), self.concluded
        return [record_of(trial, replicates.get(trial.number, ()), self.ladder, over) for trial in self._trials]

    def _shown(self, plan: Plan, number: int) -> list[FrozenTrial] | None:
        """A part of the study for TPE, because it looks at all that it sees many times over; None for the others."""
        if plan.sampler != TPE:
            return None
        seed = derive(plan.seed, "shown", number)
        return [self._trials[each] for each in shown(self.ledger.standings(), self.objectives, seed)]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with quiet(), self._kept.transaction():
                yield
        except BaseException:
            with suppress(UserError):  # a database that is gone; the first error is the one to report
                self._load()  # what was held back is not kept: forget it here, too
            raise

    def _load(self) -> None:
        with quiet():
            self._storage = self._kept.load()
            self._search = optuna.load_study(study_name="search", storage=self._storage, sampler=RandomSampler())
            self._confirm = optuna.load_study(study_name="confirm", storage=self._storage, sampler=RandomSampler())
        self._common = IntersectionSearchSpace()
        self._search_id = self._storage.get_study_id_from_name("search")
        self._trials = Trials(self._storage, self._search_id)
        self._plan: dict[str, Any] = self._search.user_attrs["plan"]
        self.objectives = tuple(Objective(name, direction) for name, direction in self._plan["objectives"])
        trials = list(self._trials)
        self._configs: list[dict[str, Scalar]] = [trial.user_attrs["config"] for trial in trials]
        self.ledger = Ledger.of(trials, self.objectives)
