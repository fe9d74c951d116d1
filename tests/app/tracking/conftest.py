"""One sqlite store for the whole room: making one takes seconds. Tests keep apart by the name of
their run.
"""

import itertools
import shutil

import pytest
from found import OBJECTIVES, changed, history, put

from bench.app.tracking.logbook import Section
from bench.app.tracking.mlflow_store import MlflowStore
from bench.core.records import Failure, Replicate, TrialRecord


@pytest.fixture
def send(tracker, asked):
    """Sends records as one execution of a driver does; gives the section."""

    def sent(
        *records,
        section=None,
        front=None,
        ending=None,
        by_rungs=False,
        objectives=OBJECTIVES,
        **changes,
    ):
        section = section or Section(
            tracker, history(by_rungs, objectives), **changed(asked, changes)
        )
        section.log(records, 100)
        put(section, front)
        section.send(ending or (front and "FINISHED"), 1_900_000_100.0)
        return section

    return sent


@pytest.fixture(scope="session")
def tracker(tmp_path_factory):
    store = MlflowStore(None, tmp_path_factory.mktemp("home"))
    store.ask("open it", "search_experiments")
    return store


@pytest.fixture
def home(tracker, tmp_path):
    """A home of the test's own, whose store is a copy: that is quicker than to make one."""
    shutil.copy(tracker.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def client(tracker):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracker.uri)


_numbers = itertools.count()


@pytest.fixture
def asked(request):
    """What a driver asks for: a run of its own for each test."""
    return {
        "experiment": "seesaw/quick",
        "identity": {
            "run": f"{request.node.originalname}-{next(_numbers)}",
            "suite": "quick",
            "dataset": "census-income",
            "space": "small",
            "fingerprint": "f00d",
            "seed": "7",
            "created": "2030-01-01",
        },
        "dataset": "census-income",
        "tags": {"seesaw.versions": "torch 2.13"},
    }


def trial(number, click=0.7, like=0.8, kind="mmoe", replicates=()):
    return TrialRecord(
        number=number,
        state="completed",
        params={"sharing.kind": kind},
        config={
            "sharing.kind": kind,
            "funnel.kind": "independent",
            "balancing.kind": "static",
            "optimizer.lr": 0.01,
        },
        architecture=kind,
        metrics={
            "valid/click.auc": click,
            "valid/like.auc": like,
            "cost/parameters": 1000.0 + number,
        },
        speed={"train_samples_per_s": 5e4},
        curve=[
            {"samples": 100, "epoch": 1, "click.auc": 0.6, "loss/click": 0.5},
            {"samples": 200, "epoch": 2, "click.auc": click, "loss/click": 0.4},
        ],
        replicates=tuple(
            Replicate(
                i,
                40 + i,
                {
                    f"{split}/{task}.auc": v
                    for split in ("confirm", "test")
                    for task, v in (("click", c), ("like", k))
                },
            )
            for i, (c, k) in enumerate(replicates, start=1)
        ),
        started=1_900_000_000.0,
        seconds=12.5,
    )


def failed(number, reason="the loss became NaN after 300 samples"):
    kind, why = {"sharing.kind": "ple"}, Failure("diverged", reason)
    return TrialRecord(
        number, "failed", kind, kind, "ple", failure=why, started=1_900_000_000.0, seconds=1.0
    )


@pytest.fixture
def make_trial():
    return trial


@pytest.fixture
def make_failed():
    return failed
