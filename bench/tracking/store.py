"""The way into MLflow: quiet, without telemetry, never asked twice unawares, and with its failures in words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bench.credentials import scrubbed
from bench.errors import UserError, unknown
from bench.tracking.address import PASSWORD, kind, plain_address, secret_address
from bench.tracking.loading import load

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

TRIES = 3
PAUSE = 0.2  # seconds between them


class TrackingError(UserError):
    """The MLflow store cannot be read or written; the text names its address."""


@dataclass
class Pulse:
    """Whether a store still gets somewhere.

    Attributes:
        answers: how many requests were answered.
        starting: work of this machine that ends by itself is under way: a new file's tables are made.
        over: nothing more is to be sent.
    """

    answers: int = 0
    starting: bool = True
    over: bool = False


@dataclass(frozen=True)
class Store:
    """A client and the address it talks to."""

    client: MlflowClient
    uri: str
    pulse: Pulse = field(default_factory=Pulse)

    @classmethod
    def connect(cls, uri: str, pulse: Pulse | None = None) -> Store:
        """The store at an address; a new sqlite file is made (seconds).

        Raises:
            TrackingError: it cannot be reached.
        """
        uri = plain_address(uri)
        load(uri)
        pulse = pulse or Pulse()
        from mlflow import MlflowClient

        file = Path(uri.partition(":///")[2])
        pulse.starting = kind(uri) == "sqlite" and not (file.is_file() and file.stat().st_size)
        try:
            with _named(uri, "list experiments"):
                secret = secret_address(uri)
                store = cls(MlflowClient(tracking_uri=secret, registry_uri=secret), uri, pulse)
            store.ask("list experiments", lambda client: client.search_experiments(max_results=1))
        finally:
            pulse.starting = False
        return store

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
                with _named(self.uri, to):
                    answer = do(self.client)
            except TrackingError:
                if not left:
                    raise
                time.sleep(PAUSE)
            else:
                self.pulse.answers += 1
                return answer
        raise AssertionError("tries is at least 1")

    def experiment(self, name: str) -> str:
        """The id of an experiment.

        Raises:
            UserError: there is none of that name.
        """
        to = f"find the experiment '{name}'"
        found = self.ask(to, lambda client: client.get_experiment_by_name(name))
        if found is None:
            raise unknown("experiment", name, [each.name for each in self.ask(to, lambda c: c.search_experiments())])
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


@contextmanager
def _named(uri: str, to: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # MLflow lets errors of sqlalchemy, requests and the file system through
        raise TrackingError(f"could not {to} in the MLflow store at {uri}: {_reason(error)}") from error


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
