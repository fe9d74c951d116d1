"""Decisions on logs whose truth is known, and sentences on mistakes."""

import json
import os
import re
import subprocess
import sys
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit, logit

import bench
from bench.app.cli import main
from bench.core.errors import UserError
from bench.core.formula import read
from bench.core.formula_languages import computed, python_of
from bench.core.rows import CONFIRM, TEST
from bench.ledger.fusion import Fusion, fused, fusion_in
from bench.ledger.served.slices import AS_LOGGED


def test_a_better_model_is_switched_to_and_the_formula_ranks_as_it_does(log, asked):
    table = log(20_000, candidate_error=0.2)
    result = bench.decide(table, **asked, weights="p_click^1 * p_buy^1").found
    verdict = result.decision.verdict
    assert verdict.kind == "model"
    assert verdict.answer[0].startswith("Switch to candidate")
    assert verdict.model.utility.gained
    ranked = table.eval(re.sub(r"(?<=\d) q_", " * q_", result.decision.formula).replace("^", "**"))
    weights, rates = list(result.decision.pick.weights.values()), result.rows[CONFIRM].rates
    served = fused(
        result.decision.pick.kind, table[["q_click", "q_buy"]].to_numpy(), weights, rates
    )
    # weights are written with three digits
    assert stats.spearmanr(ranked, served).statistic > 0.999
    assert result.decision.pick.stability.holds is None  # nobody knows what a retraining would do


def test_weights_that_are_far_off_are_changed_and_the_model_is_kept(log, asked):
    models = {"today": ["q_click", "q_buy"], "candidate": ["p_click", "p_buy"]}
    result = bench.decide(
        log(20_000),
        **(asked | {"models": models}),
        values={"click": 1, "buy": 100},
        weights="1 q_click + 0.1 q_buy",
    ).found
    assert result.decision.verdict.kind == "weights"
    assert result.decision.verdict.answer[0].startswith(
        "Keep your model and change its weights: they gain"
    )
    assert result.decision.verdict.weights.utility.gained
    first, second = (float(term.split()[0]) for term in result.decision.formula.split(" + "))
    assert second / first > 10


def test_calibration_tells_whether_a_prediction_is_given_its_parent(log, asked):
    notes = bench.decide(log(3_000), **asked).found.notes
    assert any(note.startswith("today is read to predict buy given click") for note in notes)
    assert any(note.startswith("candidate is read to predict buy with click") for note in notes)


@pytest.mark.slow
def test_recalibrating_is_a_candidate_of_its_own_where_it_pays(log, asked):
    table = log(30_000, error=0.0, candidate_error=0.0)
    joint = table["p_click"] * table["p_buy"]
    for stretched, pays in ((0.3, True), (1.0, False)):
        one = table.assign(p_buy=expit(stretched * logit(joint.clip(1e-6, 1 - 1e-6))))
        options = asked | {"models": {"today": ["p_click", "p_buy"]}, "joint": ["buy"]}
        result = bench.decide(one, **options, weights="1 p_click + 30 p_buy").found
        assert ("today, recalibrated" in result.decision.terms) is pays
        assert not pays or result.decision.terms["today, recalibrated"][1].startswith("sigmoid(")


def test_time_parts_the_log_and_later_rows_judge(log, asked):
    result = bench.decide(log(6_000), **asked, time="day").found
    rows = result.rows
    assert len(rows[CONFIRM].labels) + len(rows[TEST].labels) == 6_000
    # what is later never chooses
    assert "the mean of two tests" not in " ".join(result.decision.verdict.notes)
    later = bench.decide(
        log(6_000), **(asked | {"unseen": False}), time="day", trained_until=9
    ).found
    assert "2,000 rows up to 9, of training, are left out." in later.notes
    assert not any("Nobody said that the models were not trained" in note for note in later.notes)


def test_a_verdict_rests_on_rows_shown_at_random_or_on_what_rows_count(log, asked):
    table = log(6_000)
    table["shown_at_random"] = (np.arange(6_000) % 4 == 0) * 1.0
    table["chance"] = np.where(table["shown_at_random"] == 1, 0.1, 0.8)
    table.loc[1, ["shown_at_random", "chance"]] = np.nan
    few = bench.decide(table, **asked, random="shown_at_random").found
    alone = bench.decide(table[table["shown_at_random"] == 1], **asked).found
    served = few.decision.serving.served
    assert served.slices(TEST) == [AS_LOGGED]
    counted_rows = int(few.rows[TEST].exposure.weights.sum())
    assert 600 < counted_rows < 900
    assert served.random == pytest.approx(alone.decision.serving.served.random, abs=0.01)
    counted = bench.decide(table, **asked, propensity="chance").found
    weights = counted.rows[TEST].exposure.weights
    worth = weights.sum() ** 2 / (weights**2).sum()
    assert worth < 0.7 * len(weights)


def test_few_positives_shown_at_random_cannot_tell(log, asked):
    table = log(6_000).assign(shown_at_random=lambda frame: (np.arange(6_000) % 40 == 0) * 1)
    verdict = bench.decide(table, **asked, random="shown_at_random").decision.verdict
    assert verdict.kind == "unknown"
    assert "count as shown at random, and 30 are needed" in verdict.sentence
    with pytest.raises(UserError, match="a row has one place"):
        bench.decide(
            log(600).assign(c=0.5),
            **asked,
            propensity="c",
            group="request",
            outcomes=["click.ndcg@5"],
        )


@pytest.mark.parametrize(
    ("text", "terms", "expected"),
    [
        ("3 p_click + 40 p_buy", ("p_click", "p_buy"), ("sum", [3.0, 40.0])),
        ("3*p_click+4e1*p_buy", ("p_click", "p_buy"), ("sum", [3.0, 40.0])),
        ("1e+2 a + b", ("a", "b"), ("sum", [100.0, 1.0])),
        ("p_click^0.8 * p_buy^.2", ("p_click", "p_buy"), ("power", [0.8, 0.2])),
        ("p_click + 40 p_click p_buy", ("p_click", "p_click p_buy"), ("sum", [1.0, 40.0])),
        ("p_click (1 + 40 p_buy)", ("p_click", "p_click p_buy"), ("sum", [1.0, 40.0])),
        ("p_click * p_buy^0.2", ("p_click", "p_click p_buy"), ("power", [0.8, 0.2])),
        ("price (p_buy)^0.5", ("p_click", "price p_buy"), None),
        ("p_click - p_buy", ("p_click", "p_buy"), None),
        ("p_click + boost", ("p_click", "p_buy"), None),
        ("2 + 3 p_click", ("p_click", "p_buy"), ("sum", [3.0, 0.0])),
        ("0 p_click + 0 p_buy", ("p_click", "p_buy"), None),
        ("p_click^0 * p_buy^0", ("p_click", "p_buy"), None),
        (
            "0.8 log(p_click) + 0.2 log(p_buy) - 1",
            ("p_click", "p_click p_buy"),
            ("power", [0.6, 0.2]),
        ),
        ("0.8 log(p_click) + p_buy", ("p_click", "p_buy"), None),
        (
            "p_click + " + " ".join(f"(a{number} + b{number})" for number in range(8)),
            ("p_click", "p_buy"),
            None,
        ),
    ],
)
def test_a_formula_is_recognised_as_a_fusion_of_predictions(text, terms, expected):
    fusion = fusion_in(read(text, "--weights"), terms)
    if expected is None:
        assert fusion is None
    else:
        assert fusion[0] == expected[0]
        assert fusion[1] == pytest.approx(expected[1])


@pytest.mark.parametrize("changes", [{}, {"amounts": {"buy": "price"}}, {"parents": {}}], ids=str)
def test_every_answer_can_be_pasted_as_weights_and_ranks_as_the_point_that_it_is_of(
    log, asked, changes
):
    table = log(4_000).assign(price=lambda rows: np.random.default_rng(1).integers(1, 9, len(rows)))
    table["[p buy]-2"] = table["p_buy"]
    models = {"today": ["p_click", "[p buy]-2"], "candidate": ["q_click", "q_buy"]}
    options = asked | {"models": models} | changes
    result = bench.decide(table, **options, weights="3 p_click + 40 [[p buy]]-2]").found
    served = result.decision.serving.served
    compared = 0
    for point, weights, kind, formula in zip(
        served.table["point"],
        served.table["weights"],
        served.table["kind"],
        result.decision.formulas,
        strict=True,
    ):
        if not weights or point.endswith("recalibrated"):
            continue
        again = fusion_in(read(formula, "--weights"), result.decision.terms[point])
        assert again is not None, formula
        rates = result.rows[CONFIRM].rates if again[0] == "sum" else [1.0] * 2
        back = Fusion.of(
            again[0], [weight * rate for weight, rate in zip(again[1], rates, strict=True)]
        )
        assert back.kind == kind
        assert back.weights == pytest.approx([*weights.values()], rel=0.01, abs=1e-3)
        compared += 1
    assert compared >= 10
    answer = bench.decide(table, **options, weights=result.decision.formula).found
    assert answer.decision.serving.served is not None


def near_ranks(first, second):
    """Whether two scores order rows alike, and tie them alike, up to single precision."""
    for score, other_score in ((first, second), (second, first)):
        ordered = np.asarray(other_score, float)[np.argsort(score, kind="stable")]
        assert np.diff(ordered).min() >= -1e-5 * np.ptp(ordered)


ANSWERED = {
    "given": {},
    "an amount": {"amounts": {"buy": "price"}},
    "recalibrated": {"parents": {}},
    "log odds": {"models": {"today": ["o_click", "p_buy"], "candidate": ["q_click", "o buy"]}},
}


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answer_ranks_rows_as_its_point_in_every_language(log, asked, name):
    """Predictions of two digits, so that there are many ties."""
    table = log(4_000, error=0.1).assign(price=np.random.default_rng(1).integers(1, 9, 4_000))
    for column in ("p_click", "p_buy", "q_click", "q_buy"):
        table[column] = table[column].clip(0.01, 0.99).round(2)
    table["o_click"], table["o buy"] = logit(table["p_click"]), logit(table["q_buy"])
    result = bench.decide(table, **(asked | ANSWERED[name])).found
    served = result.decision.serving.served
    columns = {column: table[column].to_numpy(float) for column in table.select_dtypes("number")}
    rates = result.rows[CONFIRM].rates
    for point, kind, formula in zip(
        served.table["point"], served.table["kind"], result.decision.formulas, strict=True
    ):
        expression = read(formula, "")
        fusion = fusion_in(expression, result.decision.terms[point])
        predictions = np.stack(
            [computed(read(term, ""), columns, "") for term in result.decision.terms[point]], axis=1
        )
        weights = np.array(fusion[1]) * (rates if fusion[0] == "sum" else 1.0)
        score = fused(fusion[0], predictions, weights.tolist(), rates)
        assert Fusion.of(fusion[0], weights.tolist()).kind == kind
        near_ranks(score, computed(expression, columns, ""))
        with np.errstate(over="ignore"):
            near_ranks(
                computed(expression, columns, ""),
                eval(python_of(expression), {"np": np, "log": table}),
            )
    assert ("today, recalibrated" in result.decision.terms) is (name == "recalibrated")


def test_a_pasted_answer_of_a_recalibrated_model_is_that_model(log, asked):
    table = log(8_000, error=0.0).assign(off=lambda rows: expit(0.3 * logit(rows["p_click"])))
    one = asked | {"models": {"today": ["off", "p_buy"]}}
    first = bench.decide(table, **one, weights="off + 5 off p_buy").found
    points = first.decision.serving.served.table["point"].tolist()
    row = points.index("today, recalibrated")
    again = bench.decide(table, **one, weights=first.decision.formulas[row]).found
    served = again.decision.serving.served
    assert served.table["point"][served.current] == "today, recalibrated"
    before = first.decision.serving.served.cells[TEST, "all"][row, :, 0]
    assert served.cells[TEST, "all"][served.current, :, 0] == pytest.approx(before, abs=0.01)


@pytest.mark.parametrize(
    "weights", ["1.2345 p_click + 40 p_click p_buy", "p_click + country_boost", "2 - q_click"]
)
def test_todays_score_is_written_as_it_was_given(log, asked, weights):
    table = log(3_000).assign(country_boost=1.0)
    result = bench.decide(table, **asked, weights=weights).found
    assert result.decision.formulas[result.decision.serving.served.current] == weights


def test_a_funnels_score_is_a_point_of_its_model(log, asked):
    table = log(4_000)
    result = bench.decide(table, **asked, weights="p_click + 40 p_click p_buy").found
    served = result.decision.serving.served
    assert served.table["point"].iloc[served.current] == "today"
    assert served.today


MISTAKES = {
    "a label as prediction": (
        {"models": {"today": ["click", "p_buy"]}},
        "expected a prediction, found the label",
    ),
    "a circle of parents": (
        {"parents": {"buy": "click", "click": "buy"}},
        "expected a chain, found a circle",
    ),
    "an unknown parent": ({"parents": {"buy": "like"}}, "parents: unknown label 'like'"),
    "given and joint": ({"given": ["buy"], "joint": ["buy"]}, "found it under both"),
    "score and weights": (
        {"score": "p_buy", "weights": "p_buy"},
        "expected `score` or `weights`, found both",
    ),
    "weights of no column": (
        {"weights": "3 p_clik + p_buy"},
        "column 'p_clik', which is missing ('p_click'",
    ),
    "a label in today's score": (
        {"weights": "3 p_click + click"},
        "today's score of predictions, found the label",
    ),
    "a label as today's score": ({"score": "buy"}, "score of predictions, found the label 'buy'"),
    "a name without brackets": (
        {"models": {"today": ["p-click", "p_buy"]}, "weights": "3 p-click"},
        "weights: expected the column 'p-click' in square brackets, [p-click]",
    ),
    "weights of 0": (
        {"weights": "0 p_click + 0 p_buy"},
        "expected a score that differs between rows",
    ),
    "weights that cancel": (
        {"weights": "p_click - p_click"},
        "expected a score that differs between rows, found 0",
    ),
    "a weight that is none": (
        {"weights": "1e999 p_click + 2 p_buy"},
        "--weights: expected numbers up to 1e+100",
    ),
    "no formula": ({"weights": "click and buy"}, "expected a sum such as"),
    "time and nothing later": (
        {"time": "day", "trained_until": 99, "unseen": False},
        "expected rows of a later day",
    ),
    "trained until, no time": (
        {"trained_until": 9, "unseen": False},
        "expected `trained_until` with `time`",
    ),
    "a time that is none": (
        {"time": "country"},
        "expected numbers, dates or ISO times in 'country', found 'FR'",
    ),
    "parts of other names": (
        {"part": "country"},
        "expected choose, judge, valid, confirm and test in 'country'",
    ),
    "sampling above 1": ({"sampling": 2}, "sampling: expected a share of at most 1, found 2"),
    "two ways of being shown": (
        {"random": "day", "propensity": "day"},
        "'random' or 'propensity', found both",
    ),
    "no such outcome": (
        {"outcomes": ["click.recal@10%"]},
        "outcomes: expected an outcome such as click.ndcg@5",
    ),
    "no such model": ({"today": "tomorrow"}, "today: unknown model 'tomorrow'"),
    "a text as prediction": (
        {"models": {"today": ["country", "p_buy"]}},
        "expected numbers in the column 'country'",
    ),
    "a model without a name": (
        {"models": {"#1": ["p_click", "p_buy"]}},
        "expected a name such as candidate",
    ),
    "a seed that is none": (
        {"models": {"today#a": ["p_click", "p_buy"]}},
        "expected a name such as candidate",
    ),
    "one column for two things": (
        {"segments": ["click"]},
        "expected 'click' for one purpose, found it as a number",
    ),
    "with a seed and without": (
        {"models": {"today": ["p_click", "p_buy"], "today#1": ["q_click", "q_buy"]}},
        "expected 'today' with a seed each time, or once without",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence(log, asked, name):
    options, sentence = MISTAKES[name]
    with pytest.raises(UserError) as error:
        bench.decide(log(600), **(asked | options))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"p_click": 0.3}, "expected predictions in 'p_click' that differ, found 0.3 in all rows"),
        ({"p_click": np.nan}, "expected rows with a prediction of every model, found none"),
        ({"click": -1}, "expected labels of at least 0 in 'click', found -1"),
        ({"buy": 0}, "expected rows that choose weights with and without 'buy', found 0 in all"),
    ],
)
def test_a_log_that_nothing_can_be_decided_by(log, asked, change, sentence):
    with pytest.raises(UserError, match=sentence):
        bench.decide(log(600).assign(**change), **asked)
    table = log(600)
    with pytest.raises(UserError, match="found the label 'click' itself"):
        bench.decide(table.assign(p_click=table["click"].astype(float)), **asked)


OPTIONS = [
    "--label",
    "click",
    "--label",
    "buy",
    "--parent",
    "buy=click",
    "--model",
    "today=p_click,p_buy",
    "--model",
    "candidate=q_click,q_buy",
    "--units",
    "user",
    "--weights",
    "3 p_click + 40 p_buy",
    "--value",
    "buy=40",
    "--value",
    "click=3",
    "--segment",
    "country",
    "--unseen",
]


def test_the_command_writes_files_and_its_own_question_gives_the_same_answer(
    log, asked, tmp_path, capsys
):
    log(4_000).to_csv(tmp_path / "log.csv", index=False)
    log(4_000).to_parquet(tmp_path / "log.parquet", index=False)
    assert (
        main(
            ["decide", str(tmp_path / "log.csv"), *OPTIONS, "--to", str(tmp_path / "out"), "--json"]
        )
        == 0
    )
    first = json.loads(capsys.readouterr().out)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html",
        "cells.parquet",
        "decision.json",
        "decide.toml",
    }
    assert main(["decide", "--file", str(tmp_path / "out" / "decide.toml"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["verdict"] == first["verdict"]
    assert main(["decide", str(tmp_path / "log.parquet"), *OPTIONS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["both"] == first["verdict"]["both"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert escape(first["verdict"]["sentence"].split(". ")[0][:40]) in page
    assert main(["decide", str(tmp_path / "log.csv"), *OPTIONS]) == 0
    assert "\nscore = " in capsys.readouterr().out
    assert main(["decide", str(tmp_path / "log.csv"), *OPTIONS, "--to", str(tmp_path)]) == 2
    assert "expected a new folder" in capsys.readouterr().err
    with pytest.raises(UserError, match="expected a new folder"):  # whose other files would be lost
        bench.decide(tmp_path / "log.parquet", **asked).write(tmp_path)
    assert (tmp_path / "log.csv").is_file()
    assert pd.read_parquet(tmp_path / "out" / "cells.parquet")["point"].nunique() >= 3


@pytest.mark.slow
def test_neither_the_package_nor_a_decision_needs_torch_mlflow_or_optuna(log, tmp_path):
    for name in ("torch", "mlflow", "optuna"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name}')")
    log(1_500).to_parquet(tmp_path / "log.parquet")
    paths = os.pathsep.join([str(tmp_path), str(Path(bench.__file__).parents[1])])
    words = ["-m", "bench", "decide", "log.parquet", *OPTIONS, "--to", "out"]
    env = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=tmp_path, env=env
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.slow
def test_mlflow_gets_the_verdict_and_all_files(log, tmp_path):
    from mlflow import MlflowClient

    log(3_000).to_parquet(tmp_path / "log.parquet")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    words = [
        "decide",
        str(tmp_path / "log.parquet"),
        *OPTIONS,
        "--tracking",
        address,
        "--home",
        str(tmp_path / "home"),
    ]
    assert main(words) == 2  # files lie nowhere
    assert main([*words, "--to", str(tmp_path / "out")]) == 0
    client = MlflowClient(tracking_uri=address)
    (run,) = client.search_runs([client.get_experiment_by_name("seesaw decisions").experiment_id])
    document = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert run.data.tags["seesaw.verdict"][:40] == document["verdict"]["sentence"][:40]
    assert any(name.startswith("gain/click") for name in run.data.metrics)
    assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} >= {
        "report.html",
        "decision.json",
    }
    # nothing where the program was started
    assert run.info.artifact_uri.startswith((tmp_path / "home").as_uri())


@pytest.mark.slow
def test_many_models_leave_the_terminal_readable(log, asked, tmp_path, capsys):
    table = log(2_000)
    names = [f"m{number}" for number in range(30)]
    rng = np.random.default_rng(0)
    for name in names:
        for task in ("click", "buy"):
            table[f"{name}_{task}"] = np.clip(
                table[f"p_{task}"] * rng.uniform(0.9, 1.1, len(table)), 0.001, 0.999
            )
    table.to_csv(tmp_path / "log.csv", index=False)
    words = [word for name in names for word in ("--model", f"{name}={name}_click,{name}_buy")]
    asking = [
        "decide",
        str(tmp_path / "log.csv"),
        "--label",
        "click",
        "--label",
        "buy",
        "--parent",
        "buy=click",
    ]
    assert main([*asking, *words, "--units", "user", "--unseen", "--to", str(tmp_path / "to")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "10 more sentences on how columns are read are left out." in out
    assert re.search(r"\d+ more rows are on the page that --to writes", out)
    assert len(out) < 15_000
    assert main([*asking, *words[:-1], "m29=none,m29_buy"]) == 2
    err = capsys.readouterr().err
    assert re.search(
        r"expected the column 'none', which is missing.*; found are .* and 20 more$", err.strip()
    )


def test_a_model_may_be_called_score_where_that_is_not_what_ranks_today(log, asked):
    today, candidate = asked["models"].values()
    models = {"today": today, "score": candidate}
    decision = bench.decide(log(3_000), **(asked | {"models": models})).decision
    assert "score" in set(decision.frontier.table["point"])
    with pytest.raises(UserError, match="another name than 'score', which is today's score"):
        bench.decide(log(3_000), **(asked | {"models": models, "weights": "p_click"}))
