"""Answers of the reference on rows whose truth is known."""

from dataclasses import replace

import pytest
from reference.answers import Front, answer, headline, task_of, turned
from reference.page import markdown
from reference.papers import Source

from bench.app.reference.cells import ALONE, COMPOSITE, EQUAL
from bench.app.reference.one_training import fusions
from bench.app.reference.table import read, write
from bench.app.runs.suite import SuiteDataset
from bench.core.objectives import Objective
from bench.ledger.effect import Effect

OBJECTIVES = (Objective("click.auc", "maximize"), Objective("buy.auc", "maximize"))


def answered(rows, *papers, margin=None):
    names = dict.fromkeys((row.data for row in rows), OBJECTIVES)
    margins = {name: SuiteDataset(id=name, margin=margin) for name in names}
    return answer(rows, names, {}, ["shared_bottom"], [], papers, margins)


def heads(rows, margin=None):
    return [
        front.verdict for front in answered(rows, margin=margin).fronts if front.scope == "heads"
    ]


def test_yes_where_gradient_methods_lie_beyond(simulated):
    assert heads(simulated(0.002, seed=1)) == ["yes"]


@pytest.mark.slow
# the second lies 2 thousandths beyond
@pytest.mark.parametrize(("beyond", "margin"), [(0.0, None), (0.0028, 2.0)])
def test_hardly_ever_yes_where_they_lie_no_farther_than_the_margin(simulated, beyond, margin):
    verdicts = [heads(simulated(beyond, seed=seed, methods=8), margin)[0] for seed in range(60)]
    assert verdicts.count("yes") <= 6  # 5% of 60 are 3; more than 6 has a chance of 3%


def test_no_where_all_lie_within_the_margin(simulated):
    assert heads(simulated(-0.001, seed=3, seeds=10)) == ["no"]


def front(scope, verdict, value, margin, unit):
    return Front(
        "made",
        "mmoe",
        scope,
        verdict,
        Effect(value, value - 1, value + 1),
        margin,
        unit,
        "mgda",
        0.5,
    )


def test_the_sentence_counts_by_unit_and_prefers_a_sure_lead():
    way = "% of the way from the reference to the best"
    sentence = headline(
        [
            front("served", "cannot tell", -0.5, 1.0, "%"),
            front("heads", "yes", 2.0, 0.5, "AUC x 1000"),
            front("heads", "cannot tell", 3.0, 0.5, "AUC x 1000"),
            front("heads", "no", 0.1, 0.2, way),
        ]
    )
    parts = [
        "in 1: 1 yes, 1 surely no, 2 cannot tell",
        "a sure +2.00 thousandths",
        f"+0.10{way}",
        "is -0.50% of the best",
    ]
    assert [part for part in parts if part not in sentence] == []


def test_the_table_gives_back_its_rows(simulated, tmp_path):
    rows = simulated(0.001, seed=5)
    write(rows, tmp_path / "table.parquet")
    back = read(tmp_path / "table.parquet")
    assert {row.key for row in back} == {row.key for row in rows}
    one = {row.key: row for row in rows}
    for row in back:
        assert row.test == pytest.approx(one[row.key].test, abs=1e-7)
        assert row.test_moved == pytest.approx(one[row.key].test_moved, abs=1e-6)
    assert [front.verdict for front in answered(back).fronts] == [
        front.verdict for front in answered(rows).fronts
    ]
    text = (tmp_path / "table.parquet").read_bytes()
    write(reversed(rows), tmp_path / "table.parquet")
    assert (tmp_path / "table.parquet").read_bytes() == text


def test_within_groups_what_a_head_alone_serves_is_compared_and_a_turned_answer_counted(simulated):
    """Two models: the one that shares is ahead by AUC, and behind in clicks where the head of
    clicks ranks alone.
    """
    names, behind = ("click.ndcg@5", "buy.ndcg@5"), {True: 0.01, False: 0.0}
    alone = [fusion.weights[0] == 1 for fusion in fusions(2) for _ in names]
    clicks = [name == "click.ndcg@5" for _ in fusions(2) for name in names]
    rows = []
    for row in simulated(0.0, seed=1):
        if (
            row.balancing == "mgda"
        ):  # stands for separate models, with the AUC of static weights less .003
            row = replace(
                row, sharing=ALONE, balancing=COMPOSITE, test=[value - 0.003 for value in row.test]
            )
            head = zip(row.served, alone, clicks, strict=bool(row.served))
            row = replace(
                row,
                served=[
                    value + behind[ranks_alone and click] for value, ranks_alone, click in head
                ],
            )
        elif row.balancing == "cagrad":
            row = replace(row, balancing=EQUAL)
        rows.append(replace(row, outcomes=names))
    result = answered(rows)
    clicked, bought = (
        next(gain for gain in result.within_groups if task_of(gain) == task)
        for task in ("click", "buy")
    )
    assert clicked.verdict == "worse"
    assert clicked.effect.value + 0.01 == pytest.approx(
        next(gain for gain in result.sharing if task_of(gain) == "click").effect.value - 0.003,
        abs=1e-9,
    )
    (over, _), *_ = turned(result.sharing, result.within_groups)
    assert (task_of(over), over.verdict) == ("click", "better")
    assert "1 turn" in markdown(result, [], 6, "seesaw publish")
    assert bought.objective == "buy.ndcg@5"
    assert answered(simulated(0.0, seed=1)).within_groups == []


def test_published_figures_are_judged_by_our_noise_or_wait_for_rows(simulated):
    rows = simulated(0.0, seed=1)
    rows += [
        replace(row, balancing="equal")
        for row in rows
        if row.config.get("balancing.static.weight.buy") == 8
    ]
    table = {
        "shared_bottom": {"click.auc": 0.8},
        "mmoe": {"click.auc": 0.81, "buy.auc": 0.7},
        "esmm": {"buy.auc": 0.7001},
    }
    papers = [
        Source(name=data, url="u", data=data, why="one run", auc=table)
        for data in ("made", "unseen")
    ]
    result = answered(rows, *papers)
    first, led, _, close = result.claims[:4]
    assert (first.judged, first.needed) == (False, None)
    assert led.over == "shared_bottom"
    assert led.lead == pytest.approx(0.01)
    assert led.needed == 2
    assert close.judged
    text = markdown(result, [], 6, "seesaw publish")
    assert "4 figures on other data (unseen) wait for our rows." in text
    assert "Of 2 published differences, " in text
    assert "| unseen |" not in text
