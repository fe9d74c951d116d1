"""Access to MLflow: a quiet import, requests whose failures are one sentence, and runs."""

from __future__ import annotations

import errno
import logging
import math
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.app.tracking.target_state import NONE, RUNNING, MetricValue, Texts, inward, outward
from bench.core.errors import UserError, unknown
from bench.core.system.atomic import no_room, rename, scratch_folder, writable
from bench.core.system.credentials import (
    DATABASES,
    SERVERS,
    home_address,
    kind,
    plain_address,
    scrubbed,
    secret_address,
    shown,
)
from bench.core.system.lock import in_turn

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FILES = "seesaw.files"
"""Tag of an experiment in the store at home: the last written address of its files."""
PLACES = (
    ("experiment_tags", "value"),
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns in which MLflow keeps absolute addresses of files."""
TRIES = 3
PAUSE = 0.2  # seconds between them
LONGEST_TAG = 5000  # characters
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to --json
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds; the default is 120
}
"""Environment variables that MLflow reads on import or use; the user's values take precedence."""
LOG_LEVELS = {
    "alembic": logging.WARNING,  # logs every migration of a new store
    "mlflow.store.db.utils": logging.CRITICAL,  # logs a traceback for a locked database
    "mlflow.utils.databricks_utils": logging.CRITICAL,  # logs the profile
}
NO_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""Always set: MLflow would also retry the creation of a run whose answer was lost, and create
two.
"""


class TrackingError(UserError):
    """The MLflow store cannot be read or written; the text names its address."""


class MlflowStore:
    """An MLflow store. The first request opens it and creates a missing sqlite file (seconds).

    Create it in the main thread: it imports everything of MLflow that the store needs. If two
    threads import packages that need each other, Python breaks the deadlock by an error, or returns
    a partially initialised module; torch, optuna and MLflow share many packages. Later another
    thread may import MLflow's own packages.

    Args:
        uri: its address; None for the store at home.
        home: place of new experiments' files, unless the store is a server.

    Attributes:
        answered: time of the last answer, by `time.monotonic`; 0 before.
        starting: whether the first request has still to create a file's tables, which takes local
            time but ends.
        over: whether sending has ended.

    Raises:
        UserError: no store can have that address.
    """

    def __init__(self, uri: str | None, home: Path | None = None) -> None:
        if uri is None and home is not None:
            home.mkdir(parents=True, exist_ok=True)
            uri = home_address(home)
        self.uri = plain_address(uri or "")
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        os.environ.update(NO_RETRIES)
        for logger, level in LOG_LEVELS.items():
            logging.getLogger(logger).setLevel(level)
        import_module("mlflow")
        import_module("mlflow.entities")
        if kind(self.uri) in DATABASES:
            import_module("mlflow.store.tracking.sqlalchemy_workspace_store")
        self._artifacts: str | None = None
        if home is not None and kind(self.uri) not in SERVERS:
            self._artifacts = (home.resolve() / "mlartifacts").as_uri()
        self._client: MlflowClient | None = None
        self.answered = 0.0
        self.starting = self.is_missing
        self.over = False

    @property
    def is_missing(self) -> bool:
        """Whether it is a sqlite file that does not exist, or has no tables."""
        if kind(self.uri) != "sqlite":
            return False
        return not (self._file.is_file() and self._file.stat().st_size)

    @property
    def _file(self) -> Path:
        return Path(self.uri.partition(":///")[2])

    @property
    def _beside(self) -> str:
        """Address of the artifacts beside this sqlite file; empty for other stores."""
        if kind(self.uri) != "sqlite":
            return ""
        return (self._file.resolve().parent / "mlartifacts").as_uri()

    def _open(self) -> MlflowClient:
        if self._client is None:
            from mlflow import MlflowClient

            try:
                self._make_file()
                self._move_files()
                secret = secret_address(self.uri)
                self._client = MlflowClient(tracking_uri=secret, registry_uri=secret)
            finally:
                self.starting = False
        return self._client

    def _make_file(self) -> None:
        """Creates a missing sqlite file with all tables or not at all: MLflow refuses one with
        some.
        """
        file = self._file
        if not self.is_missing:
            return
        with in_turn(writable(file.parent) / f"{file.name}.lock"):
            if self.is_missing:
                from mlflow import MlflowClient

                with scratch_folder(file) as folder:
                    MlflowClient(tracking_uri=self.uri.replace(str(file), str(folder / file.name)))
                    rename(folder / file.name, file)

    def _move_files(self) -> None:
        """Updates artifact addresses in a sqlite file that was copied or moved with its home.

        Otherwise the old files would be written. Only for experiments created in their home's own
        store.
        """
        new = self._beside
        if not new or not os.access(self._file, os.W_OK):
            return
        query = f"SELECT DISTINCT value FROM experiment_tags WHERE key = '{FILES}'"
        with closing(sqlite3.connect(self._file)) as database, database:
            addresses = {address for (address,) in database.execute(query).fetchall()}
            for old in addresses - {new}:
                for table, column in PLACES:
                    database.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, {len(old) + 1}) "
                        f"WHERE substr({column} || '/', 1, {len(old) + 1}) = ?",
                        (new, f"{old}/"),
                    )

    def ask(self, to: str, method: str, *args: Any, tries: int = TRIES, **options: Any) -> Any:
        """Calls a method of MLflow's client; raises TrackingError on failure, or if sending has
        ended.

        `to` describes the request in the error; `tries` is 1 for requests that must not be
        repeated.
        """
        failed = f"could not {to} in the MLflow store at {shown(self.uri)}"
        for number in range(1, tries + 1):
            if self.over:
                break
            try:
                answer = getattr(self._open(), method)(*args, **options)
                self.answered = time.monotonic()
                return answer
            except Exception as error:  # of MLflow, sqlalchemy, requests or the file system
                if number == tries:
                    raise TrackingError(f"{failed}: {_reason(error)}") from error
                time.sleep(PAUSE)
        raise TrackingError(f"{failed}: no more time was given")

    def search(self, to: str, method: str, *args: Any) -> list[Any]:
        """All results of one of the client's searches, page by page; arguments as for `ask`."""
        page = self.ask(to, method, *args)
        results = list(page)
        while page.token:
            page = self.ask(to, method, *args, page_token=page.token)
            results += page
        return results

    def experiment(self, name: str, make: bool = False) -> str:
        """The id of an experiment; a missing one is created, or else is a UserError that names the
        existing ones.
        """
        to = f"open the experiment '{name}'"
        existing = self.ask(to, "get_experiment_by_name", name)
        if existing is not None:
            return str(existing.experiment_id)
        if not make:
            experiments = self.search(to, "search_experiments")
            raise unknown("experiment", name, [experiment.name for experiment in experiments])
        tags = None
        if self._artifacts and self._artifacts == self._beside:
            tags = {FILES: self._artifacts}
        # If the answer is lost, the next call finds it.
        return str(self.ask(to, "create_experiment", name, self._artifacts, tags, tries=1))


def _reason(error: BaseException) -> str:
    """The reason of a failed request, in a line: the system's words if there was no answer, else
    MLflow's.
    """
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout

    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    if any(isinstance(cause, Timeout) for cause in chain):
        return "it does not answer in time"
    for cause in chain:
        full = no_room(cause, "")
        if full is not None:  # MLflow reports that a path is wrong
            return os.strerror(full.number or errno.ENOSPC)
    if any(isinstance(cause, NoConnection) for cause in chain):
        for cause in reversed(chain):
            if isinstance(cause, OSError) and cause.strerror:
                return f"nothing answers there ({cause.strerror.lower()})"
        return "nothing answers there"
    lines = scrubbed(str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@dataclass
class StoredRun:
    """A run in a store, with the latest value of each metric and its step.

    `started`, in milliseconds since 1970, is the time of values without their own.
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
    def _of(cls, store: MlflowStore, run: Run) -> StoredRun:
        data, info = run.data, run.info
        return cls(
            store,
            info.run_id,
            info.status,
            info.start_time,
            metrics={inward(name): value for name, value in data.metrics.items()},
            steps={inward(metric.key): metric.step for metric in data.to_proto().metrics},
            params=dict(data.params),
            tags=dict(data.tags),
        )

    @classmethod
    def create(
        cls, store: MlflowStore, experiment: str, name: str, tags: Texts, started: float = 0.0
    ) -> StoredRun:
        """Creates a run. `started` is in seconds since 1970, 0 for now."""
        tags = {**_cut(tags), "mlflow.source.name": "seesaw", "mlflow.source.type": "LOCAL"}
        start = _milliseconds(started or time.time())
        to = f"begin the run '{name}'"
        run = store.ask(to, "create_run", experiment, start, tags, name, tries=1)
        return cls._of(store, run)

    @classmethod
    def search(cls, store: MlflowStore, experiment: str, condition: str) -> list[StoredRun]:
        """All runs of an experiment that meet a condition, the newest first."""
        runs = store.search("search runs", "search_runs", [experiment], condition)
        return [cls._of(store, run) for run in runs]

    @classmethod
    @contextmanager
    def open(
        cls, store: MlflowStore, experiment: str, name: str, tags: Texts
    ) -> Iterator[StoredRun]:
        """Creates a run in a named experiment, and closes it: as finished, or else as failed or
        killed.
        """
        node = cls.create(store, store.experiment(experiment, make=True), name, tags)
        try:
            yield node
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            with suppress(TrackingError):  # the first error is reported
                node.set_status(status)
            raise
        node.set_status("FINISHED")

    def send(
        self, values: Sequence[MetricValue] = (), params: Texts = NONE, tags: Texts = NONE
    ) -> int:
        """Sends the values, parameters and tags that the run lacks; returns their number.

        Earlier steps of a metric than its latest are assumed present. Values that are not finite
        are left out: MLflow would store infinity as a large number. Tags are cut to MLflow's limit.
        MLflow splits large batches.
        """
        from mlflow.entities import Metric, Param, RunTag

        new_values = [value for value in values if self._lacks(value)]
        new_params = {name: text for name, text in params.items() if name not in self.params}
        new_tags = {name: text for name, text in _cut(tags).items() if self.tags.get(name) != text}
        count = len(new_values) + len(new_params) + len(new_tags)
        if count:
            metrics = []
            for value in new_values:
                timestamp = _milliseconds(value.time) or self.started
                metrics.append(Metric(outward(value.name), value.value, timestamp, value.step))
            self.ask(
                "log to",
                "log_batch",
                metrics,
                [Param(name, text) for name, text in new_params.items()],
                [RunTag(name, text) for name, text in new_tags.items()],
            )
        for value in new_values:
            self.metrics[value.name] = value.value
            self.steps[value.name] = value.step
        self.params |= new_params
        self.tags |= new_tags
        return count

    def _lacks(self, value: MetricValue) -> bool:
        if not math.isfinite(value.value):
            return False
        last_step = self.steps.get(value.name, -1)
        if value.step == last_step:
            return self.metrics[value.name] != value.value
        return value.step > last_step

    def set_status(self, status: str, ended: float = 0.0) -> bool:
        """Closes or reopens the run; returns whether that was needed. `ended` is in seconds since
        1970, 0 for now.
        """
        if self.status == status:
            return False
        if status == RUNNING:
            self.ask("reopen", "update_run", status)
        else:
            self.ask("close", "set_terminated", status, _milliseconds(ended or time.time()))
        self.status = status
        return True

    def ask(self, to: str, method: str, *args: Any) -> None:
        """Calls a method of MLflow's client for the run; `to` describes the request, for the
        error's text.
        """
        name = self.tags.get("mlflow.runName", self.run_id)
        self.store.ask(f"{to} the run '{name}'", method, self.run_id, *args)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _cut(tags: Texts) -> dict[str, str]:
    return {name: value[:LONGEST_TAG] for name, value in tags.items()}
