"""What is logged, before MLflow sees it."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bench.frontier.choices import head_choices
from bench.frontier.frontier import frontier
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.records import RungResult
from bench.tracking.batches import batches
from bench.tracking.values import UNPLACED, Point, front_of, params, points, trial_tags


def test_params_are_the_whole_dotted_configuration(make_trial):
    assert params(make_trial(0))["optimizer.lr"] == "0.01"
    assert params(replace(make_trial(0), config={"a.b": None, "a.c": True})) == {"a.b": "None", "a.c": "True"}


def test_points_carry_names_and_samples(make_trial):
    found = points(make_trial(0, click=0.7))
    assert Point("valid/click.auc", 0.7, 0) in found
    assert Point("cost/parameters", 1000.0, 0) in found
    assert Point("speed/train_samples_per_s", 5e4, 0) in found
    assert [each for each in found if each.name == "curve/click.auc"] == [
        Point("curve/click.auc", 0.6, 100),
        Point("curve/click.auc", 0.7, 200),
    ]
    assert not any("value_" in each.name or each.name == "curve/samples" for each in found)


def test_of_a_trial_by_rungs_only_what_is_new_is_sent(make_trial):
    rungs = [RungResult(100, 0, {"valid/click.auc": 0.6}), RungResult(200, 1, {"valid/click.auc": 0.7})]
    trial = replace(make_trial(0), rungs=tuple(rungs))
    sent = [[each for each in points(trial, rungs=there) if each.name == "valid/click.auc"] for there in (0, 1, 2)]
    assert [[(each.value, each.step) for each in found] for found in sent] == [
        [(0.6, 100), (0.7, 200)],
        [(0.7, 200)],
        [],
    ]


def test_values_that_are_not_finite_are_left_out(make_trial):
    names = {each.name for each in points(make_trial(0, click=math.inf, like=math.nan))}
    assert names.isdisjoint({"valid/click.auc", "valid/like.auc"})
    assert "cost/parameters" in names


def test_failure_is_a_tag(make_failed):
    tags = trial_tags(make_failed(3, "x" * 9000))
    assert tags["seesaw.failure_kind"] == "diverged"
    assert tags["seesaw.failure"] == "x" * 5000
    assert tags["seesaw.state"] == "failed"


def test_place_on_the_front(make_trial, objectives):
    records = [
        make_trial(0, 0.70, 0.80, "single_task"),
        make_trial(1, 0.72, 0.81, replicates=((0.71, 0.82), (0.73, 0.84))),
        make_trial(2, 0.70, 0.70, replicates=((0.70, 0.70), (0.71, 0.71))),
    ]
    front = frontier(records, objectives)
    placed = front_of(front, pick(head_choices(front.points, objectives), front.points, objectives, Policy()))
    assert placed[0] == ([], UNPLACED | {"seesaw.until": "none"})
    values = {point.name: point.value for point in placed[1][0]}
    assert math.isclose(values["test/like.auc.mean"], 0.83)
    assert math.isclose(values["confirm/click.auc.sd"], 0.02 / math.sqrt(2))
    assert 0.5 < (sure := values["front.p_nondominated"]) <= 1
    tags = {"front.on_front": "true", "front.rank": "0", "seesaw.picked": "true", "seesaw.until": "none"}
    assert placed[1][1] == tags | {"front.p_nondominated": f"{sure:.4f}"}
    assert (placed[2][1]["front.on_front"], placed[2][1]["front.rank"]) == ("false", "1")


@given(st.integers(0, 2500), st.integers(0, 250), st.integers(0, 120))
def test_batches_keep_within_limits_and_lose_nothing(metrics, named, tagged):
    logged = [Point(f"m{i}", i) for i in range(metrics)]
    some, tags = {f"p{i}": "" for i in range(named)}, {f"t{i}": "" for i in range(tagged)}
    made = list(batches(logged, some, tags))
    assert all(len(m) + len(p) + len(t) <= 1000 and len(p) <= 100 and len(t) <= 100 for m, p, t in made)
    assert all(any(batch) for batch in made)
    assert [each for m, _, _ in made for each in m] == logged
    assert dict(each for _, p, _ in made for each in p) == some
    assert dict(each for _, _, t in made for each in t) == tags
    assert len(made) <= 1 or max(metrics / 800, named / 100, tagged / 100) > 1  # a usual trial is one batch
