"""Plans of A/B tests of decisions: their numbers against pandas, their commands, and sentences on
mistakes.
"""

import json
import re
from html import escape

import numpy as np
import pytest
from remake import unpack

import bench
from bench.app.cli import main
from bench.app.report.plan_page import tables
from bench.core.errors import UserError
from bench.core.rows import TEST

WEIGHTS = "1 p_click + 1 p_buy"


@pytest.fixture(scope="module")
def table(log):
    """A log whose candidate is better."""
    return log(6_000, candidate_error=0.3)


def asked_of(table, asked, **extra):
    return bench.decide(table, **asked, **({"weights": WEIGHTS} | extra))


def test_a_plan_is_for_the_verdicts_gain_and_its_metrics_are_the_logs(table, asked):
    result = asked_of(table, asked)
    plan = result.plan(traffic=500, guardrails={"click": -0.05})
    verdict, rows = result.decision.verdict, result.found.rows[TEST]
    assert plan["plan"]["gain"] == verdict.both.utility.value > 0
    assert plan["pessimistic"]["gain"] == verdict.both.utility.low
    assert plan["pessimistic"]["units"] >= plan["plan"]["units"]
    assert plan["unit"] == "user"
    index, click, buy = plan["metrics"]
    by_label = [
        np.bincount(np.unique(rows.units, return_inverse=True)[1], column)
        for column in rows.labels.T
    ]
    assert [click["mean"], buy["mean"]] == pytest.approx([sums.mean() for sums in by_label])
    index_values = sum(sums / sums.mean() / 2 for sums in by_label)
    assert index["spread"] == pytest.approx(index_values.var())
    assert index["mean"] == pytest.approx(1)
    assert click["expected"] == verdict.changes[next(iter(verdict.changes))].to_json()
    assert plan["sentence"].startswith("Plan for ")
    (rail,) = plan["guardrails"]
    assert rail["change"] <= 0
    assert plan["plan"]["units"] >= rail["units"]
    assert plan["plan"]["looks"][-1]["week"] == plan["plan"]["weeks"]


def test_values_make_the_metric_and_units_may_be_others(table, asked):
    result = asked_of(table, asked, values={"click": 1, "buy": 10})
    value, click, buy = result.plan()["metrics"]
    assert value["mean"] == pytest.approx(click["mean"] + 10 * buy["mean"])
    assert value["title"].startswith("value per user")
    assert [
        len(plan["metrics"]) for plan in (result.plan(unit="row"), result.plan(unit="user"))
    ] == [
        3,
        3,
    ]
    assert result.plan(unit="row")["metrics"][1]["mean"] < click["mean"]
    one = asked_of(table, asked, values={"buy": 1}).plan()
    assert [metric["title"] for metric in one["metrics"]] == ["buy per user", "click per user"]


def test_nothing_is_planned_for_without_a_current_model_or_a_gain(table, asked):
    unserved = bench.decide(table, **asked).plan(traffic=500)
    assert unserved["plan"] is None
    assert unserved["sentence"].startswith("Nobody said what is served")
    gains = unserved["gains"]
    assert [gain["units"] for gain in gains] == sorted(
        (gain["units"] for gain in gains), reverse=True
    )
    same = table.assign(q_click=table["p_click"], q_buy=table["p_click"] * table["p_buy"])
    unchanged = asked_of(same, asked, weights="p_click + 0.001 p_click p_buy", values={"click": 1})
    assert unchanged.decision.verdict.keep
    assert unchanged.plan()["sentence"].startswith("There is nothing to test")
    assert "looks" not in [title for title, (_, rows) in tables(unchanged.plan()).items() if rows]


def test_what_nobody_can_tell_is_planned_for_what_matters(log, asked):
    result = asked_of(log(1_500, seed=2, candidate_error=0.8), asked, weights="p_click^1 * p_buy^1")
    verdict = result.decision.verdict
    assert verdict.kind == "unknown"
    plan = result.plan()
    assert plan["plan"]["gain"] == max(verdict.both.utility.value, 0.005)
    assert any("cannot tell" in note for note in plan["notes"])


def test_units_that_do_not_differ_and_unknown_intervals_are_said(table, asked):
    last = table["click"].to_numpy().nonzero()[0][-1]
    one = table.iloc[: last + 1].assign(
        user=lambda frame: frame["click"].shift(fill_value=0).cumsum()
    )
    with pytest.raises(
        UserError, match="expected users of test that differ in 'click', found 1 in each"
    ):
        asked_of(one, asked).plan()
    plan = asked_of(table, asked).plan()
    for effect in ({"value": 0.1, "low": None, "high": None}, None):
        plan["metrics"][0]["expected"] = effect
        assert tables(plan)["metrics"][1][0][3] == ("+10.0%" if effect else "-")


@pytest.mark.slow
def test_the_command_plans_a_folder_of_decide(table, asked, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "<b>user"
    table.rename(columns={"user": name}).to_csv("log.csv", index=False)
    models = [f"--model={model}={','.join(columns)}" for model, columns in asked["models"].items()]
    options = [
        "--label=click",
        "--label=buy",
        "--parent=buy=click",
        *models,
        f"--units={name}",
        "--weights",
        WEIGHTS,
    ]
    assert main(["decide", "log.csv", *options, "--unseen", "--to", "found"]) == 0
    capsys.readouterr()
    assert (
        main(["plan", "found", "--traffic", "500/day", "--guardrail", "click=-1%", "--json"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document.pop("page") == str(tmp_path / "found" / "plan.html")
    assert document == json.loads((tmp_path / "found" / "plan.json").read_text(encoding="utf-8"))
    page = (tmp_path / "found" / "plan.html").read_text(encoding="utf-8")
    assert escape(document["sentence"]) in page
    assert name not in page
    assert "<script" not in page
    assert main(["plan", "found", "--to", "elsewhere"]) == 0
    assert document["sentence"] not in capsys.readouterr().out
    assert (tmp_path / "elsewhere" / "plan.json").is_file()
    for mistake in (["--traffic", "abc"], ["--guardrail", "click=-100%"]):
        assert main(["plan", "found", "--to", "none", *mistake]) == 2
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["watched", "two"])
def test_a_run_is_planned(name, tmp_path, capsys):
    unpack(tmp_path)
    assert main(["plan", name, "--home", str(tmp_path), "--traffic", "100/day"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    plan = bench.load_run(name, tmp_path).plan(traffic=100)
    assert first == plan["sentence"]
    assert bool(re.match("Nobody|There is nothing", first)) == (plan["plan"] is None)
    assert (tmp_path / "runs" / name / "plan.html").is_file()
