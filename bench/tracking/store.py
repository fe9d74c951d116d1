"""The way into MLflow: addresses without credentials, a quiet import, and requests whose failures are one sentence."""

from __future__ import annotations

import logging
import os
import re
import time
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.credentials import scrubbed, separated, shown, with_password
from bench.errors import UserError, unknown

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRIES = 3
PAUSE = 0.2  # seconds between them

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
"""MLflow reads them for a server; for a database we hand the password on, and libpq has its own ways besides."""
SERVERS = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
EXAMPLES = (
    "http://HOST:PORT, https://HOST, databricks, sqlite:///FILE, postgresql://.., mysql://.., mssql://.., file:.."
)
PATHS = {"sqlite": r"(?<=:///)[^?]+", "file": r"(?<=file:)(?!/).+"}
"""Where an address has the path of a file."""


def kind(uri: str) -> str:
    """The scheme without its driver: `postgresql` of `postgresql+psycopg2://..`."""
    return "databricks" if uri == "databricks" else urlsplit(uri).scheme.partition("+")[0]


def home_address(home: Path) -> str:
    """The address of the store at home, a sqlite file."""
    return f"sqlite:///{home.resolve() / 'mlflow.db'}"


def plain_address(uri: str) -> str:
    """The address as it is kept and shown; whether the store is there is not looked at.

    Credentials in it become `USERNAME` and `PASSWORD` of this process. A relative path of a file is made absolute.

    Raises:
        UserError: an unknown scheme, or a part is missing. The sentence has no password.
    """
    known = {*SERVERS, *DATABASES, "file", *(entry.name for entry in entry_points(group="mlflow.tracking_store"))}
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
    path = PATHS.get(scheme)
    return re.sub(path, lambda at: os.path.abspath(os.path.expanduser(at[0])), plain, count=1) if path else plain


def secret_address(plain: str) -> str:
    """The address to connect to: that of a database with the password from the environment, where it has a user."""
    return with_password(plain, os.environ.get(PASSWORD)) if kind(plain) in DATABASES[1:] else plain


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


class MlflowStore:
    """An MLflow store. The first request opens it, which makes a sqlite file that is not there (seconds).

    Args:
        uri: its address; None for the store at home.
        home: where new experiments keep their files, unless the store is a server, which keeps its own.

    Attributes:
        answered: the time of the last answer, by `time.monotonic`; 0 before.
        starting: the first request will make a file's tables, or is at it: work of this machine that ends by itself.
        over: whether nothing more is to be sent.

    Raises:
        UserError: no store can have that address.
    """

    def __init__(self, uri: str | None, home: Path | None = None) -> None:
        if uri is None:
            assert home is not None, "expected an address or a home"
            home.mkdir(parents=True, exist_ok=True)
            uri = home_address(home)
        self.uri = plain_address(uri)
        load(self.uri)  # in the thread of the caller: see there
        local = home if kind(self.uri) not in SERVERS else None
        self._artifacts = (local.resolve() / "mlartifacts").as_uri() if local else None
        self._client: MlflowClient | None = None
        self.answered, self.starting, self.over = 0.0, self.is_missing, False

    @property
    def is_missing(self) -> bool:
        """Whether it is a sqlite file that is not there yet, or has no tables."""
        file = Path(self.uri.partition(":///")[2].partition("?")[0])
        return kind(self.uri) == "sqlite" and not (file.is_file() and file.stat().st_size)

    def _open(self) -> MlflowClient:
        if self._client is None:
            from mlflow import MlflowClient

            try:
                secret = secret_address(self.uri)
                self._client = MlflowClient(tracking_uri=secret, registry_uri=secret)
            finally:
                self.starting = False
        return self._client

    def ask(self, to: str, method: str, *args: Any, tries: int = TRIES, **options: Any) -> Any:
        """What a method of MLflow's client gives, which is tried again where that does no harm.

        Args:
            to: what is tried, for the error's text.
            tries: 1 for what must not be done twice.

        Raises:
            TrackingError: what MLflow raised, or nothing more is to be sent.
        """
        failed = f"could not {to} in the MLflow store at {self.uri}"
        for left in reversed(range(tries)):
            if self.over:
                break
            try:
                answer = getattr(self._open(), method)(*args, **options)
                self.answered = time.monotonic()
                return answer
            except Exception as error:  # MLflow lets errors of sqlalchemy, requests and the file system through
                if not left:
                    raise TrackingError(f"{failed}: {_reason(error)}") from error
                time.sleep(PAUSE)
        raise TrackingError(f"{failed}: no more time was given")

    def experiment(self, name: str, make: bool = False) -> str:
        """The id of an experiment.

        Args:
            make: one that is not there.

        Raises:
            UserError: there is none of that name.
        """
        to = f"open the experiment '{name}'"
        if (found := self.ask(to, "get_experiment_by_name", name)) is not None:
            return str(found.experiment_id)
        if make:  # where its answer is lost, the next one finds it
            return str(self.ask(to, "create_experiment", name, self._artifacts, tries=1))
        raise unknown("experiment", name, [each.name for each in self.ask(to, "search_experiments")])


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
