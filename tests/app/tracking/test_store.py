"""The way into MLflow: addresses without passwords, failures in words, nothing on standard
output.
"""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from found import history

from bench.app.tracking.logbook import DECISIONS, Logbook, log_decision
from bench.app.tracking.mlflow_store import MlflowStore, StoredRun, TrackingError
from bench.app.tracking.reading import frontier_of
from bench.core.errors import UserError
from bench.core.system.credentials import (
    PASSWORD,
    PROFILE,
    USERNAME,
    home_address,
    plain_address,
    secret_address,
    separated,
    shown,
)

GOOD = (
    "http://[::1]:5000",
    "databricks",
    "sqlite:///runs.db",
    "postgresql+psycopg2://me@host/db?sslmode=require",
)
GOOD += ("file:///data/mlruns", "https://user:word@host")
BAD = (
    "",
    "127.0.0.1:5000",
    "htp://host:5000",
    "http://:5000",
    "http://[::1:5000",
    "sqlite://runs.db",
)
BAD += ("postgres://host/db", "uc:http://host", "http://host/x;jsessionid=1")


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
    hidden = (
        uri.replace("host:port", "host:***")
        .replace("uc:http://host", "uc:***")
        .replace(";jsessionid=1", "***")
    )
    assert str(e.value).endswith(f"found '{hidden}'")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("databricks://dapi0123456789", "databricks://***"),
        ("http://host:5000/x;jsessionid=s3cret", "http://host:5000/x***"),
        ("http://host/path?token=s3cret", "http://host/path***"),
        ("http://host/path?token=a@s3cret", "http://***"),
        ("https://host:5000/mlflow", "https://host:5000/mlflow"),
        ("http://me:s3cret@host", "http://***@host"),
        ("sqlite:////data/my runs.db", "sqlite:////data/my runs.db"),
    ],
)
def test_a_message_shows_of_an_address_what_is_known_to_be_harmless(address, expected):
    assert shown(address) == expected


@pytest.mark.parametrize(
    ("uri", "plain", "user", "word"),
    [
    ("https://me:s3cret@host/x", "https://host/x", "me", "s3cret"),
    ("http://me:a/s3cret@host", "http://host", "me", "a/s3cret"),
    ("mysql+pymysql://me:s3cret:%40@host/db", "mysql+pymysql://host/db", "me", "s3cret:@"),
    ("postgresql://me@host/db?password=s3cret&sslmode=require", "postgresql://host/db?sslmode=require",
         "me", "s3cret")
],
)  # fmt: skip
def test_credentials_go_to_the_environment_and_from_there_to_the_store(
    uri, plain, user, word, monkeypatch
):
    for name in (USERNAME, PASSWORD):
        monkeypatch.setenv(name, "before")
    assert plain_address(uri) == plain
    assert (os.environ[USERNAME], os.environ[PASSWORD]) == (user, word)
    assert plain_address(plain) == plain
    if "sql" in uri:
        assert separated(secret_address(plain)) == (plain, user, word)
    else:
        assert secret_address(plain) == plain


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:s3cret@host:port",
        "http://me:a?s3cret@host",
        "postgresql://host/s3cret@db",
        "http://me:s3cret",
        "postgresql://me@host/db?sslpassword=s3cret",
        "mssql+pyodbc:///?odbc_connect=PWD%3Ds3cret",
        "https://host/x?sig=s3cret",
        "https://host/#s3cret",
        "sqlite:///runs.db?key=s3cret",
        "https://host/x;jsessionid=s3cret",
        "https://host;jsessionid=s3cret/x",
        "https://host/x%3Bjsessionid=s3cret",
        "https://host/x\ns3cret",
        "mssql+pyodbc://host/db;PWD=s3cret",
        "databricks://scope:s3cret",
        "databricks://s3cret/x",
        "databricks-uc://s3cret",
        "token=s3cret",
    ],
)
def test_what_is_refused_is_refused_without_its_password(uri):
    with pytest.raises(UserError, match=r"^--tracking: expected ") as error:
        plain_address(uri)
    assert "cret" not in str(error.value)


def test_the_profile_of_databricks_goes_to_the_environment(monkeypatch):
    monkeypatch.setenv(PROFILE, "before")
    assert plain_address("databricks") == "databricks"
    assert os.environ[PROFILE] == "before"
    assert plain_address("databricks://s3cret") == "databricks"
    assert os.environ[PROFILE] == "s3cret"


@pytest.mark.slow  # imports what MLflow needs for Databricks
def test_the_profile_of_databricks_is_not_shown(monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv(PROFILE, "")
    with pytest.raises(TrackingError) as error:
        MlflowStore("databricks://s3cret").experiment("any")
    assert str(error.value).startswith(
        "could not open the experiment 'any' in the MLflow store at databricks: "
    )
    assert "s3cret" not in str(error.value) + "".join(capfd.readouterr())


@pytest.mark.parametrize("to", ["http://me:s3cret@127.0.0.1:1", "http://me:s3cret@nowhere.invalid"])
def test_a_server_that_is_not_there_is_told_in_a_sentence_of_ours(to, monkeypatch):
    for name in (USERNAME, PASSWORD):
        monkeypatch.setenv(name, "")
    with pytest.raises(TrackingError) as error:
        MlflowStore(to).experiment("any")
    assert str(error.value).startswith(
        "could not open the experiment 'any' in the MLflow store at http://"
    )
    assert ": nothing answers there (" in str(error.value)
    assert not any(
        word in str(error.value) for word in ("s3cret", "HTTPConnection", "urllib", "retries")
    )


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
            MlflowStore(f"http://127.0.0.1:{server.server_port}").experiment("any")
        server.shutdown()
    assert set(heard) == {"Basic " + b64encode(b"me:s3cret").decode()}
    assert "s3cret" not in str(error.value)


@pytest.mark.slow
def test_a_new_store_is_quiet_sends_nothing_and_stays_at_home(tmp_path):
    """Even where the program that uses it logs everything."""
    code = (
        "import logging, os, sys, pathlib; logging.basicConfig(level=logging.INFO)\nfrom "
        "bench.ledger.course import History\nfrom bench.app.tracking.logbook import "
        "Section\nfrom bench.app.tracking.mlflow_store import MlflowStore\nhome = "
        "pathlib.Path('home')\nown = dict(run='r', suite='s', dataset='d', space='p', "
        "fingerprint='f', seed='0')\nSection(MlflowStore(None, home), History((), {}, False), "
        "'seesaw/s', own, 'd').send('FINISHED', 1.0)\nfrom mlflow.telemetry.utils import "
        "is_telemetry_disabled\nassert is_telemetry_disabled()\nassert 'torch' not in "
        "sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert {path.name for path in (tmp_path / "home").iterdir()} <= {
        "mlflow.db",
        "mlflow.db.lock",
        "mlartifacts",
    }


def test_reading_a_store_that_is_not_there_makes_none(tmp_path):
    with pytest.raises(TrackingError, match=r"^there is no MLflow store at sqlite:///.*mlflow.db$"):
        frontier_of("seesaw/quick", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_locked_file_is_like_a_server_that_does_not_answer(home, asked, make_trial):
    """Another process, which holds a write transaction for as long as it likes."""
    file = home / "mlflow.db"
    for mode in (
        "IMMEDIATE",
        "EXCLUSIVE",
    ):  # the second keeps readers out, too: the store cannot even be opened
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute(f"BEGIN {mode}")
        logbook = Logbook(None, home)
        section = logbook.section(history(), **asked)
        section.log([make_trial(0), make_trial(1)], 2)
        assert section.there == 0
        assert not logbook.finish("FINISHED", 1.0, patience=0.5)
        holder.execute("ROLLBACK")
        holder.close()
    logbook = Logbook(None, home, live=False)
    section = logbook.section(history(), **asked)
    section.log([make_trial(0), make_trial(1)], 2)
    assert logbook.finish("FINISHED", 1.0, patience=120.0)
    assert section.there == 2


def test_a_copied_home_writes_into_itself(home, tmp_path_factory):
    """MLflow keeps absolute addresses of an experiment's and of a run's files."""

    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    def text_of(store, run):
        return Path(store.ask("find", "download_artifacts", run, "a.txt")).read_text()

    old = MlflowStore(None, home)
    experiment = old.experiment("seesaw/quick", make=True)
    before = StoredRun.create(old, experiment, "before", {})
    before.ask("log", "log_text", "before", "a.txt")
    _artifact_repos_cache.clear()  # by run, of this process
    copy = tmp_path_factory.mktemp("another") / "a_copy%of it"
    shutil.copytree(home, copy)
    contents = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    new = MlflowStore(None, copy)
    after = StoredRun.create(new, new.experiment("seesaw/quick", make=True), "after", {})
    after.ask("log", "log_text", "after", "a.txt")
    StoredRun.search(new, experiment, "tags.`mlflow.runName` = 'before'")[0].ask(
        "log", "log_text", "changed", "a.txt"
    )
    assert (text_of(new, before.run_id), text_of(new, after.run_id)) == ("changed", "after")
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == contents
    # files of another home's experiments stay where they are
    elsewhere = MlflowStore(home_address(home), copy)
    experiment = elsewhere.experiment("of another home", make=True)
    assert (
        old.ask("look", "get_experiment", experiment).artifact_location
        == (copy / "mlartifacts").as_uri()
    )
    again = MlflowStore(None, home)
    assert (
        again.ask("look", "get_experiment", experiment).artifact_location
        == (copy / "mlartifacts").as_uri()
    )


def test_a_full_disk_is_the_reason_of_whatever_mlflow_says(tmp_path, monkeypatch):
    def ask(*arguments):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise ValueError("please ensure that the path is correct") from error

    store = MlflowStore(None, tmp_path)
    monkeypatch.setattr(store, "_open", lambda: SimpleNamespace(download_artifacts=ask))
    with pytest.raises(
        TrackingError, match=r"could not fetch in the MLflow store at .*: No space left on device$"
    ):
        store.ask("fetch", "download_artifacts")


def test_a_search_gives_all_its_pages(tracker, monkeypatch):
    from mlflow.store.entities import PagedList

    def search(kind, page_token=None):
        following = {None: "second", "second": "third"}
        return PagedList([kind, page_token], following.get(page_token))

    client = SimpleNamespace(search_registered_models=search)
    monkeypatch.setattr(tracker, "_client", client)
    models = tracker.search("list the models", "search_registered_models", "a")
    assert models == ["a", None, "a", "second", "a", "third"]


def test_a_decision_whose_files_cannot_be_stored_is_a_failed_run(
    tracker, client, home, monkeypatch
):
    def fail(self, run_id, folder):
        raise ConnectionError(folder)

    monkeypatch.setattr("mlflow.MlflowClient.log_artifacts", fail)
    with pytest.raises(TrackingError, match=r"^could not store files with the run 'decision' in "):
        log_decision("decision", "Keep it.", {}, home, tracker.uri, home)
    experiment = client.get_experiment_by_name(DECISIONS).experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FAILED"
