"""One data set's part of a run as MLflow's parent run, with a nested run for each trial and each replicate.

Each value is compared with MLflow's before it is sent. So everything may be sent again, also after an error or a kill.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from bench.records import TrialRecord
from bench.tracking.node import NONE, Node
from bench.tracking.store import PAUSE, REMOTE, TRIES, MlflowStore, Pulse, TrackingError, kind
from bench.tracking.values import BY_SAMPLES, HYPERVOLUME, RUNNING, UNTIL, Point, Wanted, replicate_run, trial_run

Ending = Literal["FINISHED", "FAILED", "KILLED"]

CARRIED = ("seesaw.run", "seesaw.suite", "seesaw.dataset", "seesaw.space")
"""Tags of the parent that its trials carry, too, so that one query finds them."""
HOPELESS = 3  # failures in a row
LONGEST_DIGEST = 36  # characters that MLflow takes


class Key(NamedTuple):
    """The key of a run below a parent: a trial, or a replicate with its `values.UNTIL`."""

    trial: int
    replicate: int = 0
    until: str = ""


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
        self._store = MlflowStore.connect(self.uri, pulse)

    def open_parent(
        self,
        *,
        live: bool = True,
        params: Mapping[str, str] = NONE,
        tags: Mapping[str, str] = NONE,
        source: str = "",
        **identity: str | int,
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
        run, suite, dataset = own["run"], own["suite"], own["dataset"]
        asked = {name: value for name, value in own.items() if name not in ("run", "created")}
        known = {f"seesaw.{name}": value for name, value in own.items()}
        experiment = self._store.make_experiment(experiment_name(suite), self._artifacts)
        begun = "tags.`seesaw.kind` = 'parent' and tags.`seesaw.run` = '{}'".format(run.replace("'", "\\'"))
        there = [each for each in Node.search(self._store, experiment, begun) if known.items() <= each.tags.items()]
        if there:
            node = there[-1]  # the oldest, should a late answer have made two
            if live:
                node.set_status(RUNNING)
        else:
            name, first = f"{run} {dataset} {own['space']}", {"seesaw.kind": "parent", **known, **tags}
            node = Node.create(self._store, experiment, name, first)
        node.send(params={**asked, **params}, tags=tags)
        data = Dataset(dataset, own["fingerprint"][:LONGEST_DIGEST], "card", source)
        read = [DatasetInput(data, [InputTag("mlflow.data.context", "train")])]
        self._store.ask(  # sent again, it is there once
            f"log the data of the run '{node.name}'", lambda client: client.log_inputs(node.run_id, read)
        )
        parent = Parent(self._store, experiment, node)
        if there:
            parent.load()
        return parent


class Parent:
    """A parent run and the runs below it. Every method raises a `TrackingError` where the store cannot be reached.

    Attributes:
        experiment: its id.
        node: the parent run.
        nested: the runs below it that are known.
        sent: how many trials, replicates, points of hypervolume and fronts were sent from here.
    """

    def __init__(self, store: MlflowStore, experiment: str, node: Node) -> None:
        self._store = store
        self.experiment = experiment
        self.node = node
        self.nested: dict[Key, Node] = {}
        self.sent: Counter[str] = Counter()

    def load(self) -> None:
        """Reads what is there. Of two runs of one key, which a late answer makes possible, one is removed."""
        for node in Node.search(self._store, self.experiment, f"tags.`seesaw.parent` = '{self.node.run_id}'"):
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

    def has(self, record: TrialRecord) -> bool:
        """Whether MLflow has all of a trial."""
        return all(
            (node := self.nested.get(key)) is not None
            and node.status == wanted.status
            and not any(node.missing(wanted.points, wanted.params, wanted.tags))
            for key, wanted in _runs(record)
        )

    def log_trial(self, record: TrialRecord) -> None:
        """Sends what is missing of a trial and its replicates. A trial without any result yet is left out.

        In a search by rungs that is one batch for each job. A run that failed and was tried again is replaced.
        """
        for key, wanted in _runs(record):
            node = self.nested.get(key)
            if node is not None and node.status == "FAILED" != wanted.status:
                node.delete()
                del self.nested[key]
            node = self.nested.get(key) or self._make(key, wanted)
            sent = node.send(wanted.points, wanted.params, wanted.tags)
            if node.set_status(wanted.status, wanted.ended) or sent:
                self.sent["replicates" if key.replicate else "trials"] += 1

    def log_all(self, records: Iterable[TrialRecord]) -> None:
        """Sends what is missing of all trials. One that the store refuses keeps no other from it.

        Raises:
            TrackingError: the first that there was.
        """
        first: TrackingError | None = None
        failures = 0
        for record in records:
            try:
                self.log_trial(record)
                failures = 0
            except TrackingError as error:
                first = first or error
                failures += 1
                if failures == HOPELESS:
                    break
        if first:
            raise first

    def log_volumes(self, points: Sequence[Point]) -> None:
        """Sends the points of the hypervolume that are missing."""
        assert {point.name for point in points} <= {HYPERVOLUME, BY_SAMPLES}
        self.sent["hypervolumes"] += self.node.send(points)

    def show(self, view: str, columns: Sequence[str]) -> None:
        """Keeps columns of the experiment's runs table as a view, which a link names."""
        tag, state = f"mlflow.sharedViewState.{view}", json.dumps({"selectedColumns": list(columns)})
        self._store.ask(
            f"store the view '{view}'", lambda client: client.set_experiment_tag(self.experiment, tag, state)
        )

    def close(self, status: Ending, ended: float = 0.0) -> None:
        """Ends the parent run; `ended` is in seconds since 1970, 0 for now."""
        self.node.set_status(status, ended)

    def _make(self, key: Key, wanted: Wanted) -> Node:
        """A new run; found instead, where MLflow made it and its answer was lost."""
        inside = self.nested[Key(key.trial)] if key.replicate else self.node
        nested = {"mlflow.parentRunId": inside.run_id, "seesaw.parent": self.node.run_id}
        tags = {**wanted.tags, **{tag: self.node.tags[tag] for tag in CARRIED}, **nested}
        for left in reversed(range(TRIES)):
            try:
                self.nested[key] = Node.create(self._store, self.experiment, wanted.name, tags, wanted.started)
            except TrackingError:
                if not left:
                    raise
                time.sleep(PAUSE)
                self.load()
            if key in self.nested:
                break
        return self.nested[key]


def _runs(record: TrialRecord) -> Iterator[tuple[Key, Wanted]]:
    """The run of a trial, then those of its replicates."""
    trial = trial_run(record)
    if trial is None:
        return
    yield Key(record.number), trial
    for replicate in record.replicates:
        wanted = replicate_run(record, replicate)
        yield Key(record.number, replicate.replicate, wanted.tags[UNTIL]), wanted
