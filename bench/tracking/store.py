"""The way into MLflow: quiet, without telemetry, and with its failures in words."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import UserError, unknown

if TYPE_CHECKING:
    from mlflow import MlflowClient

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to --json
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # seven, with their growing pauses, are minutes without a word
}
"""Read by MLflow as it is imported or used; what the user has set stays."""


class TrackingError(UserError):
    """The MLflow store cannot be read or written; the text names its address."""


@dataclass(frozen=True)
class Store:
    """A client and the address it talks to."""

    client: MlflowClient
    uri: str

    @classmethod
    def connect(cls, uri: str) -> Store:
        """The store at an address; a new sqlite file is made (seconds).

        Raises:
            TrackingError: it cannot be reached.
        """
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every migration of a new store
        from mlflow import MlflowClient

        with _named(uri, "list experiments"):
            store = cls(MlflowClient(tracking_uri=uri, registry_uri=uri), uri)
            store.client.search_experiments(max_results=1)
        return store

    @contextmanager
    def reaching(self, to: str) -> Iterator[MlflowClient]:
        """Gives the client, and turns what it raises into a `TrackingError` that says what was tried and where."""
        with _named(self.uri, to):
            yield self.client

    def experiment(self, name: str) -> str:
        """The id of an experiment.

        Raises:
            UserError: there is none of that name.
        """
        with self.reaching(f"find the experiment '{name}'") as client:
            found = client.get_experiment_by_name(name)
            known = [] if found else [each.name for each in client.search_experiments()]
        if found is None:
            raise unknown("experiment", name, known)
        return str(found.experiment_id)

    def make_experiment(self, name: str, artifacts: str | None) -> str:
        """The id of an experiment, which is made if need be.

        Args:
            artifacts: where a new one keeps its files; None leaves it to the server.
        """
        with self.reaching(f"open the experiment '{name}'") as client:
            found = client.get_experiment_by_name(name)
            return str(found.experiment_id) if found else client.create_experiment(name, artifact_location=artifacts)


@contextmanager
def _named(uri: str, to: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # MLflow lets errors of sqlalchemy, requests and the file system through
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise TrackingError(f"could not {to} in the MLflow store at {uri}: {reason}") from error
