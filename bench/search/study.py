"""What is known of a search's trials: Optuna studies in `<folder>/study.log`, the only source of truth.

The journal holds two of them: "search", whose trials are configurations, and "confirm", whose trials are replicates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from bench.errors import UserError
from bench.objectives import Objective
from bench.records import Failure, Outcome, Replicate, Scalar, TrialRecord
from bench.search.attributes import attributes_of, failure_in, is_finished, record_of, values_in
from bench.search.journal import Journal
from bench.search.lock import FolderLock
from bench.search.plan import Opening, Plan
from bench.search.samplers import make_sampler, quiet

FILE = "study.log"


class Study:
    """The trials of one search. Made by `open` for a driver, by `read` for everyone else.

    A trial is asked, then finished (its outcome is on disk), then told (the sampler knows). Trials are asked and told
    in the order of their numbers; they finish in any order.
    """

    def __init__(self, folder: Path, journal: Journal, lock: FolderLock | None) -> None:
        self.folder = folder
        self._journal = journal
        self._lock = lock
        self._load()
        self._plan: dict[str, Any] = self._search.user_attrs["plan"]
        self.objectives = tuple(Objective(name, direction) for name, direction in self._plan["objectives"])

    @classmethod
    def open(cls, folder: Path, plan: Plan) -> Study:
        """The study that a driver works on: a new one, or the one that is there; locked until `close`.

        Raises:
            UserError: another driver works on it, it was begun with another plan, or its file is damaged.
        """
        lock = FolderLock(folder)
        try:
            journal = Journal(folder / FILE, write=True)
            if (folder / FILE).stat().st_size == 0:
                _create(journal, plan)
            study = cls(folder, journal, lock)
            for key, value in plan.identity().items():
                if (before := study._plan[key]) != value:
                    raise UserError(
                        f"{folder}: expected {key} = {before!r}, with which this run began, found {value!r}"
                    )
        except BaseException:
            lock.release()
            raise
        return study

    @classmethod
    def read(cls, folder: Path) -> Study:
        """The study as it is now, without a lock and never changed.

        Raises:
            UserError: there is none.
        """
        if not (folder / FILE).is_file() or (folder / FILE).stat().st_size == 0:
            raise UserError(f"{folder}: expected a run's folder with its {FILE}, found none")
        return cls(folder, Journal(folder / FILE, write=False), None)

    def close(self) -> None:
        """Lets the next driver in."""
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
        """How many trials there are, which is the next one's number."""
        return len(self._trials())

    @property
    def told(self) -> int:
        """How many trials the sampler knows the outcome of, which is the number of the next to be told."""
        return sum(trial.state.is_finished() for trial in self._trials())

    @property
    def finished(self) -> int:
        """How many trials have an outcome."""
        return sum(map(is_finished, self._trials()))

    def running(self) -> dict[int, dict[str, Scalar]]:
        """Configurations without an outcome, by number."""
        return {trial.number: trial.user_attrs["config"] for trial in self._trials() if not is_finished(trial)}

    def ask(self, plan: Plan, opening: Opening | None) -> tuple[int, dict[str, Scalar]]:
        """Begins the next trial: its number and dotted configuration. All of it is on disk, or nothing."""
        number = self.asked
        with self._transaction():
            self._search.sampler = make_sampler(plan.sampler, plan.seed, number)
            if opening:
                self._search.enqueue_trial(opening.params)
            trial = self._search.ask()
            config = plan.space.suggest(trial, plan.tasks)
            trial.set_user_attr("config", config)
            trial.set_user_attr("architecture", plan.name(config))
            trial.set_user_attr("baseline", bool(opening and opening.baseline))
        return number, config

    def finish(self, number: int, outcome: Outcome | Failure) -> None:
        """Keeps what became of a trial, before the sampler may know it.

        A result without a finite value for every objective counts as a failure; its measurements are kept.
        """
        attributes = attributes_of(outcome, self.objectives)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._search_id, number)
        with self._transaction():
            for name, value in attributes.items():
                self._storage.set_trial_user_attr(trial_id, name, value)

    def is_finished(self, number: int) -> bool:
        """Whether a trial has an outcome."""
        return is_finished(self._trials()[number])

    def tell(self, number: int) -> TrialRecord:
        """Lets the sampler know the outcome of a finished trial."""
        values = values_in(self._trials()[number].user_attrs, self.objectives)
        with self._transaction():
            self._search.tell(number, values, state=TrialState.FAIL if values is None else TrialState.COMPLETE)
        return self.record(number)

    def add_replicate(self, outcome: Outcome) -> None:
        """Keeps what became of a retraining."""
        attributes = attributes_of(outcome, self.objectives)
        values = values_in(attributes, self.objectives)
        attributes |= {"trial": outcome.job.trial, "replicate": outcome.job.replicate}
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        with self._transaction():
            self._confirm.add_trial(optuna.trial.create_trial(state=state, values=values, user_attrs=attributes))

    def replicates(self) -> dict[int, tuple[Replicate, ...]]:
        """Replicates by the number of their trial, in their own order."""
        found: defaultdict[int, list[Replicate]] = defaultdict(list)
        for trial in self._confirm.get_trials(deepcopy=False):
            of = trial.user_attrs
            found[of["trial"]].append(Replicate(of["replicate"], of["seed"], of["metrics"], failure_in(of)))
        return {number: tuple(sorted(those, key=lambda one: one.replicate)) for number, those in found.items()}

    def record(self, number: int) -> TrialRecord:
        """All that is known of one trial."""
        return record_of(self._trials()[number], self.replicates().get(number, ()))

    def records(self) -> list[TrialRecord]:
        """All that is known of every trial, by number."""
        replicates = self.replicates()
        return [record_of(trial, replicates.get(trial.number, ())) for trial in self._trials()]

    def _trials(self) -> list[FrozenTrial]:
        # A reader may see the first lines of an ask; without a configuration there is nothing to say of the trial yet.
        return [trial for trial in self._search.get_trials(deepcopy=False) if "config" in trial.user_attrs]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with quiet(), self._journal.transaction():
                yield
        except BaseException:
            self._load()  # what was held back is gone from the file: forget it here, too
            raise

    def _load(self) -> None:
        with quiet():
            self._storage = JournalStorage(self._journal)
            self._search = optuna.load_study(study_name="search", storage=self._storage, sampler=RandomSampler())
            self._confirm = optuna.load_study(study_name="confirm", storage=self._storage, sampler=RandomSampler())
        self._search_id = self._storage.get_study_id_from_name("search")


def _create(journal: Journal, plan: Plan) -> None:
    with quiet(), journal.transaction():
        storage = JournalStorage(journal)
        for name in ("search", "confirm"):
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[objective.direction for objective in plan.objectives],
                sampler=RandomSampler(),
            )
            study.set_user_attr("plan", plan.identity())
