"""Points of a run, their estimates, and the single-task points among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.objectives import Objective
from bench.core.records import Point, Replicate, RungResult, TrialRecord
from bench.results.frontier import frontier
from bench.results.points import (
    baselines,
    candidates,
    composite,
    estimate,
    estimates,
    kept_names,
    points,
    points_of_run,
    replicated,
    rows_of,
    sources_of,
)

TEST = (0.6, 0.6)


def test_replicate_mean_leaves_the_search_value_out(trial):
    record = trial(0, click=0.99, runs=(((0.70, 0.8), TEST), ((0.72, 0.8), TEST)), failed_runs=1)
    assert replicated(record, "confirm/click.auc") == [0.70, 0.72]
    assert np.isclose(estimate(record, "click.auc"), 0.71)
    assert np.isclose(estimate(record, "click.auc", "test"), 0.6)


def test_a_confirmed_trial_never_falls_back_to_the_search(trial):
    record = trial(0, click=0.99, runs=(((0.70, 0.8), TEST),))
    del record.replicates[0].metrics["confirm/click.auc"]
    assert np.isnan(estimate(record, "click.auc"))
    assert rows_of([record, trial(1)]) == "confirm"
    assert rows_of([trial(1)]) == "valid"


def test_costs_have_one_key_for_all_splits(trial):
    costs = (Objective("cost/parameters", "minimize"),)
    assert estimates([trial(0, parameters=5.0)], costs, "test").tolist() == [[5.0]]


def test_candidates_are_all_until_one_is_confirmed(point):
    plain, sure = point(0), point(2, runs=(((0.7, 0.8), TEST),))
    assert candidates([plain]) == [plain]
    assert candidates([plain, sure]) == [sure]


CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.auc", "maximize")
SIZE = Objective("cost/parameters", "minimize")


def runs_of(click: float, like: float, **more: float) -> tuple[Replicate, ...]:
    """Three replicates on the seeds that all points share."""
    luck = (-0.0004, 0.0001, 0.0003)
    values = [{"confirm/click.auc": click + by, "confirm/like.auc": like - by, "test/click.auc": click} for by in luck]
    return tuple(Replicate(seed, seed, of | more) for seed, of in enumerate(values, 1))


def record(number: int, click: float, like: float, kind: str = "mmoe") -> TrialRecord:
    metrics = {"valid/click.auc": click, "valid/like.auc": like}
    config = {"sharing.kind": kind}
    return TrialRecord(number, "completed", {}, config, kind, metrics, replicates=runs_of(click, like))


def test_ids_and_names() -> None:
    static = {"balancing.static.weight.click": 1.0, "balancing.static.weight.like": 0.25}
    named = {
        (point.id, point.name, point.role)
        for point in (
            Point("trial", {}, "mmoe", 7),
            Point("trial", {}, "mmoe", 7, 16000),
            Point("trees", {}, "trees"),
            Point("static_weights", static, "mmoe"),
            Point("equal_weights", static, "mmoe", until=100),
            Point("current", {}, "mmoe"),
        )
    }
    assert named == {
        ("7", "trial 7", "trial"),
        ("7@16000", "trial 7 stopped after 16,000 samples", "trial"),
        ("trees", "boosted trees", "baseline"),
        ("static_weights 4:1", "static weights 4:1", "baseline"),
        ("equal_weights", "equal weights", "baseline"),
        ("current", "current model", "current"),
    }


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.floats(0.5, 0.9), st.floats(0.5, 0.9)), min_size=1, max_size=3),
            st.booleans(),
            st.sets(st.integers(0, 2)),
        ),
        max_size=4,
    )
)
def test_every_replicate_of_a_trial_belongs_to_exactly_one_point(trials) -> None:
    """At whichever of its lengths a trial was confirmed."""
    records, stored = [], []
    for number, (values, full, at) in enumerate(trials):
        rungs = tuple(
            RungResult(10 * 4**i, i, {"valid/click.auc": click, "valid/like.auc": like})
            for i, (click, like) in enumerate(values)
        )
        untils = [rung.samples for rung in rungs[: -1 if full else None]] + [None] * full
        own = tuple(Replicate(k, 100 * number + k, {}, until=untils[k % len(untils)]) for k in sorted(at))
        state = "completed" if full else "waiting"
        records.append(TrialRecord(number, state, {}, {}, "mmoe", rungs[-1].metrics, replicates=own, rungs=rungs))
        stored += [run.seed for run in own]
    points = points_of_run(records, [], (CLICK, LIKE))
    assert sorted(run.seed for point in points for run in point.replicates) == sorted(stored)
    assert len({point.id for point in points}) == len(points)
    assert all(run.until == point.until for point in points for run in point.replicates)


def test_a_baseline_that_is_better_takes_the_place_of_a_trial() -> None:
    """Found in use: a pick was reported with P(non-dominated) .9998 while equal weights beat it in two of three."""
    three = (CLICK, LIKE, SIZE)
    trials = [
        replace(record(at, click, like), replicates=runs_of(click, like, **{"cost/parameters": 100.0}))
        for at, (click, like) in enumerate([(0.74, 0.80), (0.70, 0.84), (0.65, 0.70)])
    ]
    equal = Point("equal_weights", {"sharing.kind": "mmoe"}, "mmoe")
    equal = replace(equal, replicates=runs_of(0.75, 0.81, **{"cost/parameters": 100.0}))
    alone = frontier(trials, three, {"cost/parameters": 1000}).table.set_index("point")
    front = frontier(trials, three, {"cost/parameters": 1000}, baselines=[equal])
    table = front.table.set_index("point")
    assert alone.loc["0", "p_nondominated"] > 0.95
    assert table.loc["0", "p_nondominated"] < 0.05
    assert table["on_front"].to_dict() == {"0": False, "1": True, "2": False, "equal_weights": True}
    assert table["role"].to_dict() == {"0": "trial", "1": "trial", "2": "trial", "equal_weights": "baseline"}
    assert [point["point"] for point in front.to_json()["points"]] == ["equal_weights", "1"]
    assert front.hypervolume == pytest.approx(frontier(trials, three, {"cost/parameters": 1000}).hypervolume)


def test_what_lacks_an_objective_is_listed_and_not_compared() -> None:
    trees = Point("trees", {}, "trees", replicates=runs_of(0.9, 0.9))
    sized = replace(record(0, 0.7, 0.8), replicates=runs_of(0.7, 0.8, **{"cost/parameters": 100.0}))
    table = frontier([sized], (CLICK, SIZE), {"cost/parameters": 1000}, baselines=[trees]).wide.set_index("point")
    assert table.loc["0", "on_front"]
    assert not table.loc["trees", "on_front"]
    assert table.loc["trees", ["rank", "p_nondominated"]].isna().all()
    assert table.loc["trees", "confirm/click.auc"] == pytest.approx(0.9)


def test_one_single_task_model_that_is_best_in_every_task_is_one_competitor() -> None:
    single, shared = record(0, 0.72, 0.82, "single_task"), record(1, 0.70, 0.80)
    table = frontier([single, shared], (CLICK, LIKE)).wide.set_index("point")
    for column in ("rank", "p_nondominated", "confirm/click.auc.low"):
        assert table.loc["0", column] == table.loc["single_task", column]
    assert table.loc["0", "p_nondominated"] > 0.9
    ahead = record(2, 0.73, 0.81, "single_task")
    table = frontier([single, ahead, shared], (CLICK, LIKE)).table.set_index("point")
    assert table["on_front"].to_dict() == {"0": False, "1": False, "2": False, "single_task": True}


@pytest.fixture
def singles(trial):
    """Trial 0 is the better of the search in like, trial 1 in click; their replicates say the opposite."""
    first = trial(0, 0.70, 0.84, "single_task", runs=(((0.71, 0.81), (0.61, 0.71)), ((0.73, 0.82), (0.63, 0.72))))
    second = trial(1, 0.74, 0.80, "single_task", runs=(((0.69, 0.83), (0.59, 0.73)), ((0.70, 0.85), (0.60, 0.75))))
    sized = []
    for record, size in ((first, 100.0), (second, 300.0)):
        runs = tuple(
            replace(
                run,
                seed=run.replicate,
                metrics=run.metrics | {"cost/parameters": size},
                resampled={key: [run.replicate + record.number, 0.0] for key in run.metrics},
            )
            for run in record.replicates
        )
        sized.append(replace(record, replicates=runs))
    return [*sized, trial(2, 0.9, 0.9)]


def test_each_task_comes_from_the_point_that_the_search_found_best_in_it(singles, objectives):
    found = composite(points(singles, objectives), (*objectives, SIZE))
    assert (found.id, found.number, found.sharing) == ("single_task", None, "single_task")
    assert (found.config["single_task.click"], found.config["single_task.like"]) == ("1", "0")
    assert [run.seed for run in found.replicates] == [1, 2]
    assert [run.metrics["confirm/click.auc"] for run in found.replicates] == [0.69, 0.70]
    assert [run.metrics["test/like.auc"] for run in found.replicates] == [0.71, 0.72]
    assert found.replicates[0].metrics["cost/parameters"] == 100 / 2 + 300 / 2
    assert found.replicates[0].resampled["test/like.auc"] == [1.0, 0.0]
    assert found.replicates[0].resampled["test/click.auc"] == [2.0, 0.0]


def test_its_predictions_are_from_each_tasks_own_replicate_of_the_seed(singles, objectives):
    singles = points(singles, objectives)
    sources = sources_of(singles, objectives)
    assert {task: point.number for task, point in sources.items()} == {"click": 1, "like": 0}
    assert kept_names(sources, ("click", "like", "share"), 2) == ["1-2", "0-2", "1-2"]
    assert kept_names(sources, ("click", "like"), 7) is None
    assert kept_names(sources_of(singles[2:], objectives), ("click", "like"), 2) is None


def test_replicates_are_joined_by_seed(singles, objectives):
    first, second, shared = points(singles, objectives)
    moved = replace(first, replicates=tuple(replace(run, seed=run.seed + 1) for run in first.replicates))
    assert [run.seed for run in composite([moved, second], objectives).replicates] == [2]
    apart = replace(first, replicates=tuple(replace(run, seed=run.seed + 7) for run in first.replicates))
    assert composite([apart, second], objectives) is None
    assert composite([shared], objectives) is None


def test_the_table_has_the_composite_first_and_a_row_for_each_weight(singles, objectives):
    runs = singles[0].replicates

    def static(like: float, lr: float) -> Point:
        config = {"balancing.kind": "static", "balancing.static.weight.click": 1.0, "optim.lr": lr}
        return Point("static_weights", config | {"balancing.static.weight.like": like}, "mmoe", replicates=runs)

    others = [static(0.25, 1.0), static(2.51984, 1.0), replace(static(0.25, 2.0), replicates=runs[:1])]
    front = frontier(singles, objectives, baselines=others)
    table = front.wide[front.table["role"] == "baseline"].reset_index()
    assert table["point"].tolist() == ["single_task", "static_weights 4:1", "static_weights 1:2.52"]
    assert table["name"].tolist() == ["best single-task models", "static weights 4:1", "static weights 1:2.52"]
    assert front.to_json()["baselines"][0]["trials"] == [0, 1]
    assert table["replicates"].tolist() == [2, 1, 2]  # of one weight the latest counts
    assert table.loc[0, "confirm/click.auc"] == pytest.approx(0.695)
    assert (table["confirm/click.auc.low"] < table["confirm/click.auc"]).all()
    assert static(1.0, 1.0).id == "static_weights 1:1"


@pytest.fixture
def records(point):
    return [
        point(0, 0.70, 0.83, kind="single_task"),
        point(1, 0.72, 0.80, kind="single_task", balancing="uncertainty"),
        point(2, 0.73, 0.82),
        point(3, 0.71, 0.84, balancing="uncertainty"),
    ]


def numbers(points, objectives):
    return {name: point.number for name, point in baselines(points, objectives).items()}


def test_each_objective_has_its_own_best_single_task_trial(records, objectives):
    assert numbers(records, objectives) == {"click.auc": 1, "like.auc": 0}


def test_a_confirmed_baseline_counts_by_its_replicates(point, objectives):
    lucky = point(0, 0.80, 0.80, kind="single_task")
    sure = point(1, 0.75, 0.80, kind="single_task", runs=(((0.70, 0.80), (0.69, 0.78)),))
    assert numbers([lucky, sure], objectives)["click.auc"] == 1


def test_a_baseline_that_was_not_confirmed_is_none_beside_confirmed_points(point, objectives):
    seen_once = point(0, 0.80, 0.80, kind="single_task")
    assert baselines([seen_once, point(1, runs=(((0.72, 0.8), (0.7, 0.8)),))], objectives) == {}
