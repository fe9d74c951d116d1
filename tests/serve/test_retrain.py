"""Retraining for production: without the held-out rows, to a length, on several seeds, calibrated,
and checked.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from in_memory import evaluate

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.data.refit import JOINED
from bench.deciding.retraining import Length
from bench.deciding.score import Score
from bench.ledger.effect import Effect
from bench.ledger.fusion import fused
from bench.serve.calibration_maps import calibrated
from bench.serve.retrain import Predictor, Retrained, retrain

CLICK = Objective("click.auc", "maximize")


@pytest.fixture(scope="module")
def two(funnel, tmp_path_factory):
    """Two members, averaged."""
    return retrain(funnel.order(choose="average"), tmp_path_factory.mktemp("two"), {})


def same(a, b):
    states = [
        [state for member in result.members for states in member.parts for state in states]
        for result in (a, b)
    ]
    return len(states[0]) == len(states[1]) and all(
        torch.equal(x[name], y[name]) for x, y in zip(*states, strict=True) for name in x
    )


def test_both_seeds_are_kept_and_differ(two, funnel):
    assert [member.seed for member in two.members] == two.provenance["seeds"]
    first, second = (member.parts[0][0]["embedding.weight"] for member in two.members)
    assert not torch.equal(first, second)
    rows = sum(len(funnel.store.split(name)) for name in JOINED)
    batches = int(0.9 * rows) // 256
    assert two.members[0].samples == (pytest.approx(2 * 256 * batches, abs=1024),)


def test_the_same_order_gives_the_same_bits(two, funnel, tmp_path):
    again = retrain(funnel.order(choose="average"), tmp_path, {})
    assert same(two, again)
    assert (again.test, again.calibrated, again.calibrations) == (
        two.test,
        two.calibrated,
        two.calibrations,
    )
    assert again.provenance == two.provenance


def test_the_better_one_on_what_is_held_out_is_chosen(two, funnel, tmp_path):
    one = retrain(funnel.order(choose="one"), tmp_path, {})
    keys = ("valid/click.auc", "valid/purchase.ctcvr.auc")
    best = max(two.members, key=lambda member: sum(member.held_out[key] for key in keys))
    assert [member.seed for member in one.members] == [best.seed]
    assert same(one, Retrained(one.parts, (best,), {}, {}, {}))
    assert one.test == best.test


def test_metrics_are_those_of_the_mean_of_probabilities(two, funnel):
    """Computed again, from each member's own predictions."""
    predictor = Predictor(funnel.store, two.parts, "cpu")
    by_member = [list(predictor.predictions("test", [member.parts])) for member in two.members]
    conditional, joint = (
        np.mean(
            [np.concatenate([getattr(predicted, name) for predicted in one]) for one in by_member],
            axis=0,
        )
        for name in ("conditional", "joint")
    )
    data, tasks = funnel.store.split("test"), funnel.store.schema.tasks
    assert evaluate(data.labels, conditional, joint, data.group, tasks, "test/") == pytest.approx(
        two.test, abs=1e-6
    )
    conditional, joint = calibrated(funnel.store.schema, conditional, joint, two.calibrations)
    assert evaluate(data.labels, conditional, joint, data.group, tasks, "test/") == pytest.approx(
        two.calibrated, abs=1e-6
    )


def test_a_result_below_its_interval_is_refused_unless_forced(funnel, tmp_path):
    intervals = {CLICK: Effect(0.99, 0.98, 1.0)}
    order = funnel.order(seeds=1, calibration="none")
    with pytest.raises(
        UserError, match=r"refused: click.auc on test is 0\.\d+, worse than its prediction interval"
    ):
        retrain(order, tmp_path, intervals)
    forced = retrain(order, tmp_path, intervals, force=True)
    assert "prediction interval 0.99000 (0.98000 to 1.00000)" in forced.warnings[0]
    better = retrain(order, tmp_path, {CLICK: Effect(0.2, 0.1, 0.3)})
    (warning,) = better.warnings
    assert "better than its prediction interval" in warning


def test_the_served_ranking_is_measured_on_test(funnel, tmp_path):
    tasks = funnel.store.schema.tasks
    score = Score.fusion("power", {"click": 0.7, "purchase": 0.3}, {}, tasks)
    outcomes = ("click.recall@10%", "purchase.recall@10%")
    order = replace(funnel.order(length=Length(0.2), seeds=1), score=score, outcomes=outcomes)
    result = retrain(order, tmp_path, {})
    predictor = Predictor(funnel.store, result.parts, "cpu")
    (predicted,) = predictor.predictions("test", [result.members[0].parts])
    click, purchase = predicted.labels[:, 0], predicted.labels[:, 1]
    clicks, bought = np.nan_to_num(click), np.nan_to_num(click * purchase)
    order_of_rows = np.argsort(-fused("power", predicted.joint, (0.7, 0.3), ()))[
        : round(0.1 * len(clicks))
    ]
    expected = [labels[order_of_rows].sum() / labels.sum() for labels in (clicks, bought)]
    assert list(result.served) == list(outcomes)
    # the last row counts in part
    assert list(result.served.values()) == pytest.approx(expected, abs=0.02)
