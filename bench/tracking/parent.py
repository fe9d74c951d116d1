"""One run of a suite on a data set, as MLflow's parent run, with a nested run for each trial and each replicate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from bench.records import Replicate, TrialRecord
from bench.tracking import values
from bench.tracking.nested import Nested
from bench.tracking.node import RUNNING, Node
from bench.tracking.store import Store, TrackingError
from bench.tracking.values import Point
from bench.tracking.volumes import BY_SAMPLES, HYPERVOLUME

Ending = Literal["FINISHED", "FAILED", "KILLED"]

CARRIED = ("seesaw.run", "seesaw.suite", "seesaw.dataset", "seesaw.space")
"""Tags of the parent that its trials carry, too, so that one query finds them."""
HOPELESS = 3  # failures in a row
LONGEST_DIGEST = 36  # characters that MLflow takes


class Parent:
    """What is logged to. Everything may be logged again, after an error, too: what is there is not written twice.

    Every method raises a `TrackingError` where the store cannot be reached.

    Attributes:
        experiment: its id.
        node: the parent run.
        nested: the runs below it.
        sent: how many trials, replicates, points of hypervolume and fronts were sent from here.
    """

    def __init__(self, store: Store, experiment: str, node: Node) -> None:
        self.experiment = experiment
        self.node = node
        self._store = store
        self.nested = Nested(store, experiment, node)
        self.sent: Counter[str] = Counter()
        self._steps: dict[str, set[int]] = {HYPERVOLUME: set(), BY_SAMPLES: set()}

    @classmethod
    def begin(cls, store: Store, experiment: str, name: str, tags: Mapping[str, str]) -> Parent:
        """A new parent run in the experiment of that id."""
        return cls(store, experiment, Node.create(store, experiment, name, {"seesaw.kind": "parent", **tags}))

    @classmethod
    def resume(cls, store: Store, experiment: str, node: Node, tags: Mapping[str, str], live: bool) -> Parent:
        """A parent run that is there, with what was logged to it; `live` marks it as going on."""
        parent = cls(store, experiment, node)
        if live:
            node.reopen()
        node.update(tags=tags)
        parent.nested.load()
        parent._steps = {metric: node.steps(metric) for metric in parent._steps}
        return parent

    @property
    def run_id(self) -> str:
        """MLflow's id of the parent run."""
        return self.node.run_id

    def has(self, record: TrialRecord) -> bool:
        """Whether all that is to be logged of a trial is there."""
        node = self.nested.get(record.number)
        if record.state not in values.STATUS:
            return not record.rungs or (node is not None and values.count(node.tags, values.RUNGS) == len(record.rungs))
        ended = node is not None and node.status != RUNNING and node.tags.get(values.STATE) == record.state
        return ended and all(self._is_whole(record, each) for each in record.replicates)

    def log_trial(self, record: TrialRecord) -> None:
        """Logs what is not there yet of a trial and its replicates. A trial without any result yet is left out.

        In a search by rungs a run begins with the trial's first rung, has a value of each metric for each rung, and is
        closed when the trial is over: one batch for each job. Where a search that was over goes on, it is opened again.
        """
        if self.has(record):
            return
        ended = record.state in values.STATUS
        node = self.nested.get(record.number)
        if node and node.status != RUNNING and node.tags[values.STATE] == "pruned" and record.rungs:
            if values.count(node.tags, values.RUNGS) < len(record.rungs):
                node.reopen()
        elif node and node.status != RUNNING and node.tags[values.STATE] != record.state:  # it was tried again
            self.nested.drop((record.number, 0, ""))
            node = None
        if node is None:
            tags = {**values.trial_tags(record), **values.UNPLACED, **self._carried}
            node = self.nested.make((record.number, 0, ""), _name(record), tags, self.node, record.started)
        if node.status == RUNNING:
            rungs, curve = values.count(node.tags, values.RUNGS), values.count(node.tags, values.CURVE)
            new = {} if rungs or curve else values.params(record)
            node.write(values.points(record, rungs, curve, ended), new, values.trial_tags(record) | values.done(record))
            if ended:
                node.end(values.STATUS[record.state], record.started + record.seconds if record.started else 0.0)
            self.sent["trials"] += 1
        for replicate in record.replicates:
            if not self._is_whole(record, replicate):
                self._log_replicate(record, replicate, node)

    def log_all(self, records: Iterable[TrialRecord]) -> None:
        """Logs what is missing of all trials. One that the store refuses keeps no other from it.

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
        """Logs those points of the hypervolume that are not there."""
        new = [point for point in points if point.step not in self._steps[point.name]]
        self.node.write(new)
        for point in new:
            self._steps[point.name].add(point.step)
        self.sent["hypervolumes"] += len(new)

    def describe(self, params: Mapping[str, str], name: str, digest: str, source: str) -> None:
        """Logs parameters that are not there, and the data set as the run's input.

        Args:
            name, digest, source: of the data: its key, its fingerprint, and where it comes from.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self.node.write(params={key: value for key, value in params.items() if key not in self.node.params})
        data = Dataset(name, digest[:LONGEST_DIGEST], "card", source)
        self.node.read(DatasetInput(data, [InputTag("mlflow.data.context", "train")]))

    def show(self, view: str, columns: Sequence[str]) -> None:
        """Keeps columns of the experiment's runs table as a view, which a link names."""
        tag, state = f"mlflow.sharedViewState.{view}", json.dumps({"selectedColumns": list(columns)})
        self._store.ask(
            f"store the view '{view}'", lambda client: client.set_experiment_tag(self.experiment, tag, state)
        )

    def close(self, status: Ending, ended: float = 0.0) -> None:
        """Ends the parent run; `ended` is in seconds since 1970, 0 for now."""
        self.nested.tidy()
        if self.node.status != status:
            self.node.end(status, ended)

    @property
    def _carried(self) -> dict[str, str]:
        return {tag: self.node.tags[tag] for tag in CARRIED}

    def _is_whole(self, record: TrialRecord, replicate: Replicate) -> bool:
        return self.nested.is_whole(record.number, replicate.replicate, values.stopped(replicate.until))

    def _log_replicate(self, record: TrialRecord, replicate: Replicate, inside: Node) -> None:
        key = record.number, replicate.replicate, values.stopped(replicate.until)
        tags = {**values.replicate_tags(record, replicate), **self._carried}
        name = f"{_name(record)} · seed {replicate.replicate}"
        name += f" to {replicate.until} samples" if replicate.until else ""
        node = self.nested.get(*key) or self.nested.make(key, name, tags, inside)
        node.write(values.replicate_points(replicate), values.params(record))
        node.end("FAILED" if replicate.failure else "FINISHED")
        self.sent["replicates"] += 1


def _name(record: TrialRecord) -> str:
    return f"{record.architecture} trial {record.number}"
