"""One run of a suite on a data set, as MLflow's parent run, with a nested run for each trial and each replicate."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from bench.frontier.frontier import Frontier
from bench.frontier.policy import Pick
from bench.records import Replicate, TrialRecord
from bench.tracking import values
from bench.tracking.node import Node
from bench.tracking.store import Store
from bench.tracking.values import Point

Ending = Literal["FINISHED", "FAILED", "KILLED"]

HYPERVOLUME = "hypervolume"
BY_SAMPLES = "hypervolume.by_samples"
TABLE = "frontier.json"
CARRIED = ("seesaw.run", "seesaw.suite", "seesaw.dataset", "seesaw.space")
"""Tags of the parent that its trials carry, too, so that one query finds them."""


class Parent:
    """What the driver logs to. Everything may be logged again: what is there already is not written twice.

    Every method raises a `TrackingError` where the store cannot be reached.
    """

    def __init__(self, store: Store, experiment: str, node: Node) -> None:
        self._store = store
        self._experiment = experiment
        self._node = node
        self._trials: dict[int, Node] = {}
        self._replicates: dict[tuple[int, int], Node] = {}
        self._steps: set[int] = set()

    @classmethod
    def begin(cls, store: Store, experiment: str, name: str, tags: Mapping[str, str]) -> Parent:
        """A new parent run in the experiment of that id."""
        return cls(store, experiment, Node.create(store, experiment, name, {"seesaw.kind": "parent", **tags}))

    @classmethod
    def resume(cls, store: Store, experiment: str, node: Node, tags: Mapping[str, str]) -> Parent:
        """A parent run that is there, with what was logged to it. A nested run cut off half-written is removed."""
        parent = cls(store, experiment, node)
        node.reopen()
        node.update(tags=tags)
        for nested in Node.search(store, experiment, f"tags.`seesaw.parent` = '{node.run_id}'"):
            if nested.status == "RUNNING":
                nested.delete()
            elif nested.tags["seesaw.kind"] == "trial":
                parent._trials[int(nested.tags["seesaw.trial"])] = nested
            else:
                parent._replicates[int(nested.tags["seesaw.trial"]), int(nested.tags["seesaw.replicate"])] = nested
        parent._steps = node.steps(HYPERVOLUME)
        return parent

    @property
    def run_id(self) -> str:
        """MLflow's id of the parent run."""
        return self._node.run_id

    def log_trial(self, record: TrialRecord) -> None:
        """Logs a finished trial and those of its replicates that are not there yet; an unfinished one is left out."""
        if record.state not in values.STATUS:
            return
        node = self._trials.get(record.number)
        if node is not None and node.tags["seesaw.state"] != record.state:  # it was tried again
            node.delete()
            node = None
        if node is None:
            node = self._new_trial(record)
            self._trials[record.number] = node
        for replicate in record.replicates:
            key = record.number, replicate.replicate
            if key not in self._replicates:
                self._replicates[key] = self._new_replicate(record, replicate, node)

    def log_hypervolume(self, step: int, value: float) -> None:
        """Logs the hypervolume of all trials up to number `step`."""
        if step not in self._steps:
            self._node.write([Point(HYPERVOLUME, value, step)])
            self._steps.add(step)

    def log_hypervolume_at(self, samples: int, value: float) -> None:
        """Logs the hypervolume when a search by rungs had trained so many samples in all."""
        self._node.write([Point(BY_SAMPLES, value, samples)])

    def log_front(self, frontier: Frontier, pick: Pick | None, page: Path | None) -> None:
        """Logs who is on the front and who is picked, the frontier as a table (JSON and parquet), and the page.

        On the trials: tags `front.on_front` and `seesaw.picked` ("true" or "false") and `front.rank`, replicate
        means and deviations, and P(non-dominated) as `front.p_nondominated`. Hypervolume steps that a crash kept from
        the parent are filled in.
        """
        history = frontier.history[~frontier.history["trial"].isin(self._steps)]
        if "samples" in history:  # by rungs: it is logged by samples
            history = history.iloc[:0]
        missing = [Point(HYPERVOLUME, float(v), int(t)) for t, v in history[["trial", "hypervolume"]].to_numpy()]
        self._node.write(missing)
        self._steps |= {point.step for point in missing}

        placed = values.front_of(frontier, pick)
        for number, node in self._trials.items():
            node.update(*placed.get(number, ([], values.UNPLACED)))
        self._node.update(
            [
                Point("front.hypervolume", frontier.hypervolume),
                Point("front.size", float(frontier.table["on_front"].sum())),
            ],
            {
                "seesaw.picked": str(pick.trial) if pick else "none",
                "seesaw.pick_reason": (pick.reason if pick else "none")[: values.LONGEST_TAG],
                "mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}]),  # shows it as a table
            },
        )
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder)
            frontier.write(files)
            (files / TABLE).write_text(frontier.table.to_json(orient="split", index=False), encoding="utf-8")
            (files / "front.json").write_text(json.dumps(frontier.to_json(), indent=2), encoding="utf-8")
            if pick:
                (files / "picked.json").write_text(json.dumps(pick.to_json(), indent=2), encoding="utf-8")
            self._node.add_files(files)
        if page:
            self._node.add_files(page)

    def close(self, status: Ending) -> None:
        """Ends the parent run."""
        self._node.end(status)

    def _new_trial(self, record: TrialRecord) -> Node:
        node = self._nested(
            f"{record.number} {record.architecture}", values.trial_tags(record), self._node, record.started
        )
        node.write(values.points(record), values.params(record))
        node.end(values.STATUS[record.state], record.started + record.seconds if record.started else 0.0)
        return node

    def _new_replicate(self, record: TrialRecord, replicate: Replicate, inside: Node) -> Node:
        name = f"{record.number} {record.architecture} replicate {replicate.replicate}"
        node = self._nested(name, values.replicate_tags(record, replicate), inside)
        node.write(values.replicate_points(replicate), values.params(record))
        node.end("FAILED" if replicate.failure else "FINISHED")
        return node

    def _nested(self, name: str, tags: Mapping[str, str], inside: Node, started: float = 0.0) -> Node:
        carried = {tag: self._node.tags[tag] for tag in CARRIED}
        nested = {"mlflow.parentRunId": inside.run_id, "seesaw.parent": self._node.run_id}
        return Node.create(self._store, self._experiment, name, {**tags, **carried, **nested}, started)
