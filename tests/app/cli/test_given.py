"""`seesaw run --model NAME=COLUMNS`: a model from elsewhere as a candidate of a run, checked before
any training.
"""

import json

import numpy as np
import pandas as pd
import pytest

import bench
from bench.app.cli import main


def with_predictions(shop, **changed):
    """The shop's log with the predictions of a model that knows what clicks and purchases are made
    of.
    """
    frame = pd.read_csv(shop.log)
    user, item = (frame[name].str[1:].astype(int) for name in ("user", "item"))
    frame["q_click"] = (1 / (1 + np.exp(-(np.sin(user) + np.cos(item))))).round(6)
    frame["q_buy"] = (1 / (1 + np.exp(-(1 - (frame.price - 10) / 2)))).round(6)
    for name, value in changed.items():
        frame[name] = value(frame) if callable(value) else value
    frame.to_csv(shop.log, index=False)
    shop.edit(
        shop.card,
        'reader = { kind = "csv" }',
        'logged = ["q_click", "q_buy"]\nreader = { kind = "csv" }',
    )


@pytest.fixture(scope="module")
def run(module_shop, tmp_path_factory):
    """A run with such a model, and how to call commands at its home."""
    with_predictions(module_shop)
    home = tmp_path_factory.mktemp("home")
    words = [
        "run",
        module_shop.suite,
        "--raw",
        module_shop.raw,
        "--name",
        "a",
        "--executor",
        "inline",
    ]
    words += ["--model", "mine=q_click,q_click q_buy", "--trials", "3", "--home", home]
    assert main([str(word) for word in words]) == 0
    return home


@pytest.mark.slow
def test_it_stands_in_the_front_the_pick_the_page_and_after_a_resume(run, capsys):
    result = bench.load_run("a", run)
    served = result.decision.serving.served
    assert "mine" in set(served.table["point"])
    assert "'mine' (q_click, q_click q_buy) is a model from elsewhere" in result.found.current
    assert "mine" in result.points()["point"].tolist()
    assert "mine" in set(result.cells()["point"])
    assert "mine" in (run / "runs" / "a" / "report.html").read_text()
    rows = np.flatnonzero(served.table["point"] == "mine")
    assert all(
        "q_buy" in result.decision.formulas[row] or "q_click" in result.decision.formulas[row]
        for row in rows
    )
    assert result.plan()["points"]
    before = json.dumps(result.found.document)
    capsys.readouterr()
    assert main(["run", "a", "--home", str(run)]) == 0
    assert json.dumps(bench.load_run("a", run).found.document) == before


@pytest.mark.slow
def test_no_model_reads_it_and_none_is_trained_of_it(run, capsys):
    result = bench.load_run("a", run)
    store = result.found.run.store
    assert not {"q_click", "q_buy"} & {field.name for field in store.schema.fields}
    assert not {"q_click", "q_buy"} & {*store.schema.dense}
    capsys.readouterr()
    for command in ("deploy", "backtest"):
        assert main([command, "a", "--point", "mine", "--home", str(run)]) == 2
        said = capsys.readouterr().err
        assert "'mine', a model from elsewhere" in said
        assert f"`seesaw {command} a --point ID` takes" in said
        assert command == "backtest" or "rank its predictions by" in said


@pytest.mark.parametrize(
    ("model", "changed", "says"),
    [
        (
            "mine=q_click",
            {},
            "--model mine: expected 2 columns, one for each of click and buy, found 1",
        ),
        (
            "mine=q_click,dwell",
            {},
            "names under `logged`, found 'dwell'; logged are q_click and q_buy",
        ),
        (
            "mine=preds.csv",
            {},
            "found the file 'preds.csv': name it in the card under [[reader.joins]]",
        ),
        ("mine", {}, "--model: expected NAME=VALUE as in mine=q_click,q_buy, found 'mine'"),
        (
            "trees=q_click,q_buy",
            {},
            "--model: expected a name that no point of a run has, found 'trees'",
        ),
        ("7=q_click,q_buy", {}, "--model: expected a name that no point of a run has, found '7'"),
        (
            "mine=q_click,2 q_buy",
            {},
            "expected a column, or a product of columns such as 'q_click q_buy'",
        ),
        (
            "mine=q_click,q_buy",
            {"q_buy": lambda frame: frame.q_buy.where(frame.day != 28)},
            "expected a prediction in each row of test, found",
        ),
        (
            "mine=q_click,q_buy",
            {"q_click": 0.5},
            "expected predictions in 'q_click' that differ, found 0.5 in all",
        ),
        (
            "mine=q_click,q_buy",
            {"q_buy": lambda frame: frame.q_buy * 9},
            "expected probabilities from 0 to 1 of 'buy' in 'q_buy', found",
        ),
        (
            "mine=q_click,q_buy",
            {"q_click": lambda frame: frame.click},
            "found the label of 'click' itself",
        ),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_trained(shop, seesaw, model, changed, says):
    with_predictions(shop, **changed)
    said = seesaw(
        "run",
        shop.suite,
        "--raw",
        shop.raw,
        "--name",
        "a",
        "--executor",
        "inline",
        "--model",
        model,
    )
    assert (said.code, said.out) == (2, "")
    assert says in said.err.splitlines()[-1]
    assert not list((shop.folder.parent / "home").glob("runs/a/*/study.jsonl"))


def test_predictions_given_a_parent_are_noticed(shop, seesaw, monkeypatch):
    def stop(*given):
        raise KeyboardInterrupt

    with_predictions(
        shop,
        click=lambda frame: frame.click * (frame.index % 4 == 0),
        buy=lambda frame: frame.buy * (frame.index % 4 == 0),
        q_click=lambda frame: frame.q_click / 4,
    )
    monkeypatch.setattr("bench.app.runs.execute._search", stop)  # all is checked before it
    command = "run", shop.suite, "--raw", shop.raw, "--executor", "inline", "--model"
    said = seesaw(*command, "mine=q_click,q_buy")
    assert "If it is given click, write 'q_click q_buy'" in " ".join(said.err.split())
    assert "If it is given" not in seesaw(*command, "mine=q_click,q_click q_buy").err


@pytest.mark.slow
def test_predictions_of_a_file_join_by_a_key(shop, seesaw):
    """A side table of the card: its columns are the log's, row by row."""
    with_predictions(shop)
    frame = pd.read_csv(shop.log)
    frame["id"] = [f"r{number}" for number in range(len(frame))]
    frame.sample(frac=1, random_state=0)[["id", "q_click", "q_buy"]].to_csv(
        shop.raw / "mine.csv", index=False
    )
    frame.drop(columns=["q_click", "q_buy"]).to_csv(shop.log, index=False)
    shop.edit(
        shop.card,
        '{ kind = "csv" }',
        '{ kind = "csv", joins = [{ file = "mine.csv", on = "id" }] }',
    )
    shop.edit(shop.card, '[{ name = "log.csv" }]', '[{ name = "log.csv" }, { name = "mine.csv" }]')
    shop.run(seesaw, "a", "--model", "mine=q_click,q_click q_buy", "--trials", "2")
    result = bench.load_run("a", shop.folder.parent / "home")
    assert "mine" in set(result.decision.serving.served.table["point"])
