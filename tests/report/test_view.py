"""What a page shows, as tables: planes, what can be picked, and sentences."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.objectives import Objective
from bench.report.embed import section_data
from bench.report.view import MOST_DRAWN, MOST_DRAWS, decision_of, spread


def test_heads_are_differences_from_the_best_single_task_trial_of_each_objective(view: Any) -> None:
    plane = view.heads
    assert plane.kind == "heads"
    assert plane.splits == ("test", "confirm", "valid")
    single = plane.table[plane.table["sharing"] == "single_task"]
    for axis in plane.axes:
        assert single[f"valid/{axis.name}.gain"].max() == 0
        best = plane.table[f"valid/{axis.name}"].max() - single[f"valid/{axis.name}"].max()
        assert plane.table[f"valid/{axis.name}.gain"].max() == pytest.approx(best)
    confirmed = plane.table[plane.table["role"] == "trial"]["test/income.auc"].notna()
    assert confirmed.sum() == 9  # what was not confirmed has no place beside it


def test_heads_have_paired_intervals_of_their_gains(make_records: Any, make_objectives: Any, make_view: Any) -> None:
    records = [  # the k-th replicate of every point has the same seed
        replace(each, replicates=tuple(replace(run, seed=run.replicate) for run in each.replicates))
        for each in make_records()
    ]
    plane = make_view(records, make_objectives()).heads
    rows = plane.table[plane.table["test/income.auc.low"].notna()]
    assert plane.current is not None
    assert plane.against == "single-task models"
    assert (rows["test/income.auc.gain.low"] <= rows["test/income.auc.gain"]).all()
    assert (rows["test/income.auc.gain"] <= rows["test/income.auc.gain.high"]).all()


def test_what_is_to_be_minimised_gains_where_it_falls(make_records: Any, make_view: Any) -> None:
    records = [
        replace(each, metrics=each.metrics | {"valid/income.logloss": 0.2 + 0.001 * each.number})
        for each in make_records(confirmed=0)
        if each.state == "completed"
    ]
    objectives = (Objective("income.auc", "maximize"), Objective("income.logloss", "minimize"))
    gains = make_view(records, objectives).heads.table["valid/income.logloss.gain"]
    assert gains.iloc[0] == 0  # trial 0 is the single-task model that is best in it
    assert gains.iloc[-1] == pytest.approx(-0.001 * records[-1].number)


def test_regions_are_of_paired_differences() -> None:
    """What moves all rows alike moves no difference; the current row has none."""
    rng = np.random.default_rng(0)
    common = 1 + 0.1 * rng.normal(size=(400, 1, 1))
    own = 1 + 0.01 * rng.normal(size=(400, 3, 2))
    found = spread(common * own, current=1)
    assert np.allclose(found[1], 0)
    assert found[0, 0, 0] == pytest.approx(100**2 * 2 * 0.01**2, rel=0.3)


def test_choices_are_thinned_to_what_may_matter(make_records: Any, make_choices: Any) -> None:
    choices = make_choices(make_records(objectives=5), 5, draws=1000)
    pick = SimpleNamespace(row=3, runners_up=[SimpleNamespace(row=5)])
    found = decision_of(choices, pick)
    assert found is not None
    assert found.draws.shape[0] == MOST_DRAWS
    assert found.draws.size <= MOST_DRAWN
    assert found.draws.shape == (MOST_DRAWS, len(found.table), 5)
    for place, row in ((found.pick, 3), (found.runners_up[0], 5), (found.current, choices.current)):
        assert place is not None
        assert found.table.iloc[place]["weights"] == choices.table.iloc[row]["weights"]
    assert set(found.table["role"]) == set(choices.table["role"])
    assert np.allclose(
        found.values[found.current], choices.table.iloc[choices.current][list(choices.objectives)].tolist()
    )


@pytest.mark.parametrize("outcomes", [0, 2, 3])
def test_all_that_scripts_read_is_json(outcomes: int, make_records: Any, make_objectives: Any, make_view: Any) -> None:
    count = outcomes or 2
    view = make_view(make_records(objectives=count), make_objectives(count), served=outcomes)
    data = section_data(view)
    assert json.loads(json.dumps(data, allow_nan=False)) == json.loads(json.dumps(data))
    assert list(data["planes"]) == (["served", "heads"] if outcomes else ["heads"])
    if outcomes:
        served, decision = data["planes"]["served"], data["decision"]
        assert [cell[3] for cell in served["at"]["test"][served["current"]]] == [0] * outcomes
        assert min(decision["row"]) >= 0
        for r, row in zip(decision["row"], decision["rows"], strict=True):
            assert served["rows"][r]["weights"] == row["weights"]


def test_a_run_with_nothing_confirmed_shows_validation(make_records: Any, make_objectives: Any, make_view: Any) -> None:
    view = make_view(make_records(confirmed=0), make_objectives())
    assert view.decision is None
    assert view.heads.splits == ("valid",)


def test_sentences_say_what_seeds_do(view: Any) -> None:
    (found,) = [each for each in view.why if each.startswith("income AUC")]
    assert "9 confirmed points lie 1.3 apart" in found
    assert "better than confirmation, on average" in found


def test_what_the_picks_training_lost_after_its_best_state_is_said(view: Any) -> None:
    course = {"task": "like", "best": 0.7, "best_samples": 47_616, "last_samples": 144_000, "lost": 0.022}
    points = [replace(each, diagnosis={"course": {"like.auc": course}}) for each in view.front.points]
    assert not any("Overtraining" in each for each in view.why)
    told = replace(view, front=replace(view.front, points=tuple(points))).why
    assert sum("Overtraining: like.auc is best after 47,616 of 144,000 samples" in each for each in told) == 1


def test_a_scenario_has_a_front_of_its_own(view: Any) -> None:
    """Chosen on confirmation rows and drawn on test; none where too few rows are positive."""
    plane = view.planes[0]
    assert set(plane.fronts) == {"scenario=home", "scenario=search"}
    cells = plane.segments[plane.segments["segment"] == "scenario=home"]
    drawn = section_data(view)["planes"]["served"]["at"]["test, scenario=home"]
    test = cells[(cells["split"] == "test") & (cells["outcome"] == plane.axes[0].name)]
    assert [row[0][0] for row in drawn] == pytest.approx(test["value"].tolist(), rel=1e-5)
    assert [row[0][3] for row in drawn] == pytest.approx((100 * test["gain"]).tolist(), rel=1e-5)
    values = cells[cells["split"] == "confirm"].pivot(index="row", columns="outcome", values="value").to_numpy()
    beaten = [any((other >= own).all() and (other > own).any() for other in values) for own in values]
    assert (~plane.fronts["scenario=home"]).tolist() == beaten
