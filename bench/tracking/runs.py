"""Runs in MLflow: each is compared with what it should have, and `log_batch` sends only the rest.

A data set's part of a run is a parent, with a nested run for each trial and each replicate. MLflow keeps one value of a
metric for the same step and time. All times come from the records, never from the clock, so everything may be sent
again, also after an error or a kill.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from bench.frontier.history import History
from bench.records import TrialRecord
from bench.tracking.store import PAUSE, TRIES, MlflowStore, TrackingError
from bench.tracking.values import (
    DIGEST,
    NONE,
    RUNNING,
    UNPLACED,
    VIEW,
    Found,
    Key,
    Point,
    Wanted,
    columns,
    inward,
    key_of,
    on_parent,
    on_trials,
    outward,
    runs_of,
    volumes,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

T = TypeVar("T")
Ending = Literal["FINISHED", "FAILED", "KILLED"]
Texts = Mapping[str, str]

LONGEST_TAG, LONGEST_DIGEST = 5000, 36  # characters
EVERY = 10.0  # seconds, at least, between two writings of the hypervolume
HOPELESS = 3  # runs that the store refuses, in a row
CARRIED = ("seesaw.run", "seesaw.suite", "seesaw.dataset", "seesaw.space")
"""Tags of the parent that its trials carry, too, so that one query finds them."""


@dataclass
class Node:
    """A run.

    Attributes:
        started: milliseconds since 1970; the time of every value that has none of its own.
        metrics, steps: the latest value of each, and its step.
    """

    store: MlflowStore
    run_id: str
    status: str
    started: int
    metrics: dict[str, float]
    steps: dict[str, int]
    params: dict[str, str]
    tags: dict[str, str]

    @classmethod
    def of(cls, store: MlflowStore, run: Run) -> Node:
        """The node of a run as MLflow gives it."""
        data, info = run.data, run.info
        metrics = {inward(name): value for name, value in data.metrics.items()}
        steps = {inward(each.key): each.step for each in data.to_proto().metrics}
        return cls(store, info.run_id, info.status, info.start_time, metrics, steps, dict(data.params), dict(data.tags))

    @classmethod
    def create(cls, store: MlflowStore, experiment: str, name: str, tags: Texts, started: float = 0.0) -> Node:
        """A new run. `started` is in seconds since 1970, 0 for now."""
        known = {**_cut(tags), "mlflow.source.name": "seesaw", "mlflow.source.type": "LOCAL"}
        of = experiment, _milliseconds(started or time.time()), known, name
        return cls.of(store, store.ask(f"begin the run '{name}'", "create_run", *of, tries=1))

    @classmethod
    def search(cls, store: MlflowStore, experiment: str, condition: str) -> list[Node]:
        """All runs of an experiment that meet a condition, the newest first."""
        found: list[Node] = []
        token: str | None = ""
        while token is not None:
            page = store.ask("search runs", "search_runs", [experiment], condition, page_token=token or None)
            found += [cls.of(store, run) for run in page]
            token = page.token or None
        return found

    def send(self, points: Sequence[Point] = (), params: Texts = NONE, tags: Texts = NONE) -> int:
        """Sends what the run does not have, in one batch where MLflow's limits allow it; gives how many values.

        Steps of a metric before its latest are there. Tags are cut to the length that MLflow takes.
        """
        from mlflow.entities import Metric, Param, RunTag

        new = [point for point in points if self._lacks(point)]
        named = {name: value for name, value in params.items() if name not in self.params}
        tagged = {name: value for name, value in _cut(tags).items() if self.tags.get(name) != value}
        values = [Metric(outward(p.name), p.value, _milliseconds(p.time) or self.started, p.step) for p in new]
        batch = values, [Param(*of) for of in named.items()], [RunTag(*of) for of in tagged.items()]
        if any(batch):
            self.ask("log to", "log_batch", *batch)
        self.metrics |= {point.name: point.value for point in new}
        self.steps |= {point.name: point.step for point in new}
        self.params |= named
        self.tags |= tagged
        return len(new) + len(named) + len(tagged)

    def _lacks(self, point: Point) -> bool:
        there = self.steps.get(point.name, -1)
        return point.step > there or (point.step == there and self.metrics[point.name] != point.value)

    def set_status(self, status: str, ended: float = 0.0) -> bool:
        """Closes the run, or opens it again; whether that was needed. `ended` is in seconds since 1970, 0 for now."""
        if self.status == status:
            return False
        if status == RUNNING:
            self.ask("reopen", "update_run", status)
        else:
            self.ask("close", "set_terminated", status, _milliseconds(ended or time.time()))
        self.status = status
        return True

    def ask(self, to: str, method: str, *args: Any) -> None:
        """Calls a method of MLflow's client for the run; `to` is what is tried, for the error's text."""
        self.store.ask(f"{to} the run '{self.tags.get('mlflow.runName', self.run_id)}'", method, self.run_id, *args)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _cut(tags: Texts) -> Texts:
    return {name: value[:LONGEST_TAG] for name, value in tags.items()}


def experiment_name(suite: str) -> str:
    """The experiment of a suite, given by its name or by the path of its file."""
    path = Path(suite)
    name = path.stem if path.suffix == ".toml" else path.name
    return f"seesaw/{path.resolve().parent.name if name == 'suite' else name}"


class Section:
    """One data set's part of a run: its records, and the runs that MLflow has of it.

    Args:
        live: whether a parent that is there is marked as going on.
        params: what was asked for and stays; tags: what may change, such as a budget that is raised.
        source: where the data come from.
        identity: what tells the part from others: `run, suite, dataset, space, seed`, `fingerprint` of the encoded
            store, and when the run was `created`: an earlier run of the same name may be gone from this machine.

    Attributes:
        records: the newest of each trial, by number.
        front: what came of a search that came to its end.
        place: ids of the experiment and of the parent run, once it is open.
        sent: counts what is sent: trials and replicates, each once, points of hypervolume and fronts.
    """

    def __init__(
        self,
        store: MlflowStore,
        history: History,
        *,
        live: bool = True,
        params: Texts = NONE,
        tags: Texts = NONE,
        source: str = "",
        **identity: str | int,
    ) -> None:
        own = {name: str(value) for name, value in identity.items()}
        self._own, self._source = own, source
        self._known = {"seesaw.kind": "parent", **{f"seesaw.{name}": value for name, value in own.items()}}
        asked = {**{name: value for name, value in own.items() if name not in ("run", "created")}, **params}
        name = f"{own['run']} {own['dataset']} {own['space']}"
        self._parent = Wanted((), name, {**self._known, **tags}, asked, [], RUNNING if live else None)
        self._store, self._history = store, history
        self._nodes: dict[Key, Node] = {}
        self._sent: dict[int, TrialRecord] = {}
        self._changed: set[Key] = set()
        self._experiment, self._failed, self._shown = "", False, -math.inf
        self.records: dict[int, TrialRecord] = {}
        self.front: Found | None = None
        self.place: tuple[str, str] | None = None
        self.sent: Counter[str] = Counter()

    def log(self, records: Sequence[TrialRecord], told: int) -> None:
        """Takes trials as they are now and sends nothing. `told` is how many jobs are told; see `History.add`."""
        self._history.add(records, told)
        self.records |= {record.number: record for record in records}

    @property
    def there(self) -> int:
        """Of how many trials all was sent."""
        return sum(map(self._is_sent, list(self.records.values())))

    def send(self, ending: Ending | None = None, ended: float = 0.0) -> None:
        """Sends the trials that are new. With an ending, all that is missing, also of the front, and ends the parent.

        Args:
            ended: in seconds since 1970; the time of the front's values.

        Raises:
            TrackingError: the store cannot be reached, or refuses something.
        """
        if ending and self._failed:  # a server may have done late what we asked for again: read what is there anew
            self._nodes, self._failed = {}, False
        try:
            self._send(ending, ended)
        except TrackingError:
            self._nodes, self._failed = {}, True
            raise

    def _send(self, ending: Ending | None, ended: float) -> None:
        if not self._nodes:
            self._open()
        front = self.front if ending else None
        placed = on_trials(front.frontier, front.pick, ended) if front else {}

        def send_trial(record: TrialRecord) -> None:
            place = placed.get(record.number, ([], UNPLACED)) if front else ([], NONE)
            for wanted in runs_of(record, *place):
                if self._put(wanted) and wanted.key not in self._changed:
                    self._changed.add(wanted.key)
                    self.sent["replicates" if len(wanted.key) > 1 else "trials"] += 1
            self._sent[record.number] = record

        each_in_turn(send_trial, [each for each in list(self.records.values()) if ending or not self._is_sent(each)])
        if ending or monotonic() - self._shown >= EVERY:
            self._shown = monotonic()
            self.sent["hypervolumes"] += self._nodes[()].send(volumes(self._history))
        if front:
            self._send_front(front, ended)
        if ending:
            self._nodes[()].set_status(ending, ended)

    def _send_front(self, front: Found, ended: float) -> None:
        node = self._nodes[()]
        points, tags, files = on_parent(front, self._experiment, node.run_id, ended)
        if node.tags.get(DIGEST) != tags[DIGEST]:
            for name, text in files.items():
                node.ask(f"store {name} with", "log_text", text, name)
            self.sent["fronts"] += 1
        node.send(points, tags=tags)
        view = f"mlflow.sharedViewState.{VIEW}", columns(front)
        self._store.ask(f"store the view '{VIEW}'", "set_experiment_tag", self._experiment, *view)

    def _is_sent(self, record: TrialRecord) -> bool:
        return self._sent.get(record.number) is record

    def _open(self) -> None:
        """Reads what is there, and makes the parent what it should be."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self._experiment = self._store.experiment(experiment_name(self._own["suite"]), make=True)
        self._load()
        self._put(self._parent)
        node = self._nodes[()]
        self.place = self._experiment, node.run_id
        data = Dataset(self._own["dataset"], self._own["fingerprint"][:LONGEST_DIGEST], "card", self._source)
        inputs = [DatasetInput(data, [InputTag("mlflow.data.context", "train")])]  # sent again, it is there once
        node.ask("log the data of", "log_inputs", inputs)

    def _load(self) -> None:
        """Reads what is there. Of two runs of one key, which a late answer makes possible, one is removed."""
        mine = " and ".join(f"tags.`{tag}` = '{self._known[tag]}'" for tag in ("seesaw.run", "seesaw.dataset"))
        found = Node.search(self._store, self._experiment, mine)
        parents = [node for node in found if self._known.items() <= node.tags.items()]
        for parent in parents[-1:]:  # the oldest, should a late answer have made two
            self._nodes = {(): parent}
            for node in found:
                if node.tags.get("seesaw.parent") == parent.run_id:
                    key = key_of(node.tags)
                    there = self._nodes.setdefault(key, node)
                    if there is not node:
                        other, self._nodes[key] = sorted((there, node), key=lambda each: len(each.metrics))
                        other.ask("remove", "delete_run")

    def _put(self, wanted: Wanted) -> int:
        """Makes a run what it should be; gives how much was sent. One that failed and was tried again is replaced."""
        node = self._nodes.get(wanted.key)
        if node and wanted.key and node.status == "FAILED" != wanted.status:
            self._nodes.pop(wanted.key).ask("remove", "delete_run")
            node = None
        node = node or self._begin(wanted)
        sent = node.send(wanted.points, wanted.params, wanted.tags)
        return sent + (wanted.status is not None and node.set_status(wanted.status, wanted.ended))

    def _begin(self, wanted: Wanted, tries: int = TRIES) -> Node:
        """A new run; or the one that MLflow made although its answer was lost."""
        key, tags = wanted.key, dict(wanted.tags)
        if key:
            parent, inside = self._nodes[()], self._nodes[key[:1] if len(key) > 1 else ()]
            tags |= {tag: parent.tags[tag] for tag in CARRIED}
            tags |= {"mlflow.parentRunId": inside.run_id, "seesaw.parent": parent.run_id}
        try:
            self._nodes[key] = Node.create(self._store, self._experiment, wanted.name, tags, wanted.started)
        except TrackingError:
            if tries == 1:
                raise
            time.sleep(PAUSE)
            self._load()
        return self._nodes.get(key) or self._begin(wanted, tries - 1)


def each_in_turn(do: Callable[[T], object], items: Iterable[T]) -> None:
    """Does something with each item. One that the store refuses keeps no other from it, and the first error is raised
    at the end; but `HOPELESS` in a row end it.
    """
    errors: list[TrackingError] = []
    in_a_row = 0
    for item in items:
        try:
            do(item)
            in_a_row = 0
        except TrackingError as error:
            errors.append(error)
            in_a_row += 1
            if in_a_row == HOPELESS:
                break
    if errors:
        raise errors[0]
