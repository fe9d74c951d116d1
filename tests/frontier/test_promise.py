"""What a confirmed point promises, against a simulation with known truth."""

import numpy as np
import pytest

from bench.errors import UserError
from bench.frontier.promise import Promise, promises, verdicts
from bench.objectives import Objective


def confirmed(point, rng, points=4, runs=3, sd=0.01):
    """Points of one true value each; click moves by `sd` from seed to seed."""
    return [
        point(i, runs=tuple(((0.7, 0.8), (0.7 + 0.02 * i + rng.normal(0, sd), 0.8)) for _ in range(runs)))
        for i in range(points)
    ]


def test_without_two_seeds_nothing_is_known_and_that_is_said(point, objectives):
    points = [point(0), point(1, runs=(((0.7, 0.8), (0.7, 0.8)),))]
    for each in points:
        with pytest.raises(UserError, match=r"^retrain.confidence: expected points confirmed on two seeds"):
            promises(each, points, objectives, 0.9, 1)


@pytest.mark.parametrize("new", [1, 3])
def test_new_trainings_fall_within_the_promise_as_often_as_it_says(point, objectives, new):
    rng, kept = np.random.default_rng(1), 0
    for _ in range(400):
        points = confirmed(point, rng)
        promise = promises(points[1], points, objectives, 0.9, new)["click.auc"]
        value = 0.72 + rng.normal(0, 0.01, new).mean()
        kept += not (promise.broken(value) or promise.surpassed(value))
    assert kept / 400 == pytest.approx(0.9, abs=0.04)


def test_verdicts_tell_worse_from_better_by_direction():
    auc, loss = Objective("click.auc", "maximize"), Objective("click.logloss", "minimize")
    promised = {each.name: Promise(each, 0.5, 0.4, 0.6) for each in (auc, loss)}
    broken, surpassed = verdicts(promised, {"test/click.auc": 0.3, "test/click.logloss": 0.3})
    assert broken == ["click.auc on test is 0.30000, where the frontier promised 0.50000 (0.40000 to 0.60000)"]
    assert surpassed[0].startswith("click.logloss on test is 0.30000, better than")
    assert verdicts(promised, {"test/click.auc": 0.4, "test/click.logloss": 0.6}) == ([], [])
    assert len(verdicts(promised, {})[0]) == 2  # what was not measured is no kept promise
