"""Runs in MLflow: each is compared with what it should hold, and `log_batch` sends only the rest.

A data set's part of a run is a parent, with a nested run for each trial and each replicate. MLflow keeps one value of a
metric for the same step and time. All times come from the records, never from the clock, so sending a value twice
changes nothing: everything may be sent again, also after an error or a kill. A run that MLflow made although its answer
was lost is looked for before another is made.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.records import TrialRecord
from bench.tracking.store import PAUSE, TRIES, MlflowStore, TrackingError
from bench.tracking.values import RUNNING, UNTIL, Point, Wanted, inward, outward, runs_of

if TYPE_CHECKING:
    from mlflow.entities import Run

Ending = Literal["FINISHED", "FAILED", "KILLED"]
Texts = Mapping[str, str]
Look = Callable[[], "Node | None"]

LONGEST_TAG, LONGEST_DIGEST = 5000, 36  # characters
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
    def create(
        cls, store: MlflowStore, experiment: str, name: str, tags: Texts, started: float = 0.0, look: Look | None = None
    ) -> Node:
        """A new run.

        Args:
            started: in seconds since 1970, 0 for now.
            look: looks whether MLflow made the run although it did not answer so. Without it, creation is tried once.
        """
        known = {**_cut(tags), "mlflow.source.name": "seesaw", "mlflow.source.type": "LOCAL"}
        of = experiment, _milliseconds(started or time.time()), known, name
        for left in reversed(range(TRIES if look else 1)):
            try:
                return cls.of(store, store.ask(f"begin the run '{name}'", "create_run", *of, tries=1))
            except TrackingError:
                if not left or look is None:
                    raise
                time.sleep(PAUSE)
                if (found := look()) is not None:
                    return found
        raise AssertionError("a creation is tried at least once")

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
            self._ask("log to", "log_batch", *batch)
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
            self._ask("reopen", "update_run", status)
        else:
            self._ask("close", "set_terminated", status, _milliseconds(ended or time.time()))
        self.status = status
        return True

    def delete(self) -> None:
        """Moves the run to MLflow's bin."""
        self._ask("remove", "delete_run")

    def keep(self, name: str, text: str) -> None:
        """Sends a file; one of the same name is replaced."""
        self._ask(f"store {name} with", "log_text", text, name)

    def read_data(self, name: str, fingerprint: str, source: str) -> None:
        """Sends what the run was trained on; sent again, it is there once."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name, fingerprint[:LONGEST_DIGEST], "card", source)
        self._ask("log the data of", "log_inputs", [DatasetInput(data, [InputTag("mlflow.data.context", "train")])])

    def _ask(self, to: str, method: str, *args: Any) -> None:
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


class Parent:
    """The parent run of one data set's part of a run, new or of an earlier execution, and the runs below it.

    Args:
        live: whether one that is there is marked as going on.
        sent: counts what is sent from here: trials, replicates, points of hypervolume and fronts.
        params: what was asked for and stays; tags: what may change, such as a budget that is raised.
        source: where the data come from.
        identity: what tells the part from others: `run, suite, dataset, space, seed`, `fingerprint` of the encoded
            store, and when the run was `created`: an earlier run of the same name may be gone from this machine.

    Attributes:
        experiment: its id.
        node: the parent run.
        nested: the runs below it, by `_key`.
    Raises:
        TrackingError: the store cannot be reached. So do all methods.
    """

    def __init__(
        self,
        store: MlflowStore,
        *,
        live: bool = True,
        sent: Counter[str] | None = None,
        params: Texts = NONE,
        tags: Texts = NONE,
        source: str = "",
        **identity: str | int,
    ) -> None:
        self.store, self.nested = store, dict[tuple[str, ...], Node]()
        self.sent = Counter[str]() if sent is None else sent
        own = {name: str(value) for name, value in identity.items()}
        known = {f"seesaw.{name}": value for name, value in own.items()}
        self.experiment = store.experiment(experiment_name(own["suite"]), make=True)
        begun = "tags.`seesaw.kind` = 'parent' and tags.`seesaw.run` = '{}'".format(own["run"].replace("'", "\\'"))

        def look() -> Node | None:
            found = [each for each in Node.search(store, self.experiment, begun) if known.items() <= each.tags.items()]
            return found[-1] if found else None  # the oldest, should a late answer have made two

        if (there := look()) is None:
            name, first = f"{own['run']} {own['dataset']} {own['space']}", {"seesaw.kind": "parent", **known, **tags}
            self.node = Node.create(store, self.experiment, name, first, look=look)
        else:
            self.node = there
            if live:
                self.node.set_status(RUNNING)
            self._load()
        asked = {name: value for name, value in own.items() if name not in ("run", "created")}
        self.node.send(params={**asked, **params}, tags=tags)
        self.node.read_data(own["dataset"], own["fingerprint"], source)

    def _load(self) -> None:
        """Reads what is there. Of two runs of one key, which a late answer makes possible, one is removed."""
        for node in Node.search(self.store, self.experiment, f"tags.`seesaw.parent` = '{self.node.run_id}'"):
            known = self.nested.setdefault(_key(node.tags), node)
            if known.run_id != node.run_id:
                kept, other = (node, known) if len(node.metrics) > len(known.metrics) else (known, node)
                self.nested[_key(node.tags)] = kept
                other.delete()

    def _look(self, key: tuple[str, ...]) -> Node | None:
        self._load()
        return self.nested.get(key)

    @property
    def trials(self) -> dict[int, Node]:
        """The trials' runs by number."""
        return {int(key[0]): node for key, node in self.nested.items() if len(key) == 1}

    def log_trial(self, record: TrialRecord) -> None:
        """Sends what is missing of a trial and its replicates. In a search by rungs that is one batch for each job."""
        for wanted in runs_of(record):
            self._put(wanted)

    def _put(self, wanted: Wanted) -> None:
        """Makes a run what it should be. One that failed and was tried again is replaced."""
        key = _key(wanted.tags)
        if key in self.nested and self.nested[key].status == "FAILED" != wanted.status:
            self.nested.pop(key).delete()
        if key not in self.nested:
            inside = self.nested[key[:1]] if len(key) > 1 else self.node
            tags = {tag: self.node.tags[tag] for tag in CARRIED}
            tags |= {**wanted.tags, "mlflow.parentRunId": inside.run_id, "seesaw.parent": self.node.run_id}
            look = partial(self._look, key)
            self.nested[key] = Node.create(self.store, self.experiment, wanted.name, tags, wanted.started, look)
        node = self.nested[key]
        sent = node.send(wanted.points, wanted.params, wanted.tags)
        if node.set_status(wanted.status, wanted.ended) or sent:
            self.sent["replicates" if len(key) > 1 else "trials"] += 1


def _key(tags: Texts) -> tuple[str, ...]:
    """What a run below a parent is: `(trial,)`, or `(trial, replicate, until)`."""
    of = (tags["seesaw.trial"],)
    return (*of, tags["seesaw.replicate"], tags[UNTIL]) if "seesaw.replicate" in tags else of
