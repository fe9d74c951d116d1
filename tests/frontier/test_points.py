"""Points of a run: their ids, which replicates they have, and baselines beside them on the front."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.frontier.frontier import frontier
from bench.frontier.points import points_of_run
from bench.objectives import Objective
from bench.records import Point, Replicate, RungResult, TrialRecord

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
    table = frontier([sized], (CLICK, SIZE), {"cost/parameters": 1000}, baselines=[trees]).table.set_index("point")
    assert table.loc["0", "on_front"]
    assert not table.loc["trees", "on_front"]
    assert table.loc["trees", ["rank", "p_nondominated"]].isna().all()
    assert table.loc["trees", "confirm/click.auc.mean"] == pytest.approx(0.9)


def test_one_single_task_model_that_is_best_in_every_task_is_one_competitor() -> None:
    single, shared = record(0, 0.72, 0.82, "single_task"), record(1, 0.70, 0.80)
    table = frontier([single, shared], (CLICK, LIKE)).table.set_index("point")
    for column in ("rank", "p_nondominated", "confirm/click.auc.low"):
        assert table.loc["0", column] == table.loc["single_task", column]
    assert table.loc["0", "p_nondominated"] > 0.9
    ahead = record(2, 0.73, 0.81, "single_task")
    table = frontier([single, ahead, shared], (CLICK, LIKE)).table.set_index("point")
    assert table["on_front"].to_dict() == {"0": False, "1": False, "2": False, "single_task": True}
