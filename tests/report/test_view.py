"""What a page shows, as tables: planes, what can be picked, and sentences."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.core.objectives import Objective
from bench.frontier.decision import with_verdict
from bench.report.embed import MOST_DRAWN, MOST_DRAWS, plain, section_data
from bench.report.view import axes_of, scenario_fronts, splits_of, spread_of
from bench.results.effect import Effect
from bench.results.served.joint import Moves


def test_heads_are_differences_from_the_best_single_task_trial_of_each_objective(view: Any) -> None:
    front = view.front
    assert splits_of(front) == ("test", "confirm", "valid")
    assert [axis.scale for axis in axes_of(front)] == [1000.0, 1000.0]
    single = (front.table["sharing"] == "single_task").to_numpy()
    values, gains = front.at("valid"), front.at("valid", "gain")
    assert np.nanmax(gains[single], axis=0).tolist() == [0.0, 0.0]
    best = np.nanmax(values, axis=0) - np.nanmax(values[single], axis=0)
    np.testing.assert_allclose(np.nanmax(gains, axis=0), best)
    trials = (front.table["role"] == "trial").to_numpy()
    assert np.isfinite(front.at("test")[trials, 0]).sum() == 9  # what was not confirmed has no place beside it


def test_heads_have_paired_intervals_of_their_gains(make_records: Any, make_objectives: Any, make_view: Any) -> None:
    records = [  # the k-th replicate of every point has the same seed
        replace(each, replicates=tuple(replace(run, seed=run.replicate) for run in each.replicates))
        for each in make_records()
    ]
    view = make_view(records, make_objectives())
    assert view.front.current is not None
    assert section_data(view)["planes"]["heads"]["against"] == "single-task models"
    low, value, high = (view.front.at("test", part) for part in ("gain_low", "gain", "gain_high"))
    known = np.isfinite(low)
    assert known.any(axis=0).all()
    assert (low[known] <= value[known]).all()
    assert (value[known] <= high[known]).all()


def test_what_is_to_be_minimised_gains_where_it_falls(make_records: Any, make_view: Any) -> None:
    records = [
        replace(each, metrics=each.metrics | {"valid/income.logloss": 0.2 + 0.001 * each.number})
        for each in make_records(confirmed=0)
        if each.state == "completed"
    ]
    objectives = (Objective("income.auc", "maximize"), Objective("income.logloss", "minimize"))
    gains = make_view(records, objectives).front.at("valid", "gain")[:, 1]
    assert gains[0] == 0  # trial 0 is the single-task model that is best in it
    assert gains[-1] == pytest.approx(-0.001 * records[-1].number)


def test_regions_are_of_paired_differences(view: Any) -> None:
    """What moves all rows alike moves no difference; the current row has none."""
    rng = np.random.default_rng(0)
    common = 1 + 0.1 * rng.normal(size=(400, 1, 1))
    own = 1 + 0.01 * rng.normal(size=(400, 3, 2))
    found = spread_of(replace(view.served, draws={"test": common * own}, current=1))["test"]
    assert np.allclose(found[1], 0)
    assert found[0, 0, 0] == pytest.approx(100**2 * 2 * 0.01**2, rel=0.3)


def test_choices_are_thinned_to_what_may_matter(make_records: Any, make_objectives: Any, make_view: Any) -> None:
    view = make_view(make_records(objectives=5), make_objectives(5), served=5)
    few, more = view.choices, {name: np.tile(getattr(view.choices, name), (4, 1, 1)) for name in ("draws", "retrained")}
    choices = replace(few, **more)
    pick = SimpleNamespace(row=3, point="3", stability=view.pick.stability, runners_up=[SimpleNamespace(row=5)])
    found = section_data(replace(view, choices=choices, pick=pick))["decision"]
    assert found["count"] == MOST_DRAWS < len(choices.draws)
    assert len(found["rows"]) < len(few)
    assert len(base64.b64decode(found["draws"])) == 4 * MOST_DRAWS * len(found["rows"]) * 5 <= 4 * MOST_DRAWN
    for place, row in ((found["pick"], 3), (found["runnersUp"][0], 5), (found["current"], choices.current)):
        assert found["row"][place] == row
        assert found["rows"][place]["weights"] == plain(choices.table.iloc[row]["weights"])
    assert {row["point"] for row in found["rows"]} == set(choices.table["point"])
    current = choices.values(choices.objectives)[choices.current]
    assert found["values"][found["current"]] == pytest.approx(current.tolist(), rel=1e-5)


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
    assert not view.decides
    assert section_data(view)["decision"] is None
    assert splits_of(view.front) == ("valid",)


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
    served, fronts = view.served, scenario_fronts(view.served)
    assert set(fronts) == {"scenario=home", "scenario=search"}
    drawn = section_data(view)["planes"]["served"]["at"]["test, scenario=home"]
    test, gains = (served.at("test", part, "scenario=home")[:, 0] for part in ("value", "gain"))
    assert [row[0][0] for row in drawn] == pytest.approx(test.tolist(), rel=1e-5)
    assert [row[0][3] for row in drawn] == pytest.approx((100 * gains).tolist(), rel=1e-5)
    values = served.at("confirm", slice="scenario=home")
    beaten = [any((other >= own).all() and (other > own).any() for other in values) for own in values]
    assert (~fronts["scenario=home"]).tolist() == beaten


def test_what_the_verdict_advises_has_its_gains_for_people(view: Any) -> None:
    """On test, as these allow for the choice; nothing else changes."""
    changes = {name: Effect(0.01, -1.0, 2.0) for name in view.served.names}
    moves = Moves(Effect(0.01), changes)
    for advised in (view.pick.row, 7):
        found = with_verdict(view.served, view.pick.row, replace(view.verdict, both=moves, row=advised))
        assert found.gains(advised) == changes
        for row in range(len(found)):
            assert row == advised or str(found.gains(row)) == str(view.served.gains(row))
        assert found.gains(advised, "confirm") == view.served.gains(advised, "confirm")
