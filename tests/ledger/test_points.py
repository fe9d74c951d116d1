"""Points of a run, their estimates, and the single-task points among them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.objectives import Objective
from bench.core.records import Replicate, RungResult, TrialRecord
from bench.ledger.points import (
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
    for number, (values, full, replicate_numbers) in enumerate(trials):
        rungs = tuple(
            RungResult(10 * 4**i, i, {"valid/click.auc": click, "valid/like.auc": like})
            for i, (click, like) in enumerate(values)
        )
        untils = [rung.samples for rung in rungs[: -1 if full else None]] + [None] * full
        replicates = tuple(
            Replicate(k, 100 * number + k, {}, until=untils[k % len(untils)])
            for k in sorted(replicate_numbers)
        )
        state = "completed" if full else "waiting"
        records.append(
            TrialRecord(
                number, state, {}, {}, "mmoe", rungs[-1].metrics, replicates=replicates, rungs=rungs
            )
        )
        stored += [run.seed for run in replicates]
    points = points_of_run(records, [], (CLICK, LIKE))
    assert sorted(run.seed for point in points for run in point.replicates) == sorted(stored)
    assert len({point.id for point in points}) == len(points)
    assert all(run.until == point.until for point in points for run in point.replicates)


@pytest.fixture
def singles(trial):
    """Trial 0 is the better of the search in like, trial 1 in click; their replicates say the
    opposite.
    """

    def single(number, click, like, size, *runs):
        record = trial(number, click, like, "single_task", runs=runs)
        cost, replicates = {"cost/parameters": size}, []
        for run in record.replicates:
            moved = {key: [run.replicate + number, 0.0] for key in run.metrics}
            replicates.append(
                replace(run, seed=run.replicate, metrics=run.metrics | cost, resampled=moved)
            )
        return replace(record, replicates=tuple(replicates))

    first = single(0, 0.70, 0.84, 100.0, ((0.71, 0.81), (0.61, 0.71)), ((0.73, 0.82), (0.63, 0.72)))
    second = single(
        1, 0.74, 0.80, 300.0, ((0.69, 0.83), (0.59, 0.73)), ((0.70, 0.85), (0.60, 0.75))
    )
    return [first, second, trial(2, 0.9, 0.9)]


def test_each_task_comes_from_the_point_that_the_search_found_best_in_it(singles, objectives):
    joined = composite(points(singles, objectives), (*objectives, SIZE))
    assert (joined.id, joined.number, joined.sharing) == ("single_task", None, "single_task")
    assert (joined.config["single_task.click"], joined.config["single_task.like"]) == ("1", "0")
    assert [run.seed for run in joined.replicates] == [1, 2]
    assert [run.metrics["confirm/click.auc"] for run in joined.replicates] == [0.69, 0.70]
    assert [run.metrics["test/like.auc"] for run in joined.replicates] == [0.71, 0.72]
    assert joined.replicates[0].metrics["cost/parameters"] == 100 / 2 + 300 / 2
    assert joined.replicates[0].resampled["test/like.auc"] == [1.0, 0.0]
    assert joined.replicates[0].resampled["test/click.auc"] == [2.0, 0.0]


def test_its_predictions_are_from_each_tasks_own_replicate_of_the_seed(singles, objectives):
    singles = points(singles, objectives)
    sources = sources_of(singles, objectives)
    assert {task: point.number for task, point in sources.items()} == {"click": 1, "like": 0}
    assert kept_names(sources, ("click", "like", "share"), 2) == ["1-2", "0-2", "1-2"]
    assert kept_names(sources, ("click", "like"), 7) is None
    assert kept_names(sources_of(singles[2:], objectives), ("click", "like"), 2) is None


def test_replicates_are_joined_by_seed(singles, objectives):
    first, second, shared = points(singles, objectives)
    moved = replace(
        first, replicates=tuple(replace(run, seed=run.seed + 1) for run in first.replicates)
    )
    assert [run.seed for run in composite([moved, second], objectives).replicates] == [2]
    disjoint = replace(
        first, replicates=tuple(replace(run, seed=run.seed + 7) for run in first.replicates)
    )
    assert composite([disjoint, second], objectives) is None
    assert composite([shared], objectives) is None
