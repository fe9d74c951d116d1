"""A database's studies in memory: read as often as a sampler likes, and what is done to them is listed to be kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from bench.search.shown import PartlyShown


@dataclass
class Call:
    """A change: the method of Optuna's storage, what it was given, and for something new its number in memory."""

    method: str
    given: tuple[Any, ...]
    made: int = -1


@dataclass
class Numbers:
    """Numbers in the database by the numbers in memory."""

    studies: dict[int, int] = field(default_factory=dict)
    trials: dict[int, int] = field(default_factory=dict)


class Mirror(PartlyShown, InMemoryStorage):
    """Optuna's storage in memory, with a list of what was done to it since `calls` was last emptied.

    The driver is the only one to write to its studies, so nothing that is read can be out of date; a search then costs
    the database what it writes, and proposals do not depend on where they are kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] | None = None
        """None where nothing may be changed."""

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """As Optuna's."""
        made = super().create_new_study(directions, study_name)
        return self._keep("create_new_study", (list(directions), study_name), made)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As Optuna's."""
        made = super().create_new_trial(study_id, template_trial)
        return self._keep("create_new_trial", (study_id,), made)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """As Optuna's."""
        super().set_study_user_attr(study_id, key, plain := _plain(value))
        self._keep("set_study_user_attr", (study_id, key, plain))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """As Optuna's."""
        super().set_study_system_attr(study_id, key, plain := _plain(value))
        self._keep("set_study_system_attr", (study_id, key, plain))

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """As Optuna's."""
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        self._keep("set_trial_param", (trial_id, param_name, param_value_internal, distribution))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As Optuna's."""
        done = super().set_trial_state_values(trial_id, state, values)
        if done:
            self._keep("set_trial_state_values", (trial_id, state, values))
        return done

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As Optuna's."""
        super().set_trial_user_attr(trial_id, key, plain := _plain(value))
        self._keep("set_trial_user_attr", (trial_id, key, plain))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As Optuna's."""
        super().set_trial_system_attr(trial_id, key, plain := _plain(value))
        self._keep("set_trial_system_attr", (trial_id, key, plain))

    def apply(self, calls: Sequence[Call], to: BaseStorage, numbers: Numbers, prefix: str) -> None:
        """Does to another storage what was done to this one. A new trial is written as it has become, in one go.

        Args:
            prefix: in front of the names of new studies.
        """
        fresh: set[int] = set()
        for call in calls:
            of, *given = call.given
            if call.method == "create_new_study":
                numbers.studies[call.made] = to.create_new_study(of, f"{prefix}{given[0]}")
            elif call.method == "create_new_trial":
                numbers.trials[call.made] = to.create_new_trial(numbers.studies[of], self.get_trial(call.made))
                fresh.add(call.made)
            elif call.method in ("set_study_user_attr", "set_study_system_attr"):
                getattr(to, call.method)(numbers.studies[of], *given)
            elif of not in fresh:
                getattr(to, call.method)(numbers.trials[of], *given)

    def _keep(self, method: str, given: tuple[Any, ...], made: int = -1) -> int:
        if self.calls is None:
            raise RuntimeError("expected changes in a transaction of a writer only")
        self.calls.append(Call(method, given, made))
        return made


def _plain(value: Any) -> Any:
    """Through JSON, so that a sampler sees now what it would see were it read again."""
    return json.loads(json.dumps(value))
