"""Logs a driver's records without waiting for MLflow: a section for each data set, sent by one
thread. Decisions are logged at once.

    logbook = Logbook(None, home)  # sqlite and files at home; or any MLflow address
    section = logbook.section(history, ..)  # a parent run for each suite, data set and space
    section.log([record], told)  # sends nothing: the thread does
    section.front = lambda experiment, run, ended: Front(..)
    logbook.finish("FINISHED", ended, patience=10)  # returns whether everything was sent

The records are the truth. A parent has a nested run for each trial and each replicate; each is
compared with its target state, and `log_batch` sends only the difference. All times come from the
records, never from the clock. MLflow keeps one value of a metric for the same step and time, so
everything may be sent again, also after an error or a kill.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Literal

from bench.app.tracking.mlflow_store import MlflowStore, StoredRun, TrackingError
from bench.app.tracking.target_state import (
    NONE,
    PICKED,
    RUNNING,
    UNPLACED,
    VERDICT,
    VIEW,
    Front,
    MetricValue,
    RunKey,
    TargetRun,
    Texts,
    key_of,
    runs_of,
    volumes,
)
from bench.core.records import TrialRecord
from bench.ledger.course import History
from bench.ledger.effect import Effect

Ending = Literal["FINISHED", "FAILED", "KILLED"]

LONGEST_PAUSE = 30.0  # seconds between tries while the store fails
STARTING = 120.0  # seconds for creating the tables of a new store's file
GIVE_UP = 3  # failures in a row after which `finish` stops waiting
HOPELESS = 3  # steps in a row that the store refuses
EVERY = 10.0  # minimum number of seconds between updates of the hypervolume
DIGEST = "seesaw.front_digest"
"""Tag of a parent: digest of its files."""
CARRIED = ("seesaw.run", "seesaw.suite", "seesaw.dataset", "seesaw.space")
"""Tags of the parent that its trials repeat, so that one query finds them."""


@dataclass
class Section:
    """One data set's part of a run: its records, and its runs in MLflow.

    Args:
        identity: identifies the part: `run, suite, dataset, space, seed`, `fingerprint` of the
            encoded store, and when the run was `created`, as an earlier run of the same name may be
            gone from this machine.
        dataset: a short name of the data set, which `identity` may have as a path.
        params: further constant settings; `tags` are those that may change, such as a raised
            budget.
        live: whether to mark an existing parent as running.

    Attributes:
        records: the newest of each trial, by number.
        front: (experiment id, parent id, time) -> the results of a finished search.
        place: ids of the experiment and of the parent run, once open.
    """

    store: MlflowStore
    history: History
    experiment: str
    identity: Texts
    dataset: str
    params: Texts = field(default_factory=dict)
    tags: Texts = field(default_factory=dict)
    source: str = ""
    live: bool = True
    records: dict[int, TrialRecord] = field(default_factory=dict)
    front: Callable[[str, str, float], Front] | None = None
    place: tuple[str, str] | None = None
    sent: Counter[str] = field(default_factory=Counter)
    _nodes: dict[RunKey, StoredRun] = field(default_factory=dict)
    _sent: dict[int, TrialRecord] = field(default_factory=dict)
    _failed: bool = False
    _volumes_sent: float = -math.inf

    def log(self, records: Sequence[TrialRecord], recorded: int) -> None:
        """Takes trials' current records, sends nothing; `recorded` is the number of recorded jobs,
        see `History.add`.
        """
        self.history.add(records, recorded)
        self.records |= {record.number: record for record in records}

    @property
    def there(self) -> int:
        """Number of completely sent trials."""
        return len(self.records) - len(self._unsent())

    def _unsent(self) -> list[TrialRecord]:
        records = list(self.records.values())  # another thread may add some
        return [record for record in records if self._sent.get(record.number) is not record]

    def send(self, ending: Ending | None = None, ended: float = 0.0) -> None:
        """Sends new trials; raises TrackingError. With an ending, sends everything missing, and
        ends the parent.

        `ended` is the time of the end and of the front's values, in seconds since 1970.
        """
        try:
            if ending and self._failed:
                # A server may execute lost requests late: read its state again.
                self._nodes, self._failed = {}, False
            self._send(ending, ended)
        except TrackingError:
            self._nodes, self._failed = {}, True
            raise

    def _send(self, ending: Ending | None, ended: float) -> None:
        if not self._nodes or self.place is None:
            self.place = self._open()
        experiment, parent = self.place[0], self._nodes[()]
        front = self.front(experiment, parent.run_id, ended) if self.front and ending else None
        records = list(self.records.values()) if ending else self._unsent()
        each_in_turn(partial(self._send_trial, experiment, front, record) for record in records)
        if ending or monotonic() - self._volumes_sent >= EVERY:
            self._volumes_sent = monotonic()
            self.sent["hypervolumes"] += parent.send(volumes(self.history))
        if front:
            self._send_front(experiment, parent, front)
        if ending:
            parent.set_status(ending, ended)

    def _send_trial(self, experiment: str, front: Front | None, record: TrialRecord) -> None:
        values: Sequence[MetricValue] = ()
        tags = NONE
        if front:
            values, tags = front.placed.get(record.number, ((), UNPLACED))
        for target in runs_of(record, values, tags):
            kind = "replicates" if len(target.key) > 1 else "trials"
            self.sent[kind] += self._put(target, experiment)
        self._sent[record.number] = record

    def _send_front(self, experiment: str, parent: StoredRun, front: Front) -> None:
        files = {}
        for name, content in front.files.items():
            files[name] = content.encode() if isinstance(content, str) else content
        digest = hashlib.sha256(repr(files).encode()).hexdigest()
        if parent.tags.get(DIGEST) != digest:
            with TemporaryDirectory() as folder:
                for name, data in files.items():
                    (Path(folder) / name).write_bytes(data)
                parent.ask("store the files of", "log_artifacts", folder)
            self.sent["fronts"] += 1
        parent.send(front.values, tags={**front.tags, DIGEST: digest})
        columns = json.dumps({"selectedColumns": [f"tags.`{name}`" for name in (VERDICT, PICKED)]})
        view = f"mlflow.sharedViewState.{VIEW}"
        self.store.ask(f"store the view '{VIEW}'", "set_experiment_tag", experiment, view, columns)

    def _open(self) -> tuple[str, str]:
        """Reads the server's state, and creates or updates the parent; returns the ids of
        experiment and parent.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        experiment = self.store.experiment(self.experiment, make=True)
        self._read(experiment)
        identity = dict(self.identity)
        run = identity.pop("run")
        identity.pop("created", None)
        target = TargetRun(
            key=(),
            name=f"{run} {self.dataset}",
            tags={**self._identity_tags, **self.tags},
            params={**identity, **self.params},
            values=[],
            status=RUNNING if self.live else None,
        )
        self._put(target, experiment)
        parent = self._nodes[()]
        fingerprint = identity["fingerprint"][:36]  # MLflow's limit for a digest
        data = Dataset(self.dataset, fingerprint, "card", self.source)
        # The same inputs may be sent repeatedly.
        inputs = [DatasetInput(data, [InputTag("mlflow.data.context", "train")])]
        parent.ask("log the data of", "log_inputs", inputs)
        return experiment, parent.run_id

    @property
    def _identity_tags(self) -> dict[str, str]:
        """Tags that only this section's parent has."""
        tags = {f"seesaw.{name}": value for name, value in self.identity.items()}
        return {"seesaw.kind": "parent", **tags}

    def _read(self, experiment: str) -> None:
        """Reads the server's state; removes one of two runs with the same key, which a late answer
        makes possible.
        """
        run, dataset = self.identity["run"], self.identity["dataset"]
        condition = f"tags.`seesaw.run` = '{run}' and tags.`seesaw.dataset` = '{dataset}'"
        nodes = StoredRun.search(self.store, experiment, condition)
        identity = self._identity_tags.items()
        parents = [node for node in nodes if identity <= node.tags.items()]
        if not parents:
            return
        parent = parents[-1]  # the oldest
        self._nodes = {(): parent}
        for node in nodes:
            if node.tags.get("seesaw.parent") != parent.run_id:
                continue
            twin = self._nodes.setdefault(key_of(node.tags), node)
            if twin is not node:
                lesser, fuller = sorted((twin, node), key=lambda one: len(one.metrics))
                self._nodes[key_of(node.tags)] = fuller
                lesser.ask("remove", "delete_run")

    def _put(self, target: TargetRun, experiment: str) -> bool:
        """Creates or updates a run; returns whether it changed. Replaces a failed one that was
        tried again.
        """
        node = self._nodes.get(target.key)
        if node and target.key and node.status == "FAILED" != target.status:
            node.ask("remove", "delete_run")
            node = None
        if node is None:
            # MLflow may create it although this fails: the next try reads the server's state.
            tags = {**target.tags, **self._links(target.key)}
            node = StoredRun.create(self.store, experiment, target.name, tags, target.started)
            self._nodes[target.key] = node
        sent = node.send(target.values, target.params, target.tags)
        changed = target.status is not None and node.set_status(target.status, target.ended)
        return changed or sent > 0

    def _links(self, key: RunKey) -> dict[str, str]:
        """Tags that link a run to the run that it is nested in, and to the parent."""
        if not key:
            return {}
        parent = self._nodes[()]
        outer = self._nodes[key[:1]] if len(key) > 1 else parent
        links = {"mlflow.parentRunId": outer.run_id, "seesaw.parent": parent.run_id}
        return links | {tag: parent.tags[tag] for tag in CARRIED}


class Logbook:
    """Everything logged of one run, sent by a thread that looks for new records each second.

    Arguments are those of `MlflowStore`, and `live`: whether parents are marked as running; without
    it nothing is sent before `finish`. `trouble` is the reason of the last failed try; empty after
    a successful one.
    """

    def __init__(self, uri: str | None, home: Path, live: bool = True) -> None:
        self.store, self._live = MlflowStore(uri, home), live
        self._ending: tuple[Ending, float] = ("FINISHED", 0.0)
        self._finishing, self._ended = threading.Event(), threading.Event()
        self._failures = 0
        self._bug: BaseException | None = None
        self.sections: dict[str, Section] = {}
        self.trouble = ""
        threading.Thread(target=self._run, name="mlflow-sender", daemon=True).start()

    def section(self, history: History, *, identity: Texts, **options: Any) -> Section:
        """Adds the part of one data set; arguments as for `Section`."""
        section = Section(self.store, history, identity=identity, live=self._live, **options)
        self.sections[identity["dataset"]] = section
        return section

    @property
    def sent(self) -> Counter[str]:
        """Counts of sent items, by kind."""
        return sum((section.sent for section in self.sections.values()), Counter())

    def finish(
        self, ending: Ending, ended: float, patience: float, limit: float = math.inf
    ) -> bool:
        """Sends everything missing and closes all sections; returns whether all was sent.

        Waits while requests are answered; stops after `patience` seconds without an answer, `limit`
        seconds in all, or `GIVE_UP` failures in a row. Nothing is sent after that. Reraises an
        error of the thread other than `TrackingError`.
        """
        self._ending, self._failures = (ending, ended), 0
        self._finishing.set()
        began = monotonic()
        while self._failures < GIVE_UP and not self._ended.wait(0.05):
            silent = monotonic() - max(began, self.store.answered)
            max_silent = STARTING if self.store.starting else patience
            if silent > max_silent or monotonic() - began > limit:
                break
        self.store.over = True
        if self._bug is not None:
            raise self._bug
        return self._ended.is_set()

    def _run(self) -> None:
        if not self._live:
            self._finishing.wait()  # a trial sent before the front would be counted twice
        while not (self._ended.is_set() or self.store.over):
            last = self._finishing.is_set()
            try:
                self._send(last)
                self.trouble, self._failures = "", 0
                if last:
                    self._ended.set()
            except TrackingError as error:
                self.trouble = str(error)
                self._failures += 1
            except BaseException as error:  # a bug: `finish` raises it
                self._bug = error
                self._ended.set()
            if last:
                time.sleep(0.5)
            else:  # back off while the server fails, but wake up when `finish` is called
                self._finishing.wait(min(LONGEST_PAUSE, 2.0**self._failures))

    def _send(self, last: bool) -> None:
        arguments = self._ending if last else ()
        sections = list(self.sections.values())
        each_in_turn(partial(section.send, *arguments) for section in sections)


def each_in_turn(steps: Iterable[Callable[[], object]]) -> None:
    """Takes all steps, continuing after errors but not after `HOPELESS` in a row; raises the
    first.
    """
    first: TrackingError | None = None
    in_a_row = 0
    for step in steps:
        try:
            step()
            in_a_row = 0
        except TrackingError as error:
            first = first or error
            in_a_row += 1
            if in_a_row == HOPELESS:
                break
    if first:
        raise first


DECISIONS = "seesaw decisions"
"""Name of the experiment of decisions on logs."""


def log_decision(
    name: str, verdict: str, gains: Mapping[str, Effect], folder: Path, tracking: str, home: Path
) -> str:
    """Logs a decision's verdict, gains by outcome, and the files in `folder` as a new run; returns
    its id.

    A new experiment's files are in `home`, unless the store is a server. Raises TrackingError if it
    cannot be reached.
    """
    tags = {"seesaw.kind": "decision", VERDICT: verdict, "mlflow.note.content": verdict}
    values = []
    for outcome, gain in gains.items():
        values += [
            MetricValue(f"gain/{outcome}", gain.value),
            MetricValue(f"gain/{outcome}.low", gain.low),
            MetricValue(f"gain/{outcome}.high", gain.high),
        ]
    with StoredRun.open(MlflowStore(tracking, home), DECISIONS, name, tags) as node:
        node.send(values)
        node.ask("store files with", "log_artifacts", str(folder))
    return node.run_id
