"""Every command, end to end, on a small data set of one's own."""

import errno
import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.app import cli
from bench.app.cli.app import COMMANDS, DATA
from bench.core.system import content
from bench.data import load_card
from bench.search.study import Study

ROOT = Path(__file__).parents[3]


def test_help_and_version(seesaw):
    assert seesaw("--version", home=None).out.startswith("seesaw 0.")
    text = seesaw("--help", home=None).out
    assert len(text.splitlines()) <= 40
    for command in [name for commands in COMMANDS.values() for name in commands]:
        assert f"  {command} " in text
        assert seesaw(command, "--help", home=None).code == 0
    text = seesaw("data", "--help", home=None).out
    for command in DATA["Commands"]:
        assert f"  {command} " in text
        assert seesaw("data", command, "--help", home=None).code == 0


def test_datasets_lists_and_shows(seesaw):
    said = seesaw("list", "datasets")
    for name in (
        "census-income",
        "census-income-education",
        "kuairand-pure@late-window",
        "synthetic-funnel",
    ):
        assert name in said.out
    document = json.loads(seesaw("list", "datasets", "--json").out)
    assert {card["id"] for card in document["datasets"]} >= {
        "census-income",
        "synthetic-relatedness",
    }
    for name in [*content.names("datasets"), "kuairand-pure@late-window"]:
        said = seesaw("list", "datasets", name)
        assert said.code == 0, said.err
        for task in load_card(name).tasks:
            assert task.name in said.out


def test_prepare_prints_rows_positives_and_rates(seesaw, shop):
    document = json.loads(seesaw("data", "prepare", shop.card, "--raw", shop.raw, "--json").out)
    splits = document["splits"]
    assert sum(split["rows"] for split in splits.values()) == 800
    train = splits["train"]["tasks"]["click"]
    assert train["rate"] == pytest.approx(train["positives"] / splits["train"]["rows"])
    assert document["peak_memory_mb"] > 0
    assert "click" in seesaw("data", "prepare", shop.card, "--raw", shop.raw).out


def test_train_prints_the_documented_json(seesaw, shop):
    said = seesaw(
        "train",
        shop.card,
        "--raw",
        shop.raw,
        "--set",
        "architecture=esmm",
        "--set",
        "optim.epochs=3",
        "--json",
    )
    document = json.loads(said.out)
    assert document["config"]["sharing.kind"] == "shared_embeddings"
    assert document["config"]["funnel.kind"] == "entire_space"
    for key in ("valid/click.auc", "test/buy.cvr.auc", "test/buy.ctcvr.auc", "valid/click.pcoc"):
        assert 0 < document["metrics"][key] < 5
    assert set(document["speed"]) == {"train_samples_per_s", "eval_samples_per_s"}
    assert document["parameters"] > 0
    assert document["peak_rss_mb"] > 0
    again = seesaw(
        "train",
        shop.card,
        "--raw",
        shop.raw,
        "--set",
        "architecture=esmm",
        "--set",
        "optim.epochs=3",
    )
    assert f"{document['metrics']['test/click.auc']:.5f}" in again.out


def test_a_stopped_run_is_resumed_deployed_and_served(
    seesaw, shop, interrupt, tmp_path, monkeypatch
):
    """The whole way, once; what each part must do is tested beside it."""
    import mlflow.pyfunc

    shop.edit(shop.suite, "tries = 1", "tries = 1\nfull_length = 5000")
    interrupt(lambda job: job == 3)
    options = ["--raw", shop.raw, "--name", "a", "--executor", "inline", "--set", "optim.epochs=1"]
    said = seesaw("run", shop.suite, *options)
    assert (said.code, "runs/a` goes on" in said.err) == (130, True), said.err
    interrupt(lambda job: False)
    assert seesaw("run", shop.suite, *options).code == 0  # the same command goes on
    said = seesaw("deploy", "a", "--force", "--no-onnx", "--json")
    assert said.code == 0, said.err
    deployed = json.loads(said.out)
    picked = json.loads(next((tmp_path / "home/runs/a").glob("*/picked.json")).read_text())
    assert picked["config"]["optim.epochs"] == 1  # the command line goes before the suite
    monkeypatch.setenv("MLFLOW_TRACKING_URI", deployed["tracking"])
    served = mlflow.pyfunc.load_model(f"models:/{deployed['model']}@{deployed['alias']}")
    answer = served.predict(
        pd.DataFrame({"user": ["u1", "new"], "item": ["i2", "i3"], "price": ["9.5", ""]})
    )
    assert list(answer) == ["click", "buy.cvr", "buy.ctcvr", "score"]
    assert answer["buy.ctcvr"].between(0, 1, inclusive="neither").all()
    scored = seesaw("score", deployed["package"], shop.log, "--out", tmp_path / "out", "--json")
    assert json.loads(scored.out)["rows"] == 800, scored.err


@pytest.mark.slow
def test_run_leaves_everything_behind_and_asks_nothing_of_the_network(
    seesaw, shop, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: asked.append(address))
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **named: asked.append(host) or []
    )
    shop.edit(shop.suite, 'baselines = ["single_task"]\n', "")
    document = shop.run(seesaw, "a")
    assert not asked
    every = ["single_task", "equal_weights", "random_weights", "trees", "ensemble", "blend"]
    assert [baseline["name"] for baseline in document["baselines"]] == every
    folder = tmp_path / "home" / "runs" / "a"
    assert not re.search(r'(src|href)="https?://', (folder / "report.html").read_text())
    part = next(path for path in folder.iterdir() if path.is_dir())
    assert {"study.jsonl", "cells.parquet", "picked.json", "store.json"} <= {
        p.name for p in part.iterdir()
    }
    status = json.loads(seesaw("status", "a", "--json").out)
    assert (status["completed"], status["running"], status["failed"]) == (6, 0, 0)
    assert json.loads(seesaw("show", "a", "--json").out)["points"] == document["points"]
    records = Study.read(part).records()
    # a search sees none
    assert not [key for record in records for key in record.metrics if key.startswith("test/")]
    assert [
        run for record in records for run in record.replicates if "test/click.auc" in run.metrics
    ]


def test_doctor_finds_nothing_missing(seesaw):
    document = json.loads(seesaw("doctor", "--json").out)
    assert document["machine"]["cores"] >= 1
    assert document["versions"]["torch"] != "not installed"
    assert not [
        problem
        for problem in document["problems"]
        if "optimizer" in problem or "found at" in problem
    ]


def test_stores_are_listed_with_their_size_and_freed_alone(seesaw, shop, tmp_path):
    for dataset in ("synthetic-funnel@rows=2000", "synthetic-funnel@rows=3000"):
        assert seesaw("data", "prepare", dataset).code == 0
    assert seesaw("data", "prepare", shop.card, "--raw", shop.raw).code == 0
    listed = seesaw("list", "datasets").out
    assert "synthetic-funnel@rows=2000" in listed
    assert "shop" in listed
    assert " MB" in listed
    said = seesaw("data", "remove", "synthetic-funnel@rows=2000")
    assert said.code == 0
    assert "removed" in said.out
    keys = [
        store["key"] for store in json.loads(seesaw("list", "datasets", "--json").out)["prepared"]
    ]
    assert sorted(keys) == ["shop", "synthetic-funnel@rows=3000"]
    assert shop.log.is_file()
    assert "nothing to remove" in seesaw("data", "remove", "synthetic-funnel@rows=2000").out


def test_the_remedy_of_a_damaged_store_works_as_it_is_named(seesaw, shop, tmp_path):
    """Also of a card of one's own, whose id is no name of a data set; and where the card is
    gone.
    """
    assert seesaw("data", "prepare", shop.card, "--raw", shop.raw).code == 0
    (manifest,) = (tmp_path / "home" / "store" / "shop").glob("*/manifest.json")
    manifest.write_text("{")
    said = seesaw("data", "prepare", shop.card, "--raw", shop.raw)
    assert (said.code, said.out) == (2, "")
    command = re.search("free it with `seesaw (.*)`, and prepare the data again", said.err)[1]
    shop.card.unlink()
    removed = seesaw(*shlex.split(command), home=None)
    assert (removed.code, removed.err) == (0, "")
    assert not manifest.parent.exists()
    unknown = seesaw("data", "remove", "..")
    assert (unknown.code, unknown.err.count("\n")) == (2, 1)


def _raising(monkeypatch, error):
    def app(**options):
        raise error

    monkeypatch.setattr("bench.app.cli.app.app", app)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("odd")])
def test_what_nobody_expected_is_our_bug_and_shows_where(error, monkeypatch, capsys):
    _raising(monkeypatch, error)
    assert cli.main([]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("seesaw: this is a bug in seesaw, not your mistake\n")


def test_standard_streams_that_the_caller_closed_are_no_bug():
    command = ["sh", "-c", 'exec "$0" -m bench list <&- >&- 2>&-', sys.executable]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
