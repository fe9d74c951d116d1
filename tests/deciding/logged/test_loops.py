"""A decision against plain loops over the rows of a log."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import bench
from bench.core.rows import CONFIRM, TEST
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.log_models import models_of
from bench.deciding.logged.logged_rows import of_frame, times, until
from bench.deciding.logged.split_log import split_log
from bench.ledger.fusion import fused
from bench.ledger.ledger import ALL

MODELS = {"today": ["p_click", "p_buy"], "candidate": ["q_click", "q_buy"]}


@pytest.fixture(scope="module")
def table(log):
    table = log(4000, candidate_error=0.5)
    table["part"] = np.where(np.arange(4000) % 2 == 1, "judge", "choose")
    return table.assign(p_buy=table["p_buy"] * table["p_click"])


@pytest.fixture(scope="module")
def result(table):
    return bench.decide(
        table,
        labels=["click", "buy"],
        parents={"buy": "click"},
        joint=["buy"],
        models=MODELS,
        part="part",
        segments=["country"],
        unseen=True,
        outcomes=["click.recall@10%", "buy.recall@10%"],
        weights="p_click^0.3 * p_buy^2",
    ).found


def test_outcomes_are_those_of_the_ranking_by_the_fused_score(table, result):
    served = result.decision.serving.served
    for split, part in ((CONFIRM, "choose"), (TEST, "judge")):
        rows = table[table["part"] == part]
        rates = rows if split == CONFIRM else table[table["part"] == "choose"]
        for row, point in served.table.iterrows():
            if point["point"] not in MODELS:
                continue
            weights = [point["weights"][task] for task in ("click", "buy")]
            means = rates[["click", "buy"]].mean().tolist()
            score = fused(
                point["kind"], rows[MODELS[point["point"]]].to_numpy(np.float32), weights, means
            )
            top = rows.iloc[np.argsort(-score)[: len(rows) // 10]]
            expected = [top[task].sum() / rows[task].sum() for task in ("click", "buy")]
            assert served.cells[split, ALL][row, :, 0] == pytest.approx(expected, abs=1e-6)
    top = rows.loc[
        rows.eval("p_click**0.3 * p_buy**2").sort_values(ascending=False).index[: len(rows) // 10]
    ]
    now = [top[task].sum() / rows[task].sum() for task in ("click", "buy")]
    assert served.cells[TEST, ALL][served.current, :, 0] == pytest.approx(now, abs=1e-6)


def test_predictions_given_their_parent_are_multiplied_down_the_chain_whatever_their_order(rng):
    """Of three tasks, the last one named first; labels and amounts likewise."""
    table = pd.DataFrame(rng.uniform(0.1, 0.9, (400, 3)), columns=["pc", "pa", "pb"])
    table["a"] = rng.integers(0, 2, 400)
    table["b"] = rng.integers(0, 2, 400) * table["a"]
    table["c"] = rng.integers(0, 2, 400) * table["b"]
    table["bid"] = rng.integers(1, 5, 400)
    asked = Asked(
        labels=["c", "a", "b"],
        models={"m": "pc,pa,pb"},
        parents={"c": "b", "b": "a"},
        given=["c", "b"],
        amounts={"c": "bid"},
        unseen=True,
    )
    split = split_log(asked, of_frame(table, asked))
    (model,), _ = models_of(asked, split)
    joint = table["pa"] * table["pb"] * table["pc"] * table["bid"]
    expected = np.stack([joint, table["pa"], table["pa"] * table["pb"]], axis=1)
    np.testing.assert_allclose(model.served(0, np.arange(400)), expected, rtol=1e-6)
    assert model.terms == ("bid pa pb pc", "pa", "pa pb")
    happened = table["a"] * table["b"]
    np.testing.assert_allclose(
        split.labels, np.stack([happened * table["c"] * table["bid"], table["a"], happened], axis=1)
    )


def test_calibration_is_of_the_rows_that_judge(table, result):
    rows = table[table["part"] == "judge"]
    by_cell = {(fit.model, fit.task, fit.slice): fit for fit in result.calibration}
    assert len(by_cell) == 2 * 2 * 3
    for (model, task, part), fit in by_cell.items():
        slice_rows = rows if part == ALL else rows[rows["country"] == part.removeprefix("country=")]
        predictions = slice_rows[MODELS[model][["click", "buy"].index(task)]]
        assert fit.auc == pytest.approx(metrics.roc_auc_score(slice_rows[task], predictions))
        assert fit.pcoc == pytest.approx(predictions.sum() / slice_rows[task].sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([1, 5, 5, 9], "5"),  # of the command line
        ([20240229, 20240301, 20240301, 20240302], "20240301"),
        ([0.5, 2.5, 2.5, 3], 2.5),
        (["2024-02-29", "2024-03-01", "2024-03-01", "2024-03-01T00:00:01"], "2024-03-01"),
        (
            pd.to_datetime(["2024-02-29", "2024-03-01", "2024-03-01", "2024-03-02"]),
            "2024-03-01T00:00:00+00:00",
        ),
    ],
)
def test_rows_up_to_the_end_of_training_are_told_from_later_ones(values, end):
    asked = Asked(labels=["x", "y"], models={"a": "p,q"}, time="of")
    log = of_frame(pd.DataFrame({"of": values} | dict.fromkeys("xypq", 0.5)), asked)
    assert (times(log, "of") > until(log, "of", end)).tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("changes", "served"),
    [
        ({}, "first"),
        ({"weights": "b1"}, "b"),  # of a part of its columns
        ({"weights": "b1 + 3 b2"}, "b"),
        ({"weights": "a1 + b2"}, "first"),
        ({"weights": "b1 + other"}, "first"),
        ({"weights": "b1", "today": "first"}, "first"),
        ({"models": {"first": "a1,a2", "today": "c1,c2"}}, "today"),
    ],
)
def test_what_serves_today_is_the_model_whose_predictions_weights_have(changes, served):
    asked = {"labels": ["x", "y"], "models": {"first": "a1,a2", "b#3": "b1,b2", "b#1": "c1,c2"}}
    assert Asked(**(asked | changes)).todays_model == served


def test_todays_score_keeps_its_digits():
    frame = pd.DataFrame(
        {"old": [1e6 + 1e-4, 1e6], "x": [0, 1], "y": [1, 0], "p": [0.1, 0.2], "q": [0.3, 0.4]}
    )
    for today in ({"score": "old"}, {"weights": "old"}):
        log = of_frame(frame, Asked(labels=["x", "y"], models={"a": "p,q"}, **today))
        assert log.numbers["old"].tolist() == frame["old"].tolist()


@pytest.mark.parametrize(
    "values",
    [
        [0, 5, 5, 9],
        [-3, 5, -3, 0],
        [1 << 40, 1, 1 << 40, 1],
        [5, None, 5, 1],
        ["a", "b", None, "a"],
        [0.5, 2, 0.5, 1],
    ],
)
def test_equal_values_and_no_others_have_one_code(values):
    asked = Asked(labels=["x", "y"], models={"a": "p,q"}, units="of")
    codes = of_frame(pd.DataFrame({"of": values} | dict.fromkeys("xypq", 0.5)), asked).names["of"][
        0
    ]
    assert (codes >= 0).tolist() == [value is not None for value in values]
    for row, value in enumerate(values):
        assert [codes[row] == code for code in codes] == [
            value == candidate for candidate in values
        ]


def test_seeds_of_a_model_are_its_retrainings_and_resamples_count_the_rarer_class(table):
    """Of a label that most rows have these are the rows without it."""
    rng = np.random.default_rng(3)
    often = table.assign(click=1 - table["click"])
    for seed in (7, 3):
        for task in ("click", "buy"):
            often[f"{task}{seed}"] = often[f"q_{task}"] * rng.uniform(0.8, 1, len(often))
    models = MODELS | {f"candidate#{seed}": [f"click{seed}", f"buy{seed}"] for seed in (7, 3)}
    del models["candidate"]
    result = bench.decide(
        often, labels=["click", "buy"], models=models, part="part", unseen=True
    ).found
    assert result.decision.serving.served.seeded
    assert result.decision.pick.stability.holds is not None
    runs = {point.id: point.replicates for point in result.decision.frontier.points}
    assert [run.seed for run in runs["candidate"]] == [7, 3]
    judging = often[often["part"] == "judge"]
    rarer = min(judging["click"].mean(), 1 - judging["click"].mean())
    spread = np.std(runs["candidate"][0].resampled["test/click.rarer"])
    assert spread == pytest.approx(np.sqrt((1 - rarer) / rarer / len(judging)), rel=0.3)
