"""Addresses of MLflow stores: checked before anything is asked of them, and without credentials from then on."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from bench.credentials import separated, shown, with_password
from bench.errors import UserError

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
"""MLflow reads them for a server; for a database we hand the password on, and libpq has its own ways besides."""
REMOTE = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
EXAMPLES = (
    "http://HOST:PORT, https://HOST, databricks, sqlite:///FILE, postgresql://.., mysql://.., mssql://.., file:.."
)


def kind(uri: str) -> str:
    """The scheme without its driver: `postgresql` of `postgresql+psycopg2://..`."""
    return "databricks" if uri == "databricks" else urlsplit(uri).scheme.partition("+")[0]


def plain_address(uri: str) -> str:
    """The address as it is kept and shown; whether the store is there is not looked at.

    Credentials in it become `USERNAME` and `PASSWORD` of this process. A relative path of a file is made absolute.

    Raises:
        UserError: an unknown scheme, or a part is missing. The sentence has no password.
    """
    known = {*REMOTE, *DATABASES, "file", *(entry.name for entry in entry_points(group="mlflow.tracking_store"))}
    found = separated(uri, "--tracking")
    server = uri.startswith(("http://", "https://"))
    plain = found.host if server else found.address
    try:
        scheme, parts = kind(plain), urlsplit(plain)
        whole = scheme in known
        if scheme in ("http", "https"):
            whole = bool(parts.hostname) and parts.port != 0
        elif scheme == "sqlite":  # three slashes: a file, not a host
            whole = not parts.netloc and parts.path.strip("/") != ""
    except ValueError:  # a bracket or a port that is none
        whole = False
    if not whole:
        raise UserError(f"--tracking: expected an MLflow address ({EXAMPLES}), found '{shown(uri)}'")
    if server and found.user:
        os.environ[USERNAME] = found.user
    if found.password is not None:
        os.environ[PASSWORD] = found.password
    return _absolute(plain, scheme)


def secret_address(plain: str) -> str:
    """The address to connect to: that of a database with the password from the environment, where it has a user."""
    return with_password(plain, os.environ.get(PASSWORD)) if kind(plain) in DATABASES[1:] else plain


def _absolute(plain: str, scheme: str) -> str:
    if scheme == "sqlite":
        path, question, query = plain.partition(":///")[2].partition("?")
        return f"{plain.partition(':')[0]}:///{_whole(path)}{question}{query}"
    path = plain.removeprefix("file:")
    return f"file:{_whole(path)}" if scheme == "file" and not path.startswith("/") else plain


def _whole(path: str) -> str:
    return os.path.abspath(Path(path).expanduser())
