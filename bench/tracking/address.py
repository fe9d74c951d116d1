"""Addresses of MLflow stores. One that no store can have is known before anything is asked of it."""

from __future__ import annotations

from importlib.metadata import entry_points
from urllib.parse import urlsplit

from bench.errors import UserError

REMOTE = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
EXAMPLES = (
    "http://HOST:PORT, https://HOST, databricks, sqlite:///FILE, postgresql://.., mysql://.., mssql://.., file:.."
)


def kind(uri: str) -> str:
    """The scheme without its driver: `postgresql` of `postgresql+psycopg2://..`."""
    return "databricks" if uri == "databricks" else urlsplit(uri).scheme.partition("+")[0]


def check_address(uri: str) -> None:
    """Refuses what can be no store's address; whether the store is there is not looked at.

    Raises:
        UserError: an unknown scheme, or a part is missing.
    """
    known = {*REMOTE, *DATABASES, "file", *(entry.name for entry in entry_points(group="mlflow.tracking_store"))}
    try:
        scheme, parts = kind(uri), urlsplit(uri)
        whole = scheme in known
        if scheme in ("http", "https"):
            whole = bool(parts.hostname) and parts.port != 0
        elif scheme == "sqlite":  # three slashes: a file, not a host
            whole = not parts.netloc and parts.path.strip("/") != ""
    except ValueError:  # a bracket or a port that is none
        whole = False
    if not whole:
        raise UserError(f"--tracking: expected an MLflow address ({EXAMPLES}), found '{uri}'")
