"""`seesaw decide` with a packaged model: it predicts the log's rows itself."""

import json

import numpy as np
import pandas as pd
import pytest
from serving_toys import funnel_package, funnel_store, raw_rows

import bench
from bench.core.errors import UserError
from bench.serve.package import Package

LABELS = ("--label", "click", "--label", "purchase", "--parent", "purchase=click", "--unseen")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log with the rows' inputs, and a model by columns: the true probabilities with errors."""
    rows = raw_rows().slice(0, 3000).to_pandas()
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.5, 1, (len(rows), 2))
    rows["t_click"] = rows["p_click"] * noise[:, 0]
    rows["t_purchase"] = rows["p_click"] * rows["p_purchase"] * noise[:, 1]
    file = tmp_path_factory.mktemp("log") / "log.csv"
    rows.to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    return funnel_package(folder / "package", funnel_store(folder / "home")).folder


def options(package):
    return (*LABELS, "--model", "today=t_click,t_purchase", "--model", f"mine=package:{package}")


def test_its_predictions_are_those_of_a_log_that_has_them_as_columns(
    seesaw, package, log, tmp_path
):
    rows = pd.read_csv(log)
    predicted = Package.open(package).scorer().predict(rows)
    with_columns = rows.assign(
        m_click=predicted["click"].astype("float32"),
        m_purchase=predicted["purchase.ctcvr"].astype("float32"),
    )
    by_columns = bench.decide(
        with_columns,
        labels=["click", "purchase"],
        parents={"purchase": "click"},
        models={"today": ["t_click", "t_purchase"], "mine": ["m_click", "m_purchase"]},
        joint=["purchase"],
        unseen=True,
    )
    said = seesaw("decide", log, *options(package), "--json", home=tmp_path)
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert document["verdict"]["sentence"] == by_columns.verdict()
    models = {"today": ["t_click", "t_purchase"], "mine": [f"package:{package}"]}
    by_table = bench.decide(
        rows,
        labels=["click", "purchase"],
        parents={"purchase": "click"},
        models=models,
        joint=["purchase"],
        unseen=True,
    )
    pd.testing.assert_frame_equal(by_table.cells(), by_columns.cells())


def test_the_score_of_a_package_can_be_todays(seesaw, package, log, tmp_path):
    said = seesaw(
        "decide",
        log,
        *options(package),
        "--score",
        "mine:score",
        "--to",
        tmp_path / "to",
        home=None,
    )
    assert said.code == 0, said.err
    assert "today's score (mine:score)" in said.out
    planned = seesaw("plan", tmp_path / "to", "--traffic", "100/day", home=tmp_path)
    assert planned.code == 0, planned.err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--label", "like"], "--model mine: expected the prediction 'like'"),
        (["--model", "other=package:none"], "none"),
    ],
)
def test_what_a_package_does_not_have_is_one_sentence(seesaw, package, log, tmp_path, given, says):
    words = [*options(package), *given]
    if given[0] == "--label":
        words[words.index("today=t_click,t_purchase")] = "today=t_click,t_purchase,p_like"
    said = seesaw("decide", log, *words, home=tmp_path)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert said.err.strip().count("\n") == 1, said.err  # what it reads, and the sentence


def test_rows_without_an_input_are_refused(seesaw, package, log, tmp_path):
    pd.read_csv(log).drop(columns="item_id").to_csv(tmp_path / "log.csv", index=False)
    said = seesaw("decide", tmp_path / "log.csv", *options(package), home=tmp_path)
    assert said.code == 2
    assert "log.csv: for the package, which was made for synthetic-funnel" in said.err
    assert "item_id" in said.err
    with pytest.raises(UserError, match="expected a column 'item_id' in every row"):
        bench.decide(
            pd.read_csv(tmp_path / "log.csv"),
            labels=["click", "purchase"],
            models={"mine": [f"package:{package}"]},
        )


def test_a_failed_rule_ends_with_1_in_words_and_as_json(seesaw, package, log, tmp_path):
    kept, failed = "click.logloss > 9", "click.recall@10% < 100%"
    command = ("decide", log, *options(package), "--fail-if", kept)
    said = seesaw(*command, home=tmp_path)
    assert said.code == 0, said.err
    assert "mine as packaged against today" in said.out
    said = seesaw(*command, "--fail-if", failed, home=tmp_path)
    assert said.code == 1
    assert said.err.endswith(f"seesaw: failed by --fail-if: {failed}\n")
    sentences = said.out.splitlines()[-2:]
    as_json = seesaw(*command, "--fail-if", failed, "--json", home=tmp_path)
    assert (as_json.code, as_json.err) == (1, said.err)
    judged = json.loads(as_json.out)["judged"]
    assert [rule["sentence"] for rule in judged["rules"]] == sentences
    assert [rule["failed"] for rule in judged["rules"]] == [False, True]
    outcome = next(each for each in judged["outcomes"] if each["metric"] == "click.recall@10%")
    assert outcome["gain"] == judged["rules"][1]["measured"]


def test_a_rule_is_asked_over_nights_of_a_pick_too(seesaw, log, tmp_path):
    models = ("--model", "today=t_click,t_purchase", "--model", "new=p_click,p_purchase")
    night = tmp_path / "nights.jsonl"
    for first, nights in ((0, 1), (1, 2), (1, 2)):
        pd.read_csv(log).iloc[first:].to_csv(tmp_path / "night.csv", index=False)
        rule = ("--fail-if", "click.recall@10% < -50%", "--watch", night)
        said = seesaw(
            "decide", tmp_path / "night.csv", *LABELS, *models, *rule, "--json", home=None
        )
        assert said.code == 0, said.err
        (found,) = json.loads(said.out)["judged"]["rules"]
        assert found["nights"] == nights


def test_orders_are_judged_by_outcomes_alone(seesaw, log, tmp_path):
    rows = pd.read_csv(log)
    for task in ("click", "purchase"):
        rows[f"order_{task}"] = 10 + 100 * rows[f"t_{task}"]
    rows.to_csv(tmp_path / "log.csv", index=False)
    models = ("--model", "new=order_click,order_purchase")
    words = ("decide", tmp_path / "log.csv", *LABELS, *models, "--score", "hour")
    said = seesaw(*words, "--fail-if", "click.recall@10% < -90%", "--json", home=None)
    assert said.code == 0, said.err
    assert json.loads(said.out)["judged"]["predictions"] == []
    said = seesaw(*words, "--fail-if", "click.logloss > 9", home=None)
    assert said.code == 2
    assert "the model's are no chances" in said.err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--fail-if", "click.recall@10%"], "--fail-if: expected a gain as in"),
        (["--fail-if", "like.recall@10% < 0.1"], "--fail-if: outcome 'like.recall@10%': unknown"),
        (["--score", "hour", "--fail-if", "click.auc < 1%"], "today's score has no predictions"),
        (["--watch", "nights.jsonl"], "--watch: expected --fail-if beside it"),
    ],
)
def test_a_wrong_rule_is_refused(seesaw, package, log, tmp_path, monkeypatch, given, says):
    monkeypatch.chdir(tmp_path)
    said = seesaw("decide", log, *LABELS, "--model", f"mine=package:{package}", *given, home=None)
    assert (said.code, said.out) == (2, "")
    assert says in said.err.splitlines()[-1]
    assert not (tmp_path / "nights.jsonl").exists()
