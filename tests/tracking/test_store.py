"""The way into MLflow: failures in words, nothing on standard output, nothing sent, nothing left lying about."""

import subprocess
import sys

import pytest

from bench.errors import UserError
from bench.tracking import Tracker, TrackingError, frontier_of


def test_the_room_loads_mlflow_only_once_it_is_used():
    code = "import sys, bench.tracking; print([n for n in ('mlflow', 'torch', 'optuna') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_new_store_is_quiet_sends_nothing_and_stays_at_home(tmp_path):
    """Even where the program that uses it logs everything."""
    code = (
        "import logging, os, sys, pathlib; logging.basicConfig(level=logging.INFO)\n"
        "from bench.tracking import Tracker\n"
        "home = pathlib.Path('home')\n"
        "asked = dict(run='r', suite='s', dataset='d', space='p', fingerprint='f', seed=0, versions={})\n"
        "parent = Tracker(None, home).open_parent(**asked)\n"
        "parent.close('FINISHED')\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled\n"
        "assert is_telemetry_disabled()\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [each.name for each in tmp_path.iterdir()] == ["home"]
    assert {each.name for each in (tmp_path / "home").iterdir()} <= {"mlflow.db", "mlartifacts"}


def test_an_unreachable_server_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        TrackingError, match=r"could not list experiments in the MLflow store at http://127\.0\.0\.1:9: "
    ):
        Tracker("http://127.0.0.1:9", tmp_path)


def test_a_store_that_is_no_store_is_named(tmp_path):
    broken = tmp_path / "mlflow.db"
    broken.write_text("not a database, but long enough to be taken for one at first sight")
    with pytest.raises(TrackingError, match=f"in the MLflow store at sqlite:///{broken}: "):
        Tracker(None, tmp_path)


def test_a_store_lost_on_the_way_is_named(tracker, asked, make_trial, monkeypatch):
    parent = tracker.open_parent(**asked)

    def lost(*_args, **_kwargs):
        raise OSError("disk full\nand more")

    monkeypatch.setattr("mlflow.MlflowClient.log_batch", lost)
    with pytest.raises(TrackingError) as error:
        parent.log_trial(make_trial(5))
    assert str(error.value) == f"could not log to the run '5 mmoe' in the MLflow store at {tracker.uri}: disk full"
    assert isinstance(error.value, UserError)
    assert isinstance(error.value.__cause__, OSError)


def test_an_unknown_experiment_is_named_with_those_there_are(tracker, asked):
    tracker.open_parent(**asked)
    with pytest.raises(UserError, match=r"unknown experiment 'seesaw/quik' \(did you mean 'seesaw/quick'\?\)"):
        frontier_of("seesaw/quik", tracker.uri)


def test_reading_a_store_that_is_not_there_makes_none(tmp_path):
    with pytest.raises(TrackingError, match=r"^there is no MLflow store at sqlite:///.*mlflow.db$"):
        frontier_of("seesaw/quick", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []
