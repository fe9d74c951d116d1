"""The way into MLflow: addresses without credentials, a quiet import, and requests whose failures are one sentence."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from bench.credentials import scrubbed, separated, shown, with_password
from bench.errors import UserError, unknown

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

TRIES = 3
PAUSE = 0.2  # seconds between them

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

    For the main thread, before any other uses the store. Python locks modules one by one. Where two threads import
    packages that need each other, it breaks the deadlock by an error, or by handing out a module that is half made.
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


class TrackingError(UserError):
    """The MLflow store cannot be read or written; the text names its address."""


@dataclass
class Pulse:
    """Tells whether a store still makes progress.

    Attributes:
        answers: how many requests were answered.
        starting: work of this machine that ends by itself is under way: a new file's tables are made.
        over: nothing more is to be sent.
    """

    answers: int = 0
    starting: bool = True
    over: bool = False


class MlflowStore:
    """A client and the address it talks to; a new sqlite file is made (seconds).

    Raises:
        TrackingError: it cannot be reached.
    """

    def __init__(self, uri: str, pulse: Pulse | None = None) -> None:
        self.uri, self.pulse = plain_address(uri), pulse or Pulse()
        load(self.uri)
        from mlflow import MlflowClient

        file, secret = Path(self.uri.partition(":///")[2]), secret_address(self.uri)
        self.pulse.starting = kind(self.uri) == "sqlite" and not (file.is_file() and file.stat().st_size)
        try:
            self.client = self._try("list experiments", lambda: MlflowClient(tracking_uri=secret, registry_uri=secret))
            self.ask("list experiments", methodcaller("search_experiments", max_results=1))
        finally:
            self.pulse.starting = False

    def ask(self, to: str, do: Callable[[MlflowClient], T], tries: int = TRIES) -> T:
        """What `do` gives, which is tried again where that does no harm.

        Args:
            to: what is tried, for the error's text.
            tries: 1 for what must not be done twice.

        Raises:
            TrackingError: what MLflow raised, or nothing more is to be sent.
        """
        for left in reversed(range(tries)):
            if self.pulse.over:
                raise TrackingError(f"could not {to} in the MLflow store at {self.uri}: no more time was given")
            try:
                answer = self._try(to, lambda: do(self.client))
            except TrackingError:
                if not left:
                    raise
                time.sleep(PAUSE)
            else:
                self.pulse.answers += 1
                return answer
        raise AssertionError("tries is at least 1")

    def _try(self, to: str, do: Callable[[], T]) -> T:
        try:
            return do()
        except Exception as error:  # MLflow lets errors of sqlalchemy, requests and the file system through
            raise TrackingError(f"could not {to} in the MLflow store at {self.uri}: {_reason(error)}") from error

    def experiment(self, name: str) -> str:
        """The id of an experiment.

        Raises:
            UserError: there is none of that name.
        """
        to = f"find the experiment '{name}'"
        found = self.ask(to, methodcaller("get_experiment_by_name", name))
        if found is None:
            known = self.ask(to, methodcaller("search_experiments"))
            raise unknown("experiment", name, [each.name for each in known])
        return str(found.experiment_id)

    def make_experiment(self, name: str, artifacts: str | None) -> str:
        """The id of an experiment, which is made if need be.

        Args:
            artifacts: where a new one keeps its files; None leaves it to the server.
        """

        def make(client: MlflowClient) -> str:  # a name is there once: done twice, the second finds the first
            found = client.get_experiment_by_name(name)
            return str(found.experiment_id) if found else client.create_experiment(name, artifact_location=artifacts)

        return self.ask(f"open the experiment '{name}'", make)


def _reason(error: BaseException) -> str:
    """Why a request failed, in a line: no answer in the system's words, anything else in MLflow's."""
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout

    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    if any(isinstance(each, Timeout) for each in chain):
        return "it does not answer in time"
    if any(isinstance(each, NoConnection) for each in chain):
        words = next((each.strerror for each in reversed(chain) if isinstance(each, OSError) and each.strerror), "")
        return f"nothing answers there{words and f' ({words.lower()})'}"
    lines = scrubbed(str(error), os.environ.get(PASSWORD)).strip().splitlines()
    return lines[0] if lines else type(error).__name__
