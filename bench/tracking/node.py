"""A run in MLflow, with what is known to be there already, so that nothing is written twice."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.tracking.store import Store
from bench.tracking.values import Point, batches

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass
class Node:
    """A run and, as far as they are known, its status and the newest values of its metrics, params and tags."""

    store: Store
    run_id: str
    status: str
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]

    @classmethod
    def of(cls, store: Store, run: Run) -> Node:
        """The node of a run as MLflow gives it."""
        data = run.data
        return cls(store, run.info.run_id, run.info.status, dict(data.metrics), dict(data.params), dict(data.tags))

    @classmethod
    def create(cls, store: Store, experiment: str, name: str, tags: Mapping[str, str], started: float = 0.0) -> Node:
        """A new run; `started` is in seconds since 1970, 0 for now."""
        source = {"mlflow.source.name": "seesaw", "mlflow.source.type": "LOCAL"}
        with store.reaching(f"begin the run '{name}'") as client:
            return cls.of(store, client.create_run(experiment, _milliseconds(started), {**tags, **source}, name))

    @classmethod
    def search(cls, store: Store, experiment: str, condition: str) -> list[Node]:
        """All runs of an experiment that meet a condition, the newest first."""
        found: list[Node] = []
        token: str | None = None
        while True:
            with store.reaching("search runs") as client:
                page = client.search_runs([experiment], condition, max_results=1000, page_token=token)
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

        now = _milliseconds()
        for points, named, tagged in batches(metrics, params or {}, tags or {}):
            with self.store.reaching(f"log to the run '{self.name}'") as client:
                client.log_batch(
                    self.run_id,
                    [Metric(point.name, point.value, now, point.step) for point in points],
                    [Param(name, value) for name, value in named],
                    [RunTag(name, value) for name, value in tagged],
                )
        self.metrics |= {point.name: point.value for point in metrics}
        self.params |= params or {}
        self.tags |= tags or {}

    def update(self, metrics: Sequence[Point] = (), tags: Mapping[str, str] | None = None) -> None:
        """Writes those values that differ from what is there."""
        new = [point for point in metrics if self.metrics.get(point.name) != point.value]
        self.write(new, tags={name: value for name, value in (tags or {}).items() if self.tags.get(name) != value})

    def add_files(self, path: Path) -> None:
        """Stores a file, or the files of a folder, as artifacts."""
        with self.store.reaching(f"store {path.name} with the run '{self.name}'") as client:
            if path.is_dir():
                client.log_artifacts(self.run_id, str(path))
            else:
                client.log_artifact(self.run_id, str(path))

    def steps(self, metric: str) -> set[int]:
        """The steps at which a metric was logged."""
        with self.store.reaching(f"read '{metric}' of the run '{self.name}'") as client:
            return {int(each.step) for each in client.get_metric_history(self.run_id, metric)}

    def reopen(self) -> None:
        """Marks the run as going on."""
        with self.store.reaching(f"reopen the run '{self.name}'") as client:
            client.update_run(self.run_id, status="RUNNING")
        self.status = "RUNNING"

    def end(self, status: str, ended: float = 0.0) -> None:
        """Closes the run; `ended` is in seconds since 1970, 0 for now."""
        with self.store.reaching(f"close the run '{self.name}'") as client:
            client.set_terminated(self.run_id, status, _milliseconds(ended))
        self.status = status

    def delete(self) -> None:
        """Moves the run to MLflow's bin."""
        with self.store.reaching(f"remove the run '{self.name}'") as client:
            client.delete_run(self.run_id)


def _milliseconds(seconds: float = 0.0) -> int:
    return int((seconds or time.time()) * 1000)
