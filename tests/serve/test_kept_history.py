"""Rows whose history a kept file tells, against the rows of a store."""

import math

import numpy as np
import pandas as pd
import pytest
from serving_toys import parts_of, trained

from bench.app.cli import main
from bench.app.tracking.model_registry import save_model
from bench.core.errors import UserError
from bench.core.system.progress import Silent
from bench.data import load_card, prepare
from bench.serve.batch_scoring import BatchScoring
from bench.serve.judgements import judge
from bench.serve.kept_history import KeptHistory, write_history
from bench.serve.package import write_package
from bench.serve.scorer import RawRows

ROWS, TRAIN, VALID = 600, 360, 480
CARD = f"""
id = "log"
title = "log"
licence = "-"
citation = "-"
homepage = "-"
group = "user"
time = "at"
reader = {{ kind = "csv" }}
files = [{{ name = "log.csv" }}]
tasks = [{{ name = "click", column = "click" }}]
[split]
kind = "time"
train = {{ last = {TRAIN - 1} }}
valid = {{ first = {TRAIN}, last = {VALID - 1} }}
test = {{ first = {VALID} }}
[history]
actions = ["click"]
lists = ["item"]
same = ["item", "hour"]
length = 4
label_delay = 30
[columns]
item = {{ kind = "categorical", min_count = 1 }}
hour = {{ kind = "categorical", from = "hhmm", derive = "hour_of_hhmm" }}
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("log"), np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user": [f"u{user}" for user in rng.integers(0, 20, ROWS)],
            "item": [f"i{item}" if item else "" for item in rng.integers(0, 9, ROWS)],
            "hhmm": rng.choice([930, 1000, 1015, 2300], ROWS),
            "at": np.arange(ROWS),
            "click": rng.integers(0, 2, ROWS),
        }
    )
    frame.to_csv(folder / "log.csv", index=False)
    (folder / "card.toml").write_text(CARD)
    card = load_card(str(folder / "card.toml"))
    return folder, frame, card, prepare(card, folder / "home", folder)


@pytest.fixture(scope="module")
def packaged(log):
    """A package, and what it says of test's rows with their history."""
    folder, _, card, store = log
    plain = card.model_dump(mode="json", by_alias=True)
    package = write_package(
        parts_of(store, trained(store), card=plain), folder / "package", onnx=False
    )
    return package, package.scorer().predict_encoded(
        store.split("test").ids, store.split("test").dense
    )["click"]


def test_rows_are_those_of_the_store(log):
    folder, frame, card, store = log
    assert (
        write_history(card, folder / "all.parquet", folder / "home", folder, math.inf, Silent())
        == ROWS
    )
    history, test = KeptHistory(folder / "all.parquet", card), store.split("test")
    rows = RawRows(store.encoder, history)
    assert {column.name for column in rows.columns} == {"user", "item", "hhmm", "at"}
    ids, dense = store.encoder.encode(rows.table(frame.iloc[VALID:].drop(columns="click")))
    np.testing.assert_array_equal(ids, test.ids)
    np.testing.assert_array_equal(dense, test.dense)
    assert (history.rows, history.rows_without_past) == (ROWS - VALID, 0)
    assert (
        write_history(card, folder / "part.parquet", folder / "home", folder, VALID, Silent())
        == VALID
    )


@pytest.mark.slow  # the package is exported
def test_files_are_scored_with_it(log, packaged):
    """By the commands; the same predictions as of rows that bring their history."""
    (folder, frame, card, _), (package, expected) = log, packaged
    frame.iloc[VALID:].drop(columns="click").to_csv(folder / "asked.csv", index=False)
    past = folder / "past.parquet"
    home = ["--home", str(folder / "home")]
    assert (
        main(
            [
                "data",
                "history",
                str(folder / "card.toml"),
                "--raw",
                str(folder),
                "--out",
                str(past),
                *home,
            ]
        )
        == 0
    )
    with pytest.raises(UserError, match=r"column 'past_.*; --history FILE computes such columns"):
        BatchScoring(package, [folder / "asked.csv"], folder / "out").run()
    command = ["score", str(package.folder), str(folder / "asked.csv"), "--history", str(past)]
    assert main([*command, "--out", str(folder / "out"), *home]) == 0
    scores = pd.read_parquet(folder / "out" / "asked-00000.parquet")
    np.testing.assert_allclose(scores["click"], expected, rtol=1e-5)
    # what `deploy --refresh` does
    judged = judge(card, folder / "home", folder, "test", [package.scorer()], Silent())
    np.testing.assert_allclose(judged.predictions[0]["click"], expected, rtol=1e-5)


@pytest.mark.slow
def test_the_server_reads_it(log, packaged, tmp_path, monkeypatch):
    import mlflow.pyfunc

    (folder, frame, card, _), (package, expected) = log, packaged
    save_model(package, tmp_path / "model")
    write_history(card, tmp_path / "past.parquet", folder / "home", folder, math.inf, Silent())
    monkeypatch.setenv("SEESAW_HISTORY", str(tmp_path / "past.parquet"))
    answer = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(
        frame.iloc[VALID:].drop(columns="click")
    )
    np.testing.assert_allclose(answer["click"], expected, rtol=1e-5)
    monkeypatch.setenv("SEESAW_HISTORY", str(tmp_path / "none.parquet"))
    with pytest.raises(
        mlflow.exceptions.MlflowException, match="that `seesaw data history` wrote, found no "
    ):
        mlflow.pyfunc.load_model(str(tmp_path / "model"))
