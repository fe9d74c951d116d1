"""MLflow, imported: quiet, without telemetry, and asking nothing twice unawares."""

from __future__ import annotations

import logging
import os
from importlib import import_module

from bench.tracking.address import DATABASES, kind

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to --json
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # two minutes for a server that hangs are too many
}
"""Read by MLflow as it is imported or used; what the user has set stays."""
NO_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""Set whatever the user says: MLflow would also repeat the creation of a run whose answer was lost, and make two."""


def load(uri: str) -> None:
    """Imports all of MLflow that the store at an address needs; a second time costs nothing.

    For the main thread, before any other uses the store. Python locks modules one by one: where two threads import
    packages that need each other, it breaks the deadlock by an error or by handing out a module that is half made, and
    torch, optuna and MLflow share many packages. After this, another thread imports what MLflow alone uses.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.update(NO_RETRIES)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every migration of a new store
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback for each locked database
    for module in ("mlflow", "mlflow.entities"):
        import_module(module)
    if kind(uri) in DATABASES:
        import_module("mlflow.store.tracking.sqlalchemy_workspace_store")
