"""A search as an Optuna journal, `optuna.log`, for optuna-dashboard: a view of the log that the search never reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages.journal._storage import JournalOperation
from optuna.study import StudyDirection
from optuna.trial import TrialState

from bench.atomic import write_text
from bench.full_disk import room_for
from bench.objectives import Objective
from bench.search.events import params_in, values_in
from bench.search.log import Event

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
        self._texts = {name: distribution_to_json(of) for name, of in distributions.items()}
        self._ids = 0
        self._trials: list[int] = []
        self._jobs: list[Event] = []
        self._outcomes: dict[int, Event] = {}
        self._last: dict[int, tuple[tuple[float, ...], Event]] = {}
        self._running: set[int] = set()
        self._pending: list[str] = []
        self._opened = False

    def add(self, event: Event) -> None:
        """Adds what an event comes to; it is written by `flush`."""
        makes: dict[str, Callable[[Event], list[Event]]] = {
            "begun": self._begun,
            "asked": self._asked,
            "outcome": self._outcome,
            "told": self._told,
            "replicate": self._replicate,
            "concluded": self._concluded,
        }
        lines = makes[event["event"]](event) if event["event"] in makes else []
        self._pending += [json.dumps(line | {"worker_id": "seesaw"}, separators=(",", ":")) + "\n" for line in lines]

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

    def _begun(self, event: Event) -> list[Event]:
        plan = event["plan"]
        self._objectives = tuple(Objective(*each) for each in plan["objectives"])
        self._rungs = max(1, len(plan.get("ladder", ())))
        directions = [int(StudyDirection[objective.direction.upper()]) for objective in self._objectives]
        create = {"op_code": int(JournalOperation.CREATE_STUDY), "directions": directions}
        return [create | {"study_name": name} for name in ("search", "confirm")]

    def _asked(self, event: Event) -> list[Event]:
        self._jobs.append(event)
        if event["rung"]:
            return []
        self._running.add(event["trial"])
        self._trials.append(self._ids)
        params = params_in(event)
        about = {name: event[name] for name in ("architecture", "baseline")}
        return [
            self._create(0, TrialState.RUNNING, event["at"], about)
            | {
                "params": {name: self._distributions[name].to_internal_repr(value) for name, value in params.items()},
                "distributions": {name: self._texts[name] for name in params},
            }
        ]

    def _outcome(self, event: Event) -> list[Event]:
        self._outcomes[event["job"]] = event
        return []

    def _told(self, event: Event) -> list[Event]:
        asked, outcome = self._jobs[event["job"]], self._outcomes.pop(event["job"])
        trial, values = asked["trial"], values_in(outcome, self._objectives)
        if trial not in self._running:
            return []
        told = {"failure": outcome["failure"]} if outcome["failure"] else {f"rung {asked['rung']}": outcome["metrics"]}
        lines = [{"op_code": int(JournalOperation.SET_TRIAL_USER_ATTR), **self._of(trial), "user_attr": told}]
        if values is not None:
            self._last[trial] = values, outcome
        return lines + (self._end(trial, outcome) if values is None or asked["rung"] + 1 == self._rungs else [])

    def _concluded(self, event: Event) -> list[Event]:
        return [line for trial in sorted(self._running & self._last.keys()) for line in self._end(trial, event)]

    def _replicate(self, event: Event) -> list[Event]:
        values = values_in(event, self._objectives)
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        about = {name: event[name] for name in ("kind", "trial", "replicate", "until", "metrics", "failure")}
        return [
            self._create(1, state, event["started"], about)
            | {"values": values, "datetime_complete": _moment(event["started"] + event["seconds"])}
        ]

    def _create(self, study: int, state: TrialState, began: float, about: Event) -> Event:
        self._ids += 1
        return {
            "op_code": int(JournalOperation.CREATE_TRIAL),
            "study_id": study,
            "state": int(state),
            "value": None,
            "values": None,
            "datetime_start": _moment(began),
            "distributions": {},
            "params": {},
            "user_attrs": about,
            "system_attrs": {},
            "intermediate_values": {},
        }

    def _end(self, trial: int, event: Event) -> list[Event]:
        self._running.discard(trial)
        values, last = self._last.pop(trial, (None, event))
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        complete = _moment(last.get("started", 0.0) + last.get("seconds", 0.0))
        end = {"op_code": int(JournalOperation.SET_TRIAL_STATE_VALUES), **self._of(trial), "state": int(state)}
        return [end | {"values": values, "datetime_complete": complete}]

    def _of(self, trial: int) -> Event:
        return {"trial_id": self._trials[trial]}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
