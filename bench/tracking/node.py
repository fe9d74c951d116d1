"""A run in MLflow and what it has, so that only what is missing is sent.

MLflow keeps one value of a metric for the same step and time. All times come from the records, never from the clock, so
sending a value twice changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from bench.tracking.store import MlflowStore
from bench.tracking.values import RUNNING, Point, inward, outward

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run, RunTag
    from mlflow.store.entities import PagedList

MOST_METRICS = 800  # a batch takes 1000 entries in all, 100 of them params and 100 tags
MOST_TEXTS = 100
NONE: Mapping[str, str] = {}

Points = Sequence[Point]
Texts = Mapping[str, str]
Missing = tuple[list[Point], dict[str, str], dict[str, str]]


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
        cls, store: MlflowStore, experiment: str, name: str, tags: Mapping[str, str], started: float = 0.0
    ) -> Node:
        """A new run; `started` is in seconds since 1970, 0 for now. MLflow may have made it even where this raises."""
        all_tags = {**tags, "mlflow.source.name": "seesaw", "mlflow.source.type": "LOCAL"}
        began = _milliseconds(started or time.time())
        to = f"begin the run '{name}'"
        run = store.ask(to, lambda client: client.create_run(experiment, began, all_tags, name), tries=1)
        return cls.of(store, run)

    @classmethod
    def search(cls, store: MlflowStore, experiment: str, condition: str) -> list[Node]:
        """All runs of an experiment that meet a condition, the newest first."""
        found: list[Node] = []
        token: str | None = None
        while True:
            page = store.ask("search runs", partial(_page, experiment, condition, token))
            found += [cls.of(store, run) for run in page]
            token = page.token
            if not token:
                return found

    @property
    def name(self) -> str:
        """The run's name."""
        return self.tags.get("mlflow.runName", self.run_id)

    def missing(self, points: Points = (), params: Texts = NONE, tags: Texts = NONE) -> Missing:
        """The points, params and tags that the run does not have. Earlier steps than a metric's latest are there."""
        return (
            [point for point in points if self._lacks(point)],
            {name: value for name, value in params.items() if name not in self.params},
            {name: value for name, value in tags.items() if self.tags.get(name) != value},
        )

    def send(self, points: Points = (), params: Texts = NONE, tags: Texts = NONE) -> int:
        """Sends what is missing, in one batch where MLflow's limits allow it; how many values that were."""
        from mlflow.entities import Metric, Param, RunTag

        new, named, tagged = self.missing(points, params, tags)
        metrics = [Metric(outward(p.name), p.value, _milliseconds(p.time) or self.started, p.step) for p in new]
        settings = [Param(name, value) for name, value in named.items()]
        labels = [RunTag(name, value) for name, value in tagged.items()]
        for at in count():
            texts = slice(at * MOST_TEXTS, (at + 1) * MOST_TEXTS)
            batch = metrics[at * MOST_METRICS : (at + 1) * MOST_METRICS], settings[texts], labels[texts]
            if not any(batch):
                break
            self.store.ask(f"log to the run '{self.name}'", partial(_log, self.run_id, *batch))
        self.metrics |= {point.name: point.value for point in new}
        self.steps |= {point.name: point.step for point in new}
        self.params |= named
        self.tags |= tagged
        return len(new) + len(named) + len(tagged)

    def set_status(self, status: str, ended: float = 0.0) -> bool:
        """Closes the run, or opens it again; whether that was needed. `ended` is in seconds since 1970, 0 for now."""
        if self.status == status:
            return False
        if status == RUNNING:
            self.store.ask(f"reopen the run '{self.name}'", lambda client: client.update_run(self.run_id, status))
        else:
            at = _milliseconds(ended or time.time())
            self.store.ask(
                f"close the run '{self.name}'", lambda client: client.set_terminated(self.run_id, status, at)
            )
        self.status = status
        return True

    def add_files(self, files: Sequence[Path]) -> None:
        """Stores files as artifacts, each by a request of its own; one of the same name is replaced."""
        for file in files:
            self.store.ask(f"store {file.name} with the run '{self.name}'", partial(_store, self.run_id, file))

    def delete(self) -> None:
        """Moves the run to MLflow's bin."""
        self.store.ask(f"remove the run '{self.name}'", lambda client: client.delete_run(self.run_id))

    def _lacks(self, point: Point) -> bool:
        there = self.steps.get(point.name)
        if there is None or point.step > there:
            return True
        return point.step == there and self.metrics[point.name] != point.value


def _page(experiment: str, condition: str, token: str | None, client: MlflowClient) -> PagedList[Run]:
    return client.search_runs([experiment], condition, max_results=1000, page_token=token)


def _log(run: str, values: list[Metric], params: list[Param], tags: list[RunTag], client: MlflowClient) -> None:
    client.log_batch(run, values, params, tags)


def _store(run: str, file: Path, client: MlflowClient) -> None:
    client.log_artifact(run, str(file))


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
