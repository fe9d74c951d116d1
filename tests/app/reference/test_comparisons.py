"""Whether a balancer of one's own beats static weights, on rows whose truth is known, and beside
the study's answer.
"""

from dataclasses import replace

import pytest
from reference.answers import fronts, sharing_gains
from reference.members import gather

from bench.app.reference.cells import ALONE, COMPOSITE, EQUAL, Cell
from bench.app.reference.comparisons import (
    CellComparison,
    comparable,
    compared,
    effort,
    over_others,
    sentence,
    summary,
)
from bench.app.runs.suite import SuiteDataset
from bench.core.objectives import Objective
from bench.ledger.effect import Effect

OBJECTIVES = tuple(Objective(name, "maximize") for name in ("click.auc", "buy.auc"))
GIVEN = {"click.auc": 0.7, "buy.auc": 0.7}


def told(rows, questions, name="mgda", margin=None):
    """Of a method, as if it were one's own."""
    cell = Cell("made", rows[0].sharing, name)
    dataset = SuiteDataset(id="made", reference=GIVEN, margin=margin)
    return compared(cell, comparable(rows, cell), OBJECTIVES, dataset, questions)


def tuned(rows, tries=8):
    """With as many tries of each method as a design has."""
    first = [row for row in rows if not row.seed and row.balancing != "static"]
    extra = [
        replace(row, config=row.config | {"optim.lr": float(number)})
        for row in first
        for number in range(1, tries)
    ]
    return [*rows, *extra]


@pytest.mark.parametrize(
    ("ahead", "margin", "verdict"), [(0.001, None, "yes"), (-0.001, None, "no"), (0.001, 3.0, "no")]
)
def test_the_answer_is_the_truth_and_that_of_the_study(simulated, ahead, margin, verdict):
    rows = tuned(
        [row for row in simulated(ahead, seed=3, seeds=10) if row.balancing in ("static", "mgda")]
    )
    answer = told(rows, 2, margin=margin)
    assert (answer.verdict, answer.margin) == (verdict, margin or 0.5)
    margins = {"made": SuiteDataset(id="made", margin=margin)}
    heads, _ = fronts(
        gather(rows, {"made": OBJECTIVES}, {"made": GIVEN}), [rows[0].sharing], margins
    )
    assert (heads.verdict, heads.margin) == (answer.verdict, answer.margin)
    assert vars(heads.lead) == pytest.approx(vars(answer.lead))


def test_luck_in_tuning_is_no_answer(simulated):
    rows = [
        row for row in simulated(0.001, seed=3, seeds=10) if row.balancing in ("static", "mgda")
    ]
    assert told(rows, 2).verdict == "cannot tell"  # one try against seven


def test_a_loss_weighting_is_compared_like_a_gradient_method(simulated):
    rows = simulated(0.001, seed=3, seeds=10)
    named = [replace(row, balancing="mine") if row.balancing == "mgda" else row for row in rows]
    assert told(named, 1, "mine") == told(rows, 1)


def test_only_rows_of_the_same_data_and_sharing_count(simulated):
    rows = simulated(0.001, seed=3)
    cell = Cell("made", rows[0].sharing, "mgda")
    assert len(comparable(rows, cell)) == len(rows)
    for change in ({"sharing": "other"}, {"data": "other"}, {"failure": "none"}):
        assert comparable([replace(row, **change) for row in rows], cell) == []
    weights = sorted({str(row.config) for row in rows if row.balancing == "static"})
    assert comparable([row for row in rows if str(row.config) != weights[0]], cell) == []


def test_a_configuration_with_one_seed_is_not_compared(simulated):
    rows = simulated(0.001, seed=3)
    assert told([row for row in rows if row.balancing == "static" or row.seed < 2], 1) is None


def test_the_sentence_says_where_the_largest_lead_is():
    def at(data, verdict, value):
        return CellComparison(
            data, "mmoe", verdict, Effect(value, value - 1, value + 1), 0.5, "AUC x 1000"
        )

    yes, no, open_ = at("a", "yes", 2.0), at("b", "no", -0.5), at("c", "cannot tell", 3.0)
    for comparisons, begins, lead in (
        (
            [yes, no, open_],
            "Yes: mine surely beats",
            "+2.00 (+1.00 to +3.00) AUC x 1000, with mmoe on a",
        ),
        (
            [no, open_],
            "Cannot tell whether mine beats",
            "+3.00 (+2.00 to +4.00) AUC x 1000, with mmoe on c",
        ),
        (
            [no],
            "No: mine surely does not beat",
            "-0.50 (-1.50 to +0.50) AUC x 1000, with mmoe on b",
        ),
    ):
        text = sentence("mine", comparisons)
        assert text.startswith(begins)
        assert f"its largest lead is {lead}" in text


def test_a_way_of_sharing_is_compared_as_the_study_does(simulated):
    rows = [
        row for row in simulated(0.002, seed=1) if row.balancing in ("cagrad", "mgda", "fairgrad")
    ]
    renamed = {"cagrad": ("mine", EQUAL), "mgda": (ALONE, COMPOSITE), "fairgrad": ("ple", EQUAL)}
    rows = [
        replace(row, sharing=renamed[row.balancing][0], balancing=renamed[row.balancing][1])
        for row in rows
    ]
    comparisons = over_others(rows, Cell("made", "mine", EQUAL), OBJECTIVES)
    assert [comparison.right for comparison in comparisons] == [ALONE, ALONE, "ple", "ple"]
    study = sharing_gains(gather(rows, {"made": OBJECTIVES}, {"made": GIVEN}), ["mine"])
    assert [comparison.effect for comparison in comparisons[:2]] == [
        comparison.effect for comparison in study
    ]
    # the three lie along one front, "mine" with the least clicks
    assert comparisons[0].verdict == "worse"
    assert comparisons[1].verdict == "better"
    assert summary(comparisons).count("in 1 of 2 comparisons and is surely worse in 1") == 2
    assert over_others(rows, Cell("made", "mine", "mgda"), OBJECTIVES) == []


def test_the_effort_of_both_sides_is_told(simulated):
    rows = [
        replace(row, cpu_seconds=2.0, version="0.1.0", machine="a", commit="c")
        for row in simulated(0.0, seed=1)
    ]
    text = effort(
        "mgda", [replace(row, commit="d") if row.balancing == "mgda" else row for row in rows]
    )
    assert text.startswith(
        "mgda: 7 trainings, 14 s of CPU time, by Seesaw 0.1.0 (d) on a; static weights: 49 train"
    )
    assert text.endswith("1 min 38 s of CPU time, by Seesaw 0.1.0 (c) on a.")
