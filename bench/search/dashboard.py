"""A search as an Optuna journal, `optuna.log`, for optuna-dashboard: a view of the log that the search never reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages.journal._storage import JournalOperation as Operation
from optuna.study import StudyDirection
from optuna.study.study import _SYSTEM_ATTR_METRIC_NAMES
from optuna.trial import TrialState

from bench.atomic import room_for, write_text
from bench.objectives import Objective
from bench.search.log import Event, params_in, values_in
from bench.search.standing import Ledger

FILE = "optuna.log"


class Dashboard:
    """Two studies: "search" has a trial for each configuration, "confirm" one for each replicate and each try.

    A trial ends, with its last values, when it is at full length or has failed, or the search by rungs is over; Optuna
    lets nothing be added then, so what a search adds to it that goes on later is not shown.

    Every event makes the same lines whenever it is added. So a file that is missing, torn or of another log is found
    out by its text, and remade.

    Args:
        distributions: of all parameters, by name.
    """

    def __init__(self, folder: Path, distributions: Mapping[str, BaseDistribution]) -> None:
        self._path = folder / FILE
        self._distributions = distributions
        self._trials: list[int] = []
        self._made, self._rungs = 0, 1
        self._running: set[int] = set()
        self._pending: list[str] = []
        self._opened = False

    def add(self, event: Event, ledger: Ledger, objectives: tuple[Objective, ...], outcome: Event | None) -> None:
        """Adds what an event comes to, to be written by `flush`.

        Args:
            ledger: with the event.
            outcome: the recorded outcome, if that is the event.
        """
        match event["event"]:
            case "begun":
                self._rungs = max(1, len(event["plan"].get("ladder", ())))
                directions = [int(StudyDirection[objective.direction.upper()]) for objective in objectives]
                for name in ("search", "confirm"):
                    self._line(Operation.CREATE_STUDY, study_name=name, directions=directions)
                names = [objective.name for objective in objectives]
                for study in (0, 1):  # as `Study.set_metric_names` does
                    attribute = {_SYSTEM_ATTR_METRIC_NAMES: names}
                    self._line(Operation.SET_STUDY_SYSTEM_ATTR, study_id=study, system_attr=attribute)
            case "asked" if not event["rung"]:
                self._running.add(event["trial"])
                self._trials.append(self._made)
                params = {
                    name: self._distributions[name].to_internal_repr(value) for name, value in params_in(event).items()
                }
                texts = {name: distribution_to_json(self._distributions[name]) for name in params}
                self._create(
                    0, event, TrialState.RUNNING, {"baseline": event["baseline"]}, params=params, distributions=texts
                )
            case "told":
                step = ledger.steps[event["job"]]
                if step.trial in self._running and outcome:
                    failure = outcome["failure"]
                    told = {"failure": failure} if failure else {f"rung {step.rung}": outcome["metrics"]}
                    self._line(Operation.SET_TRIAL_USER_ATTR, trial_id=self._trials[step.trial], user_attr=told)
                    if failure or step.rung + 1 == self._rungs:
                        self._end(step.trial, event, ledger)
            case "concluded":
                for trial in sorted(self._running):
                    if ledger.standings[trial].progress == "waiting":
                        self._end(trial, event, ledger)
            case "replicate":
                values = values_in(event, objectives)
                about = {name: event[name] for name in ("kind", "trial", "replicate", "until", "metrics", "failure")}
                self._create(1, event, _state(values), about, values=values, datetime_complete=_moment(event))

    def flush(self) -> None:
        """Writes what was added; the first time, only what the file lacks."""
        text, self._pending = "".join(self._pending), []
        if not self._opened:
            found = self._path.read_bytes() if self._path.is_file() else b""
            if not text.encode().startswith(found):
                write_text(self._path, text)
                text = ""
            text, self._opened = text[len(found) :], True
        if text:
            with room_for(self._path), self._path.open("a", encoding="utf-8") as file:
                file.write(text)

    def _end(self, trial: int, event: Event, ledger: Ledger) -> None:
        self._running.discard(trial)
        values = ledger.standings[trial].results[-1:]
        end = {"state": int(_state(values)), "values": values[0] if values else None}
        self._line(
            Operation.SET_TRIAL_STATE_VALUES, trial_id=self._trials[trial], datetime_complete=_moment(event), **end
        )

    def _create(self, study: int, event: Event, state: TrialState, about: Event, **of: Any) -> None:
        self._made += 1
        empty: Event = {"value": None, "values": None, "distributions": {}, "params": {}}
        empty |= {"user_attrs": about, "system_attrs": {}, "intermediate_values": {}}
        where = {"study_id": study, "state": int(state), "datetime_start": _moment(event)}
        self._line(Operation.CREATE_TRIAL, **where, **{**empty, **of})

    def _line(self, operation: Operation, **of: Any) -> None:
        line = {"op_code": int(operation), "worker_id": "seesaw", **of}
        self._pending.append(json.dumps(line, separators=(",", ":")) + "\n")


def _state(values: object) -> TrialState:
    return TrialState.COMPLETE if values else TrialState.FAIL


def _moment(event: Event) -> str:
    return datetime.fromtimestamp(event["at"], UTC).isoformat(timespec="microseconds")
