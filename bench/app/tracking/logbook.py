"""Logs a driver's records without waiting for MLflow: a section for each data set, sent by one
thread.

    logbook = Logbook(None, home)                   # sqlite and files at home; or any MLflow
    address section = logbook.section(history, ..)          # a parent run for each suite, data set
    and space section.log([record], told)                     # sends nothing: the thread does
    section.front = lambda experiment, run, ended: Front(..) logbook.finish("FINISHED", ended,
    patience=10)  # whether all is there: each trial once, whatever went wrong

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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Literal

from bench.app.tracking.store import PAUSE, TRIES, MlflowStore, StoredRun, TrackingError
from bench.app.tracking.values import (
    NONE,
    PICKED,
    RUNNING,
    UNPLACED,
    VERDICT,
    VIEW,
    Front,
    RunKey,
    TargetRun,
    Texts,
    key_of,
    runs_of,
    volumes,
)
from bench.core.records import TrialRecord
from bench.ledger.history import History

Ending = Literal["FINISHED", "FAILED", "KILLED"]

LONGEST_PAUSE = 30.0  # seconds between tries while the store fails
STARTING = 120.0  # seconds for creating the tables of a new store's file
GIVE_UP = 2  # failures in a row after which `finish` stops waiting
HOPELESS = 3  # items in a row that the store refuses
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
    _shown: float = -math.inf

    def log(self, records: Sequence[TrialRecord], told: int) -> None:
        """Takes trials' current records, sends nothing; `told` is the number of recorded jobs, see
        `History.add`.
        """
        self.history.add(records, told)
        self.records |= {record.number: record for record in records}

    @property
    def there(self) -> int:
        """Number of completely sent trials."""
        return sum(
            self._sent.get(number) is record for number, record in list(self.records.items())
        )

    def send(self, ending: Ending | None = None, ended: float = 0.0) -> None:
        """Sends new trials; raises TrackingError. With an ending, sends everything missing, and
        ends the parent.

        `ended` is the time of the end and of the front's values, in seconds since 1970.
        """
        try:
            if (
                ending and self._failed
            ):  # a server may execute lost requests late: read its state again
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

        def send_trial(record: TrialRecord) -> None:
            place = front.placed.get(record.number, ([], UNPLACED)) if front else ([], NONE)
            for wanted in runs_of(record, *place):
                self.sent["replicates" if len(wanted.key) > 1 else "trials"] += self._put(
                    wanted, experiment
                )
            self._sent[record.number] = record

        new = [
            each
            for n, each in list(self.records.items())
            if ending or self._sent.get(n) is not each
        ]
        each_in_turn(send_trial, new)
        if ending or monotonic() - self._shown >= EVERY:
            self._shown = monotonic()
            self.sent["hypervolumes"] += parent.send(volumes(self.history))
        if front:
            files = {
                name: each.encode() if isinstance(each, str) else each
                for name, each in front.files.items()
            }
            digest = hashlib.sha256(repr(files).encode()).hexdigest()
            if parent.tags.get(DIGEST) != digest:
                with TemporaryDirectory() as folder:
                    for name, content in files.items():
                        path = Path(folder) / name
                        path.write_bytes(content)
                        parent.ask(f"store {name} with", "log_artifact", str(path))
                self.sent["fronts"] += 1
            parent.send(front.values, tags={**front.tags, DIGEST: digest})
            columns = [f"tags.`{name}`" for name in (VERDICT, PICKED)]
            view = f"mlflow.sharedViewState.{VIEW}", json.dumps({"selectedColumns": columns})
            self.store.ask(f"store the view '{VIEW}'", "set_experiment_tag", experiment, *view)
        if ending:
            parent.set_status(ending, ended)

    def _open(self) -> tuple[str, str]:
        """Reads the server's state, and creates or updates the parent; returns the ids of
        experiment and parent.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        own, known = self.identity, self._known
        experiment = self.store.experiment(self.experiment, make=True)
        self._read(experiment)
        asked = {
            **{name: value for name, value in own.items() if name not in ("run", "created")},
            **self.params,
        }
        name, tags = f"{own['run']} {self.dataset}", {**known, **self.tags}
        self._put(TargetRun((), name, tags, asked, [], RUNNING if self.live else None), experiment)
        parent = self._nodes[()]
        data = Dataset(
            self.dataset, own["fingerprint"][:36], "card", self.source
        )  # a digest has 36 letters at most
        inputs = [
            DatasetInput(data, [InputTag("mlflow.data.context", "train")])
        ]  # may be sent repeatedly
        parent.ask("log the data of", "log_inputs", inputs)
        return experiment, parent.run_id

    @property
    def _known(self) -> dict[str, str]:
        return {
            "seesaw.kind": "parent",
            **{f"seesaw.{name}": value for name, value in self.identity.items()},
        }

    def _read(self, experiment: str) -> None:
        """Reads the server's state; removes one of two runs with the same key, which a late answer
        makes possible.
        """
        mine = " and ".join(
            f"tags.`seesaw.{name}` = '{self.identity[name]}'" for name in ("run", "dataset")
        )
        nodes = StoredRun.search(self.store, experiment, mine)
        if parents := [node for node in nodes if self._known.items() <= node.tags.items()]:
            self._nodes = {(): parents[-1]}  # the oldest
            for node in [
                each for each in nodes if each.tags.get("seesaw.parent") == parents[-1].run_id
            ]:
                key = key_of(node.tags)
                if (there := self._nodes.setdefault(key, node)) is not node:
                    other, self._nodes[key] = sorted(
                        (there, node), key=lambda each: len(each.metrics)
                    )
                    other.ask("remove", "delete_run")

    def _put(self, wanted: TargetRun, experiment: str) -> bool:
        """Creates or updates a run; returns whether it changed. Replaces a failed one that was
        tried again.
        """
        node = self._nodes.get(wanted.key)
        if node and wanted.key and node.status == "FAILED" != wanted.status:
            self._nodes.pop(wanted.key).ask("remove", "delete_run")
            node = None
        node = node or self._begin(wanted, experiment)
        sent = node.send(wanted.values, wanted.params, wanted.tags)
        changed = wanted.status is not None and node.set_status(wanted.status, wanted.ended)
        return changed or sent > 0

    def _begin(self, wanted: TargetRun, experiment: str, tries: int = TRIES) -> StoredRun:
        """Creates a run, or finds the one that MLflow created although its answer was lost."""
        key, tags = wanted.key, wanted.tags
        if key:
            parent, inside = self._nodes[()], self._nodes[key[:1] if len(key) > 1 else ()]
            nested = {"mlflow.parentRunId": inside.run_id, "seesaw.parent": parent.run_id}
            tags = {**tags, **nested, **{tag: parent.tags[tag] for tag in CARRIED}}
        try:
            self._nodes[key] = StoredRun.create(
                self.store, experiment, wanted.name, tags, wanted.started
            )
        except TrackingError:
            if tries == 1:
                raise
            time.sleep(PAUSE)
            self._read(experiment)
        return self._nodes.get(key) or self._begin(wanted, experiment, tries - 1)


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

    def section(self, history: History, *, identity: Texts, **more: Any) -> Section:
        """Adds the part of one data set; arguments as for `Section`."""
        made = Section(self.store, history, identity=identity, live=self._live, **more)
        self.sections[identity["dataset"]] = made
        return made

    @property
    def sent(self) -> Counter[str]:
        """Counts of sent items, by kind."""
        return sum((section.sent for section in self.sections.values()), Counter())

    def finish(self, ending: Ending, ended: float, patience: float, most: float = math.inf) -> bool:
        """Sends everything missing and closes all sections; returns whether all was sent.

        Waits while requests are answered; stops after `patience` seconds without an answer, `most`
        seconds in all, or two failures in a row. Nothing is sent after that. Reraises an error of
        the thread other than `TrackingError`.
        """
        self._ending, self._failures = (ending, ended), 0
        self._finishing.set()
        began = monotonic()
        while self._failures < GIVE_UP and not self._ended.wait(0.05):
            silent = monotonic() - max(began, self.store.answered)
            if (
                silent > (STARTING if self.store.starting else patience)
                or monotonic() - began > most
            ):
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
                self.trouble, self._failures = str(error), self._failures + 1
            except BaseException as error:  # a bug: `finish` raises it
                self._bug = error
                self._ended.set()
            # back off while the server fails, but wake up when `finish` is called
            time.sleep(0.5) if last else self._finishing.wait(
                min(LONGEST_PAUSE, 2.0**self._failures)
            )

    def _send(self, last: bool) -> None:
        each_in_turn(
            lambda section: section.send(*(self._ending if last else ())),
            list(self.sections.values()),
        )


def each_in_turn(do: Callable[[Any], object], items: Iterable[Any]) -> None:
    """Applies `do` to each item, continuing after errors but not after `HOPELESS` in a row; raises
    the first.
    """
    first: TrackingError | None = None
    in_a_row = 0
    for item in items:
        try:
            do(item)
            in_a_row = 0
        except TrackingError as error:
            first, in_a_row = first or error, in_a_row + 1
            if in_a_row == HOPELESS:
                break
    if first:
        raise first
