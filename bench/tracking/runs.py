"""Runs in MLflow: each is compared with what it should hold, and `log_batch` sends only the rest.

A data set's part of a run is a parent, with a nested run for each trial and each replicate. MLflow keeps one value of a
metric for the same step and time. All times come from the records, never from the clock, so sending a value twice
changes nothing: everything may be sent again, also after an error or a kill.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from bench.records import TrialRecord
from bench.tracking.store import PAUSE, REMOTE, TRIES, MlflowStore, Pulse, TrackingError, kind
from bench.tracking.values import RUNNING, UNTIL, Point, Wanted, inward, outward, replicate_run, trial_run

if TYPE_CHECKING:
    from mlflow.entities import Run

Ending = Literal["FINISHED", "FAILED", "KILLED"]
Texts = Mapping[str, str]

MOST_METRICS, MOST_TEXTS = 800, 100  # a batch takes 1000 entries in all, 100 of them params and 100 tags
LONGEST_DIGEST = 36  # characters that MLflow takes
CARRIED = ("seesaw.run", "seesaw.suite", "seesaw.dataset", "seesaw.space")
"""Tags of the parent that its trials carry, too, so that one query finds them."""
NONE: Texts = {}


@dataclass
class Node:
    """A run.

    Attributes:
        started: milliseconds since 1970; the time of every value that has none of its own.
        metrics: the latest value of each.
        steps: the step of that value.
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
        """A new run; `started` is in seconds since 1970, 0 for now. MLflow may have made it even where this raises."""
        known = {**tags, "mlflow.source.name": "seesaw", "mlflow.source.type": "LOCAL"}
        make = methodcaller("create_run", experiment, _milliseconds(started or time.time()), known, name)
        return cls.of(store, store.ask(f"begin the run '{name}'", make, tries=1))

    @classmethod
    def search(cls, store: MlflowStore, experiment: str, condition: str) -> list[Node]:
        """All runs of an experiment that meet a condition, the newest first."""
        found: list[Node] = []
        token: str | None = ""
        while token is not None:
            ask = methodcaller("search_runs", [experiment], condition, max_results=1000, page_token=token or None)
            page = store.ask("search runs", ask)
            found += [cls.of(store, run) for run in page]
            token = page.token or None
        return found

    @property
    def name(self) -> str:
        """The run's name."""
        return self.tags.get("mlflow.runName", self.run_id)

    def send(self, points: Sequence[Point] = (), params: Texts = NONE, tags: Texts = NONE) -> int:
        """Sends what the run does not have, in one batch where MLflow's limits allow it; how many values that were.

        Steps of a metric before its latest are there.
        """
        from mlflow.entities import Metric, Param, RunTag

        new = [point for point in points if self._lacks(point)]
        named = {name: value for name, value in params.items() if name not in self.params}
        tagged = {name: value for name, value in tags.items() if self.tags.get(name) != value}
        metrics = [Metric(outward(p.name), p.value, _milliseconds(p.time) or self.started, p.step) for p in new]
        settings = [Param(name, value) for name, value in named.items()]
        labels = [RunTag(name, value) for name, value in tagged.items()]
        for at in count():
            texts = slice(at * MOST_TEXTS, (at + 1) * MOST_TEXTS)
            batch = metrics[at * MOST_METRICS : (at + 1) * MOST_METRICS], settings[texts], labels[texts]
            if not any(batch):
                break
            self.store.ask(f"log to the run '{self.name}'", methodcaller("log_batch", self.run_id, *batch))
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
            self.store.ask(f"reopen the run '{self.name}'", methodcaller("update_run", self.run_id, status))
        else:
            close = methodcaller("set_terminated", self.run_id, status, _milliseconds(ended or time.time()))
            self.store.ask(f"close the run '{self.name}'", close)
        self.status = status
        return True

    def delete(self) -> None:
        """Moves the run to MLflow's bin."""
        self.store.ask(f"remove the run '{self.name}'", methodcaller("delete_run", self.run_id))


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def experiment_name(suite: str) -> str:
    """The experiment of a suite, given by its name or by the path of its file."""
    path = Path(suite)
    name = path.stem if path.suffix == ".toml" else path.name
    return f"seesaw/{path.resolve().parent.name if name == 'suite' else name}"


class Tracker:
    """A store of runs.

    Args:
        uri: an MLflow address, or None for a sqlite file at home.
        home: also where artifacts are kept, unless the address is a server, which keeps its own.

    Raises:
        TrackingError: the store cannot be reached.
    """

    def __init__(self, uri: str | None, home: Path, pulse: Pulse | None = None) -> None:
        home = home.resolve()
        if uri is None:
            home.mkdir(parents=True, exist_ok=True)
        self.uri = uri or f"sqlite:///{home / 'mlflow.db'}"
        self._artifacts = None if kind(self.uri) in REMOTE else (home / "mlartifacts").as_uri()
        self._store = MlflowStore(self.uri, pulse)

    def open_parent(
        self, *, live: bool = True, params: Texts = NONE, tags: Texts = NONE, source: str = "", **identity: str | int
    ) -> Parent:
        """The parent run of one data set's part of a run: a new one, or the one that an earlier execution began.

        Args:
            live: whether one that is there is marked as going on.
            params: what was asked for and stays; tags: what may change, such as a budget that is raised.
            source: where the data come from.
            identity: what tells the part from others: `run, suite, dataset, space, seed`, `fingerprint` of the encoded
                store, and when the run was `created`: an earlier run of the same name may be gone from this machine.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        own = {name: str(value) for name, value in identity.items()}
        asked = {name: value for name, value in own.items() if name not in ("run", "created")}
        known = {f"seesaw.{name}": value for name, value in own.items()}
        experiment = self._store.make_experiment(experiment_name(own["suite"]), self._artifacts)
        begun = "tags.`seesaw.kind` = 'parent' and tags.`seesaw.run` = '{}'".format(own["run"].replace("'", "\\'"))
        there = [each for each in Node.search(self._store, experiment, begun) if known.items() <= each.tags.items()]
        if there:
            node = there[-1]  # the oldest, should a late answer have made two
            if live:
                node.set_status(RUNNING)
        else:
            name = f"{own['run']} {own['dataset']} {own['space']}"
            node = Node.create(self._store, experiment, name, {"seesaw.kind": "parent", **known, **tags})
        node.send(params={**asked, **params}, tags=tags)
        data = Dataset(own["dataset"], own["fingerprint"][:LONGEST_DIGEST], "card", source)
        read = [DatasetInput(data, [InputTag("mlflow.data.context", "train")])]
        # sent again, it is there once
        self._store.ask(f"log the data of the run '{node.name}'", methodcaller("log_inputs", node.run_id, read))
        parent = Parent(self._store, experiment, node)
        if there:
            parent.load()
        return parent


class Key(NamedTuple):
    """The key of a run below a parent: a trial, or a replicate with its `values.UNTIL`."""

    trial: int
    replicate: int = 0
    until: str = ""


class Parent:
    """A parent run and the runs below it. Every method raises a `TrackingError` where the store cannot be reached.

    Attributes:
        experiment: its id.
        node: the parent run.
        nested: the runs below it that are known.
        sent: how many trials, replicates, points of hypervolume and fronts were sent from here.
    """

    def __init__(self, store: MlflowStore, experiment: str, node: Node) -> None:
        self.store, self.experiment, self.node = store, experiment, node
        self.nested: dict[Key, Node] = {}
        self.sent: Counter[str] = Counter()

    def load(self) -> None:
        """Reads what is there. Of two runs of one key, which a late answer makes possible, one is removed."""
        for node in Node.search(self.store, self.experiment, f"tags.`seesaw.parent` = '{self.node.run_id}'"):
            replicate = int(node.tags.get("seesaw.replicate", "0"))
            key = Key(int(node.tags["seesaw.trial"]), replicate, node.tags[UNTIL] if replicate else "")
            known = self.nested.setdefault(key, node)
            if known.run_id != node.run_id:
                self.nested[key], other = (node, known) if len(node.metrics) > len(known.metrics) else (known, node)
                other.delete()

    @property
    def trials(self) -> dict[int, Node]:
        """The trials' runs by number."""
        return {key.trial: node for key, node in self.nested.items() if not key.replicate}

    def log_trial(self, record: TrialRecord) -> None:
        """Sends what is missing of a trial and its replicates. A trial without any result yet is left out.

        In a search by rungs that is one batch for each job.
        """
        trial = trial_run(record)
        if trial is None:
            return
        self._put(Key(record.number), trial, "trials")
        for replicate in record.replicates:
            wanted = replicate_run(record, replicate)
            self._put(Key(record.number, replicate.replicate, wanted.tags[UNTIL]), wanted, "replicates")

    def _put(self, key: Key, wanted: Wanted, of: str) -> None:
        """Makes a run what it should be. One that failed and was tried again is replaced."""
        if key in self.nested and self.nested[key].status == "FAILED" != wanted.status:
            self.nested.pop(key).delete()
        node = self.nested.get(key) or self._make(key, wanted)
        sent = node.send(wanted.points, wanted.params, wanted.tags)
        if node.set_status(wanted.status, wanted.ended) or sent:
            self.sent[of] += 1

    def _make(self, key: Key, wanted: Wanted) -> Node:
        """A new run; found instead, where MLflow made it and its answer was lost."""
        inside = self.nested[Key(key.trial)] if key.replicate else self.node
        nested = {"mlflow.parentRunId": inside.run_id, "seesaw.parent": self.node.run_id}
        tags = {**wanted.tags, **{tag: self.node.tags[tag] for tag in CARRIED}, **nested}
        for left in reversed(range(TRIES)):
            try:
                self.nested[key] = Node.create(self.store, self.experiment, wanted.name, tags, wanted.started)
            except TrackingError:
                if not left:
                    raise
                time.sleep(PAUSE)
                self.load()
            if key in self.nested:
                break
        return self.nested[key]
