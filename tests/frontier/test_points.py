"""Points of a run, their estimates, and the single-task points among them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.objectives import Objective
from bench.core.records import Point, Replicate, RungResult, TrialRecord
from bench.results.frontier import frontier
from bench.results.points import (
    compared_split,
    composite,
    estimate,
    kept_names,
    points,
    points_of_run,
    replicated,
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
    assert compared_split([record, trial(1)]) == "confirm"
    assert compared_split([trial(1)]) == "valid"


CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.auc", "maximize")
SIZE = Objective("cost/parameters", "minimize")


def runs_of(click, like, **more):
    """Three replicates on the seeds that all points share."""
    luck = (-0.0004, 0.0001, 0.0003)
    values = [{"confirm/click.auc": click + by, "confirm/like.auc": like - by, "test/click.auc": click} for by in luck]
    return tuple(Replicate(seed, seed, of | more) for seed, of in enumerate(values, 1))


def record(number, click, like, kind="mmoe"):
    metrics = {"valid/click.auc": click, "valid/like.auc": like}
    config = {"sharing.kind": kind}
    return TrialRecord(number, "completed", {}, config, kind, metrics, replicates=runs_of(click, like))


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
def test_every_replicate_of_a_trial_belongs_to_exactly_one_point(trials):
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


def test_a_baseline_that_is_better_takes_the_place_of_a_trial():
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
