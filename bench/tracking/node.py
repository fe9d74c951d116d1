"""A run in MLflow, with what is known to be there already, so that nothing is written twice.

MLflow keeps a metric's value once for the same step and time. All times here come from what is logged, never from the
clock, so that what may have arrived can be sent again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.tracking.batches import batches
from bench.tracking.names import inward, outward
from bench.tracking.store import Store
from bench.tracking.values import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run, RunTag
    from mlflow.store.entities import PagedList

RUNNING = "RUNNING"


@dataclass
class Node:
    """A run and, as far as they are known, its status and the newest values of its metrics, params and tags.

    Attributes:
        started: milliseconds since 1970; the time of every value that has none of its own.
    """

    store: Store
    run_id: str
    status: str
    started: int
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]

    @classmethod
    def of(cls, store: Store, run: Run) -> Node:
        """The node of a run as MLflow gives it."""
        data, info = run.data, run.info
        metrics = {inward(name): value for name, value in data.metrics.items()}
        known = metrics, dict(data.params), dict(data.tags)
        return cls(store, info.run_id, info.status, info.start_time, *known)

    @classmethod
    def create(cls, store: Store, experiment: str, name: str, tags: Mapping[str, str], started: float = 0.0) -> Node:
        """A new run; `started` is in seconds since 1970, 0 for now. Where it raises, the run may have been made."""
        all_tags = {**tags, "mlflow.source.name": "seesaw", "mlflow.source.type": "LOCAL"}
        began = _milliseconds(started or time.time())

        def create(client: MlflowClient) -> Run:
            return client.create_run(experiment, began, all_tags, name)

        return cls.of(store, store.ask(f"begin the run '{name}'", create, tries=1))

    @classmethod
    def search(cls, store: Store, experiment: str, condition: str) -> list[Node]:
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

    def write(
        self,
        metrics: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Adds values, in one batch where MLflow's limits allow it."""
        from mlflow.entities import Metric, Param, RunTag

        for points, named, tagged in batches(metrics, params or {}, tags or {}):
            values = [Metric(outward(p.name), p.value, _milliseconds(p.time) or self.started, p.step) for p in points]
            settings = [Param(name, value) for name, value in named]
            labels = [RunTag(name, value) for name, value in tagged]
            log = partial(_log, self.run_id, values, settings, labels)
            self.store.ask(f"log to the run '{self.name}'", log)
        self.metrics |= {point.name: point.value for point in metrics}
        self.params |= params or {}
        self.tags |= tags or {}

    def update(self, metrics: Sequence[Point] = (), tags: Mapping[str, str] | None = None) -> None:
        """Writes those values that differ from what is there."""
        new = [point for point in metrics if self.metrics.get(point.name) != point.value]
        self.write(new, tags={name: value for name, value in (tags or {}).items() if self.tags.get(name) != value})

    def add_files(self, path: Path) -> None:
        """Stores a file, or the files of a folder, as artifacts; one of the same name is replaced.

        Each by a request of its own: where every third one fails, a folder's four together would never succeed.
        """
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            self.store.ask(f"store {file.name} with the run '{self.name}'", partial(_store, self.run_id, file))

    def steps(self, metric: str) -> set[int]:
        """The steps at which a metric was logged."""
        if metric not in self.metrics:
            return set()
        to = f"read '{metric}' of the run '{self.name}'"
        history = self.store.ask(to, lambda client: client.get_metric_history(self.run_id, outward(metric)))
        return {int(each.step) for each in history}

    def read(self, data: DatasetInput) -> None:
        """Says what data the run read; said again, it is there once."""
        self.store.ask(f"log the data of the run '{self.name}'", lambda client: client.log_inputs(self.run_id, [data]))

    def reopen(self) -> None:
        """Marks the run as going on."""
        if self.status != RUNNING:
            self.store.ask(
                f"reopen the run '{self.name}'", lambda client: client.update_run(self.run_id, status=RUNNING)
            )
            self.status = RUNNING

    def end(self, status: str, ended: float = 0.0) -> None:
        """Closes the run; `ended` is in seconds since 1970, 0 for now."""
        at = _milliseconds(ended or time.time())
        self.store.ask(f"close the run '{self.name}'", lambda client: client.set_terminated(self.run_id, status, at))
        self.status = status

    def delete(self) -> None:
        """Moves the run to MLflow's bin."""
        self.store.ask(f"remove the run '{self.name}'", lambda client: client.delete_run(self.run_id))


def _page(experiment: str, condition: str, token: str | None, client: MlflowClient) -> PagedList[Run]:
    return client.search_runs([experiment], condition, max_results=1000, page_token=token)


def _log(run: str, values: list[Metric], params: list[Param], tags: list[RunTag], client: MlflowClient) -> None:
    client.log_batch(run, values, params, tags)


def _store(run: str, file: Path, client: MlflowClient) -> None:
    client.log_artifact(run, str(file))


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
