"""Addresses: what can be none is refused at once, what may be one is not asked anything, and no password is kept."""

import os
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from bench.credentials import separated
from bench.errors import UserError
from bench.tracking import Logbook, plain_address
from bench.tracking.address import PASSWORD, USERNAME, secret_address
from bench.tracking.store import Store, TrackingError

GOOD = (
    "http://127.0.0.1:5000",
    "https://mlflow.example.org/team",
    "http://[::1]:5000",
    "https://user:word@host",
    "databricks",
    "databricks://profile",
    "sqlite:///runs.db",
    "sqlite:////data/runs.db",
    "postgresql+psycopg2://me@host/db",
    "mysql+pymysql://me@host/db",
    "file:///data/mlruns",
)
BAD = (
    "",
    "127.0.0.1:5000",
    "localhost:5000",
    "mlruns",
    "htp://host:5000",
    "http:/host:5000",
    "http://",
    "http://:5000",
    "http://host:port",
    "http://host:70000",
    "http://[::1:5000",
    "http://[::1/x",
    "sqlite://runs.db",
    "sqlite:///",
    "sqlite:",
    "postgres://host/db",
    "uc:http://host",
)


@pytest.mark.parametrize("uri", GOOD)
def test_what_may_be_an_address_passes(uri, monkeypatch):
    for name in (USERNAME, PASSWORD):
        monkeypatch.setenv(name, "")
    assert plain_address(uri).startswith(uri.partition(":")[0])


@pytest.mark.parametrize("uri", BAD)
def test_what_cannot_be_one_is_refused_in_one_sentence(uri, tmp_path):
    with pytest.raises(
        UserError, match=r"^--tracking: expected an MLflow address \(http://HOST:PORT, .*\), found "
    ) as e:
        Logbook(uri, tmp_path)
    assert str(e.value).endswith(f"found '{uri.replace(':port', ':***')}'")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("uri", [uri for uri in (*GOOD, *BAD) if not uri.startswith(("http", "sqlite:", "databricks"))])
def test_mlflow_knows_the_same_schemes(uri):
    """But for a folder without `file:`, which we refuse: more often it is a server's name without `http://`."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    try:
        _tracking_store_registry.get_store_builder(uri)
        known = True
    except MlflowException:
        known = False
    refused_later = urlsplit(uri).scheme in ("", "uc")  # MLflow has no runs in Unity Catalog
    assert known == (uri in GOOD or refused_later)


@pytest.mark.parametrize(
    ("uri", "plain", "user", "word"),
    [
        ("https://me:s3cret@host/x", "https://host/x", "me", "s3cret"),
        ("http://me:a@s3cret@host:5000", "http://host:5000", "me", "a@s3cret"),
        ("http://me:a/s3cret@host", "http://host", "me", "a/s3cret"),
        ("http://me@host", "http://host", "me", "before"),
        ("mysql+pymysql://me:s3cret:%40@host/db", "mysql+pymysql://me@host/db", "before", "s3cret:@"),
        ("postgresql://me@host/db?password=s3cret&sslmode=require", "postgresql://me@host/db?sslmode=require",
         "before", "s3cret"),
    ],
)  # fmt: skip
def test_credentials_go_to_the_environment_and_from_there_to_the_store(uri, plain, user, word, monkeypatch):
    for name in (USERNAME, PASSWORD):
        monkeypatch.setenv(name, "before")
    assert plain_address(uri) == plain
    assert (os.environ[USERNAME], os.environ[PASSWORD]) == (user, word)
    assert plain_address(plain) == plain
    if "sql" in uri:
        assert separated(secret_address(plain), "").password == word
    else:
        assert secret_address(plain) == plain


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:s3cret@host:port",
        "http://me:a?s3cret@host",
        "postgresql://host/s3cret@db",
        "me:s3cret@host:5000",
        "http://me:s3cret",
        "postgresql://me@host/db?sslpassword=s3cret",
        "mssql+pyodbc:///?odbc_connect=PWD%3Ds3cret",
        "http://host?access_token=s3cret",
        "htp://me:a#s3cret@host",
    ],
)
def test_what_is_refused_is_refused_without_its_password(uri):
    with pytest.raises(UserError, match=r"^--tracking: expected ") as error:
        plain_address(uri)
    assert "cret" not in str(error.value)


@pytest.mark.parametrize("uri", ["sqlite:///runs/my@own.db", "file:runs", "file:./runs"])
def test_a_file_s_path_is_made_absolute(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(urlsplit(plain_address(uri)).path.replace("//", "/"))
    assert path.parts[: len(tmp_path.parts)] == tmp_path.parts
    assert plain_address(plain_address(uri)) == plain_address(uri)


@pytest.mark.parametrize("to", ["http://me:s3cret@127.0.0.1:1", "http://me:s3cret@nowhere.invalid"])
def test_a_server_that_is_not_there_is_told_in_a_sentence_of_ours(to, monkeypatch):
    for name in (USERNAME, PASSWORD):
        monkeypatch.setenv(name, "")
    with pytest.raises(TrackingError) as error:
        Store.connect(to)
    assert str(error.value).startswith("could not list experiments in the MLflow store at http://")
    assert ": nothing answers there (" in str(error.value)
    assert not any(word in str(error.value) for word in ("s3cret", "HTTPConnection", "urllib", "retries"))


def test_a_server_is_asked_with_the_credentials_of_the_environment(monkeypatch):
    """As `resume` and `sync` do, to which the stored address gives none."""
    heard = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.headers["Authorization"])
            self.send_error(401)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    monkeypatch.setenv(USERNAME, "me")
    monkeypatch.setenv(PASSWORD, "s3cret")
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TrackingError) as error:
            Store.connect(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert set(heard) == {"Basic " + b64encode(b"me:s3cret").decode()}
    assert "s3cret" not in str(error.value)
