"""What is recorded of probes: means, shares and entropies, against their closed forms."""

import math

import pytest
from diagnosis_toys import OBJECTIVES

from bench.core.objectives import Objective
from bench.training.diagnosis import course_of, summary


def probe(cosine, norms, weights=(1.0, 1.0)):
    found = {"losses": [0.5, 0.25], "weights": weights, "norms": {"representation": norms}}
    return found | {"cosines": {"representation": [cosine]}}


def test_means_shares_and_ratios():
    probes = [probe(-0.5, (1.0, 4.0)), probe(0.1, (4.0, 4.0), (1.0, 0.25)), probe(None, (2.0, 0.0))]
    found = summary(["one", "two"], [(0, 1)], [0.5, None], probes, {})
    assert found["pairs"][0]["blocks"]["representation"] == {"cosine": -0.2, "below_zero": 0.5, "probes": 2}
    one, two = found["tasks"]["one"], found["tasks"]["two"]
    assert (one["loss"], one["loss_over_base"], two["loss_over_base"]) == (0.5, 1.0, None)
    assert (one["norm"]["representation"], two["norm"]["representation"]) == (
        2.0,
        4.0,
    )  # where a task has no gradient: left out
    assert two["pull"]["representation"] == 2.0  # of 4 and 1


def test_entropy_is_that_of_the_shares_over_its_largest():
    shares = [[0.25, 0.25, 0.25, 0.25], [0.95, 0.05, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]
    gates = summary(["a", "b", "c"], [], [None] * 3, [], {"gates": {"gates": shares}})["experts"]["gates"]["gates"]
    second = -(0.95 * math.log(0.95) + 0.05 * math.log(0.05)) / math.log(4)
    assert gates["entropy"] == pytest.approx([1.0, second, 0.5], rel=1e-5)
    assert gates["collapsed"] == [False, True, False]
    assert gates["of"] == ["a", "b", "c"]


def test_a_course_tells_where_a_task_was_best_and_what_it_lost_since():
    values = [(0.7, 0.5), (0.8, 0.6), (0.8, math.nan), (0.75, 0.7)]
    curve = [{"samples": 100.0 * n, "valid/one.auc": a, "valid/two.auc": b} for n, (a, b) in enumerate(values, 1)]
    found = course_of(["one", "two"], curve, OBJECTIVES)
    assert found["one.auc"] == {"task": "one", "best_samples": 200, "last_samples": 400, "best": 0.8, "lost": 0.05}
    assert (found["two.auc"]["best_samples"], found["two.auc"]["lost"]) == (400, 0.0)
    falling = course_of(["one"], [{"samples": 1.0, "valid/one.ne": 0.9}], [Objective("one.ne", "minimize")])
    assert falling["one.ne"]["lost"] == 0.0
    assert course_of(["one"], curve, [Objective("cost/parameters", "minimize")]) == {}
