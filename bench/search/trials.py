"""The trials of a search as they are kept: Optuna's own, with what came to them after the search was over once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from bench.search.attributes import asked_key

SECONDS, OVER, ADDED, CUT = "seconds", "over", "added", "cut_short"
"""Names of what is kept with the study: what the search took, whether it is over, by trial what came after it once
was, and whether the time limit ended it."""


class Trials:
    """Those of one study in Optuna's storage, by number.

    Optuna lets nothing be added to a trial that it was told the end of. In a search by rungs that was over and goes on
    such a trial may go on, too; what it does from then on is kept with the study.
    """

    def __init__(self, storage: BaseStorage, study: int) -> None:
        self._storage, self._study = storage, study

    @property
    def over(self) -> bool:
        """Whether a search by rungs has ended, so that no trial goes on unless the search does."""
        return bool(self._of_study(OVER, False))

    @property
    def seconds(self) -> float:
        """What the search has taken so far, as far as it was kept."""
        return float(self._of_study(SECONDS, 0.0))

    @property
    def cut_short(self) -> bool:
        """Whether the time limit ended the search, which would have gone on otherwise."""
        return bool(self._of_study(CUT, False))

    def go_on(self, seconds: float | None) -> None:
        """A job is begun: the search is not over, and has taken so long where that is to be kept."""
        for name in (OVER, CUT):
            if self._of_study(name, False):
                self._keep(name, False)
        if seconds is not None:
            self._keep(SECONDS, seconds)

    def rest(self, seconds: float, cut_short: bool) -> None:
        """Nothing is left to begin: keeps what the search has taken, and whether that is why."""
        self._keep(SECONDS, seconds)
        if cut_short != self.cut_short:
            self._keep(CUT, cut_short)

    def end(self) -> None:
        """The search is over."""
        self._keep(OVER, True)

    def __iter__(self) -> Iterator[FrozenTrial]:
        # A reader may see the first lines of an ask; until the last of them there is nothing to say of the trial.
        found = self._storage.get_all_trials(self._study, deepcopy=False)
        return iter([self._whole(trial) for trial in found if asked_key(0) in trial.user_attrs])

    def __getitem__(self, number: int) -> FrozenTrial:
        return self._whole(self._storage.get_trial(self._id(number)))

    def set(self, number: int, name: str, value: Any) -> None:
        """Keeps something of a trial."""
        if self[number].state.is_finished():
            added = {**self._of_study(f"{ADDED}/{number}", {}), name: value}
            self._keep(f"{ADDED}/{number}", added)
        else:
            self._storage.set_trial_user_attr(self._id(number), name, value)

    def conclude(self, number: int, results: tuple[tuple[float, ...], ...]) -> None:
        """Tells Optuna the end of a trial, by its last values; those of one that it was told of stay what they were."""
        if self[number].state.is_finished():
            return
        state = TrialState.COMPLETE if results else TrialState.FAIL
        # Not by `study.tell`, which copies every trial of the study to find the best ones for a line that is not shown.
        self._storage.set_trial_state_values(self._id(number), state, results[-1] if results else None)

    def _whole(self, trial: FrozenTrial) -> FrozenTrial:
        if added := self._of_study(f"{ADDED}/{trial.number}"):
            trial = copy.copy(trial)
            trial.user_attrs = {**trial.user_attrs, **added}
        return trial

    def _of_study(self, name: str, default: Any = None) -> Any:
        return self._storage.get_study_user_attrs(self._study).get(name, default)

    def _keep(self, name: str, value: Any) -> None:
        self._storage.set_study_user_attr(self._study, name, value)

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study, number)
