"""`bench.run`, `load_run` and `decide`, as a script or a notebook calls them."""

import html
import inspect
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

import bench
from bench.app.runs.folder import Run
from bench.core.errors import UserError
from bench.core.formula import read
from bench.core.formula_languages import python_of, sql_of
from bench.deciding.verdict import Verdict

PAGE = Path(bench.__file__).parents[1] / "docs" / "python.md"


@pytest.fixture
def log(shop):
    shop.write_log(today=True)
    return pd.read_csv(shop.log)


@pytest.mark.slow
def test_a_card_is_run_and_its_pick_deployed(shop, tmp_path):
    asked = {"suite": shop.suite, "raw": shop.raw, "executor": "inline", "name": "a"}
    found = bench.run(shop.card, home=tmp_path, trials=4, **asked)
    run = Run.open(tmp_path, "a")
    assert found.verdict() == bench.load_run(run.folder).verdict()
    assert (run.request.trials, run.request.workers, run.request.raw) == (4, 1, shop.raw.resolve())
    assert run.manifest.command.startswith(
        f"seesaw run {shop.suite} --trials 4 --executor inline --dataset {shop.card} "
    )
    again = bench.run(shop.card, home=tmp_path, trials=5, **asked)  # goes on
    assert (len(again.trials()), again.run.folder) == (5, run.folder)
    with pytest.raises(UserError, match="--seed: expected 0, with which the run 'a' was made"):
        bench.run(shop.card, home=tmp_path, seed=1, **asked)
    package = again.deploy(force=True)
    assert package.folder.parent.parent == run.folder
    rows = pd.DataFrame({"user": ["u1"], "item": ["i1"], "price": [9.0]})
    assert 0 < package.scorer().predict(rows)["click"][0] < 1


@pytest.fixture
def made(monkeypatch):
    """Requests of runs, which are not made."""
    requests = []

    def create(home, request, progress, words):
        requests.append(request)
        raise UserError("enough")

    monkeypatch.setattr("bench.app.runs.extend.create", create)
    return requests


def test_a_table_and_its_card_are_written_once_and_a_changed_card_is_kept(made, log, tmp_path):
    labels = {"labels": ["click", "buy"], "time": "day", "home": tmp_path, "budget": "10m"}
    for table in (log, pa.Table.from_pandas(log), log.assign(price=1.5)):
        with pytest.raises(UserError, match="enough"):
            bench.run(table, **labels)
    (first,), (same,), (other,) = (each.dataset for each in made)
    assert first == same != other
    assert made[0].time == 600
    assert len([*(tmp_path / "frames").iterdir()]) == len([*(tmp_path / "cards").iterdir()]) == 2
    with open(first, "a") as card:
        card.write("# mine\n")
    for more in ({}, {"group": "user"}, {"units": "user"}):
        with pytest.raises(UserError, match="enough"):
            bench.run(log, **labels, **more)
    (again,), (grouped,), (resampled,) = (each.dataset for each in made[3:])
    assert Path(again).read_text().endswith("# mine\n")
    assert 'group = "user"' in Path(grouped).read_text()
    assert 'units = "user"' in Path(resampled).read_text()


def test_a_file_is_drafted_anew_when_it_changes(made, shop, tmp_path):
    for seconds in (100, 100, 200):
        os.utime(shop.log, (seconds, seconds))
        with pytest.raises(UserError, match="enough"):
            bench.run(shop.log, labels="click", home=tmp_path)
    first, same, other = (each.dataset for each in made)
    assert first == same != other


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (
            "synthetic-funnel",
            {"labels": "click"},
            "^labels: expected none beside a card, which says it; found synth",
        ),
        ("synthetic-funnels", {}, "unknown dataset 'synthetic-funnels'"),
        ("log.csv", {"labels": "click"}, "^labels: expected none beside a card"),
        (7, {}, "^expected a table, files, a card or a data set's name, found int$"),
        (pd.DataFrame({"click": [0, 1]}), {}, "expected at least one --label COLUMN, found none"),
        (pd.DataFrame({"click": [0, 1]}), {"labels": "clik"}, "unknown column 'clik'"),
        ("synthetic-funnel", {"trails": 4}, r"unknown key 'trails' \(did you mean 'trials'"),
        (
            "synthetic-funnel",
            {"dataset": "census-income"},
            "^dataset: expected the data as the first argument",
        ),
        ("synthetic-funnel", {"budget": "soon"}, "expected a duration such as 90s, 10m or 1.5h"),
        (
            "synthetic-funnel",
            {"current": "column:old"},
            "expected a score that the card names under `logged`",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_makes_no_run(tmp_path, data, options, says):
    with pytest.raises(UserError, match=says):
        bench.run(data, home=tmp_path, **options)
    assert not (tmp_path / "runs").exists()


def test_what_has_no_trainings_says_so(log, tmp_path):
    table = log.assign(
        p=log["price"] / 30,
        q=0.5 - log["price"] / 60,
        r=log["price"] / 40,
        s=0.6 - log["price"] / 60,
    )
    found = bench.decide(
        table, labels=["click", "buy"], models={"a": ["p", "r"], "b": ["q", "s"]}, unseen=True
    )
    front, points = found.front(), found.points()
    assert front["on_front"].all()
    assert len(front) == points["on_front"].sum() <= len(points)
    assert set(front["point"]) <= set(found.cells()["point"])
    assert found.figure().svg in found._repr_html_()
    for method in (found.trials, found.replicates, found.deploy, found.backtest):
        with pytest.raises(
            UserError, match=r"^expected a run, found a decision on a log, which has no trainings"
        ):
            method()
    assert found.write(tmp_path / "page").is_file()


def test_a_result_shows_its_verdict_and_score(log):
    table = log.assign(
        p=log["price"] / 30,
        q=0.5 - log["price"] / 60,
        r=log["price"] / 40,
        s=0.6 - log["price"] / 60,
    )
    found = bench.decide(
        table, labels=["click", "buy"], models={"a": ["p", "r"], "b": ["q", "s"]}, unseen=True
    )
    assert repr(found) == f"{found.verdict()}\nscore = {found.formula()}"
    for line in repr(found).splitlines():
        assert f"{html.escape(line)}<" in found._repr_html_()
    assert {found.formula(language) for language in ("sql", "python")} == {
        sql_of(read(found.formula(), "")),
        python_of(read(found.formula(), "")),
    }
    with pytest.raises(UserError, match=r"^unknown language 'sqll' \(did you mean 'sql'"):
        found.formula("sqll")


def test_a_result_shows_what_a_run_lacks_or_why_there_is_no_result():
    decision = SimpleNamespace(
        verdict=Verdict("keep", ("Keep it.",)),
        formula="",
        serving=SimpleNamespace(served=None),
    )
    told = SimpleNamespace(decision=decision, incomplete="It goes on.")
    found = bench.Result(lambda: told, object())
    assert repr(found) == "Keep it.\nIt goes on."
    assert found._repr_html_() == "<p>Keep it.</p><p>It goes on.</p>"

    def nothing():
        raise UserError("nothing < yet")

    assert repr(bench.Result(nothing)) == "nothing < yet"
    assert bench.Result(nothing)._repr_html_() == "<p>nothing &lt; yet</p>"


@pytest.mark.slow
def test_the_example_of_the_page_on_python_works(log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    log.rename(columns={"today": "todays_score"}).to_csv("log.csv", index=False)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile("\n".join(blocks), "docs/python.md", "exec"), {})
    assert (tmp_path / "front.png").is_file()
    assert capsys.readouterr().out.startswith(bench.load_run("shop").verdict())


def test_the_page_on_python_has_all_that_is_public_and_nothing_else():
    text = PAGE.read_text(encoding="utf-8")
    methods = {name for name in vars(bench.Result) if not name.startswith("_")} - {
        "decision",
        "found",
        "run",
    }
    assert {*re.findall(r"`(\w+)\(", text)} | {"figure"} == methods
    assert {*re.findall(r"bench\.(\w+)", text)} - {"run"} == {*bench.__all__} - {
        "__version__",
        "run",
    } | {"__all__"}
    taken = {*inspect.signature(bench.run).parameters} - {"data", "asked"}
    assert not {name for name in taken if f"`{name}`" not in text}
