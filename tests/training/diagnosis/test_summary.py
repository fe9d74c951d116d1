"""What is recorded of probes: means, shares and entropies, against their closed forms."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from diagnosis_toys import OBJECTIVES

from bench.core.objectives import Objective
from bench.core.schema import Task
from bench.training.config import TrialConfig
from bench.training.diagnosis import course_of, summary
from bench.training.loop import Trainer

CHAIN = (Objective("click.auc", "maximize"), Objective("buy.ctcvr.auc", "maximize"), Objective("like.auc", "maximize"))


def probe(cosine: float | None, norms: tuple[float, float], weights: tuple[float, float] | None = (1.0, 1.0)) -> Any:
    found = {"losses": [0.5, 0.25], "weights": weights, "norms": {"representation": norms}}
    return found | {"cosines": {"representation": [cosine]}}


def test_means_shares_and_ratios() -> None:
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


def test_without_known_weights_there_is_no_pull() -> None:
    found = summary(["one", "two"], [(0, 1)], [None, None], [probe(0.0, (1.0, 1.0), None)], {})
    assert found["tasks"]["one"]["pull"] == {"representation": None}
    assert found["tasks"]["one"]["weight"] is None


def test_without_probes_there_is_nothing_but_the_count() -> None:
    found = summary(["one", "two"], [(0, 1)], [None, None], [], {})
    assert found == {"probes": 0, "tasks": {}, "pairs": [], "experts": {"gates": {}, "units": {}}}


def test_entropy_is_that_of_the_shares_over_its_largest() -> None:
    shares = [[0.25, 0.25, 0.25, 0.25], [0.95, 0.05, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]
    gates = summary(["a", "b", "c"], [], [None] * 3, [], {"gates": {"gates": shares}})["experts"]["gates"]["gates"]
    second = -(0.95 * math.log(0.95) + 0.05 * math.log(0.05)) / math.log(4)
    assert gates["entropy"] == pytest.approx([1.0, second, 0.5], rel=1e-5)
    assert gates["collapsed"] == [False, True, False]
    assert gates["of"] == ["a", "b", "c"]


def test_a_course_tells_where_a_task_was_best_and_what_it_lost_since() -> None:
    values = [(0.7, 0.5), (0.8, 0.6), (0.8, math.nan), (0.75, 0.7)]
    curve = [{"samples": 100.0 * n, "valid/one.auc": a, "valid/two.auc": b} for n, (a, b) in enumerate(values, 1)]
    found = course_of(["one", "two"], curve, OBJECTIVES)
    assert found["one.auc"] == {"task": "one", "best_samples": 200, "last_samples": 400, "best": 0.8, "lost": 0.05}
    assert (found["two.auc"]["best_samples"], found["two.auc"]["lost"]) == (400, 0.0)
    falling = course_of(["one"], [{"samples": 1.0, "valid/one.ne": 0.9}], [Objective("one.ne", "minimize")])
    assert falling["one.ne"]["lost"] == 0.0
    assert course_of(["one"], curve, [Objective("cost/parameters", "minimize")]) == {}


@pytest.mark.parametrize("funnel", ["independent", "entire_space"])
def test_a_chain_of_tasks_is_seen_as_plain_json(tiny: Any, funnel: str) -> None:
    config = {"sharing.kind": "ple", "funnel.kind": funnel, "optim.batch_size": 16, "optim.epochs": 3}
    made = Trainer(tiny, TrialConfig.parse(config), CHAIN, seed=0)
    made.diagnosis.every = 2
    made.run_to()
    found = made.diagnosis.summary(made.course.curve, CHAIN)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [pair["tasks"] for pair in found["pairs"]] == [["click", "buy"], ["click", "like"], ["buy", "like"]]
    assert found["probes"] == 6
    labels = tiny.split("train").labels
    click = labels[:, 0] == 1
    rate = float(np.mean(labels[click, 1]) * (np.mean(click) if funnel == "entire_space" else 1))
    entropy = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
    buy = found["tasks"]["buy"]
    assert buy["loss_over_base"] == pytest.approx(buy["loss"] / entropy, rel=1e-4)


def test_a_task_without_a_sample_has_no_cosine_and_no_unit_is_called_dead(tiny: Any) -> None:
    made = Trainer(tiny, TrialConfig.parse({"sharing.kind": "cgc"}), CHAIN, seed=0)
    batch = next(iter(made.data.in_order(16)))
    labels = batch.labels.clone()
    labels[:, 0] = 0  # no click, so that there is no sample of buy
    found, experts = made.diagnosis._probe(batch._replace(labels=labels))
    assert found["norms"]["all shared"][1] == 0
    assert [cosine is None for cosine in found["cosines"]["all shared"]] == [True, False, True]
    assert "units" not in experts
    assert found["losses"][1] == 0


def test_one_task_alone_and_a_regression_are_seen_as_well(tiny: Any) -> None:
    store = type(tiny)(tasks=(Task("price", kind="regression"),))
    made = Trainer(store, TrialConfig.parse({"optim.batch_size": 16, "optim.epochs": 1}), [], seed=0)
    made.diagnosis.every = 2
    found, _ = made.diagnosis._probe(next(iter(made.data.in_order(16))))
    assert found["cosines"] == {"representation": [], "bottom": [], "all shared": [], "table rows": []}
    assert made.diagnosis.base == [None]


def test_values_that_are_not_finite_are_none(tiny: Any) -> None:
    made = Trainer(tiny, TrialConfig.parse({}), CHAIN, seed=0)
    with torch.no_grad():
        next(made.model.sharing.parameters()).fill_(float("nan"))
    found, _ = made.diagnosis._probe(next(iter(made.data.in_order(16))))
    assert set(found["losses"]) == set(found["cosines"]["representation"]) == {None}
