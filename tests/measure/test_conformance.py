"""What every metric of ranked lists must do, and one that is added by a file, a line and a slow
twin alone.
"""

import math

import hit_toy
import numpy as np
import pandas as pd
import pytest
import slow_outcomes
from scipy.special import expit
from slow_outcomes import TWINS

import bench
from bench.app.tracking.target_state import inward, outward
from bench.core.errors import UserError
from bench.core.objectives import (
    LISTS,
    direction_of,
    in_amounts,
    in_thousandths,
    of_items,
    outcome,
    ranked,
)
from bench.core.schema import Task
from bench.ledger.pareto import default_reference
from bench.measure.lists import measure_of
from bench.measure.lists.base import DISCOUNTED, GainSum, Walked
from bench.measure.outcomes import Measure
from bench.measure.resamples import counts, drawn_of, units_of
from bench.measure.spaces import Labelled, Observed
from bench.measure.stream import Stream

KINDS = ("binary", "regression", "category", "number")
TASKS, ITEMS = (Task("click"), Task("watch", "regression")), {"author": "category", "age": "number"}
OF = {"binary": "click", "regression": "watch", "category": "author", "number": "age"}
METRIC = pytest.mark.parametrize("metric", [*LISTS, "hit"])


@pytest.fixture(autouse=True)
def added(monkeypatch):
    """The line of a metric in the registry, and its twin."""
    monkeypatch.setitem(LISTS, "hit", hit_toy.LINE)
    monkeypatch.setitem(TWINS, "hit", hit_toy.twin)


def names_of(metric):
    """Every outcome of a metric that somebody may ask for."""
    all_names = [
        f"{OF[kind]}.{name}" for kind in KINDS for name in slow_outcomes.names(metric, kind)
    ]
    return [name for name in all_names if _is_outcome(name)]


def _is_outcome(name):
    try:
        outcome(name, TASKS, "suite", ITEMS)
    except UserError:
        return False
    return True


def rows_of(rows, levels, groups, seed):
    """Scores, rows of two tasks with gaps, and items, equal ones among all of them."""
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.random(rows) < 0.3, rng.integers(0, 4, rows) * 2.5], axis=1).astype(
        np.float32
    )
    labels[rng.random((rows, 2)) < 0.1] = np.nan
    items = {"author": rng.integers(0, 4, rows) * 1e6, "age": rng.integers(0, 6, rows) * 1.0}
    items["age"][rng.random(rows) < 0.1] = np.nan
    group = rng.integers(0, groups, rows) if groups else np.full(rows, -1)
    return rng.integers(0, levels, rows) / 7, Labelled(labels, group), items


def columns(rows, items):
    return {"click": rows.labels[:, 0], "watch": rows.labels[:, 1], **items}


def test_every_metric_has_a_slow_twin():
    assert set(TWINS) == set(LISTS)


@METRIC
def test_its_line_says_what_its_module_can_do(metric):
    line, measure = LISTS[metric], measure_of(metric)
    assert isinstance(measure, GainSum | Walked)
    assert metric.replace("_", "").isalpha()
    assert metric.islower()
    assert measure.over_all or not line.percent  # per cent are of all rows
    # beyond memory, only sums go on
    assert isinstance(measure, GainSum) or line.items or not measure.over_all
    assert not (measure.form == DISCOUNTED and line.percent)  # a discounted place is whole
    assert line.percent or not line.share
    assert not (line.share and line.binary) or (
        LISTS[line.amounts].share and not LISTS[line.amounts].binary
    )
    assert bool(line.title) is bool(line.items)


@METRIC
def test_its_names_are_read_everywhere(metric):
    names = names_of(metric)
    assert names
    for name in names:
        assert ranked(name.partition(".")[2]).measure == metric
        assert direction_of(name) == "maximize"
        assert in_thousandths(name)
        assert of_items(name) is bool(LISTS[metric].items)
        assert inward(outward(f"valid/{name}")) == f"valid/{name}"
        assert not {"@", "%"} & {*outward(f"valid/{name}")}
        assert 0 <= default_reference(outcome(name, TASKS, "suite", ITEMS)) <= 1
        assert _is_outcome(
            in_amounts(name).replace("click.", "watch." if in_amounts(name) != name else "click.")
        )
    wrong = {"click", "watch", "author", "age"} - {name.partition(".")[0] for name in names}
    assert not any(
        _is_outcome(f"{column}.{name.partition('.')[2]}") for column in wrong for name in names
    )
    assert ranked(f"{metric}@0") is None
    assert ranked(f"x{metric}@3") is None


@METRIC
@pytest.mark.parametrize("groups", [0, 1, 3])
def test_it_is_the_mean_over_all_orders_of_equal_scores(metric, groups):
    names = names_of(metric)
    for seed in range(25):
        scores, rows, items = rows_of(seed % 8, (1, 2, 4, 1000)[seed % 4], groups, seed)
        values = Measure(TASKS, names, rows, items=items).values(scores)[0]
        by_name = columns(rows, items)
        expected = []
        for name in names:
            column_name, metric_name = name.split(".", 1)
            cells = zip(
                scores.tolist(), by_name[column_name].tolist(), rows.group.tolist(), strict=True
            )
            expected.append(
                slow_outcomes.outcome(metric_name, list(cells), binary=column_name == "click")
            )
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)


@METRIC
@pytest.mark.parametrize("groups", [0, 12])
def test_it_lies_between_0_and_1_and_a_better_order_has_more(metric, groups):
    for name in names_of(metric):
        column_name = name.partition(".")[0]
        scores, rows, items = rows_of(300, 10**6, groups, 3)
        measure = Measure(TASKS, [name], rows, items=items)
        value, random = measure.values(scores)[0, 0], measure.random()[0, 0]
        if math.isnan(random):
            assert not groups
            assert not measure_of(metric).over_all
            continue
        assert -1e-12 <= value <= 1 + 1e-12
        gain = {"click": rows.labels[:, 0], "watch": rows.labels[:, 1], "age": -items["age"]}
        if column_name in gain:
            assert (
                measure.values(np.nan_to_num(gain[column_name], nan=-9))[0, 0]
                >= max(value, random) - 1e-12
            )


@METRIC
@pytest.mark.parametrize("groups", [0, 30])
def test_a_resample_is_its_rows_repeated(metric, groups, monkeypatch):
    monkeypatch.setattr("bench.measure.grouped._ROWS", 64)
    names = names_of(metric)
    scores, rows, items = rows_of(300, 40, groups, 7)
    moved = Measure(TASKS, names, rows, None, drawn_of(rows, "confirm", 5), items=items).resampled(
        scores
    )[:, 0]
    drawn = counts(units_of(rows.group, 0), "confirm", 5)
    for b in range(5):
        again = np.repeat(np.arange(300), drawn[:, b])
        copies = np.concatenate([np.arange(n) for n in drawn[:, b]])
        # a user drawn twice is two
        group = np.where(rows.group[again] >= 0, rows.group[again] * 100 + copies, -1)
        repeated = Labelled(rows.labels[again], group)
        drawn_items = {name: values[again] for name, values in items.items()}
        expected = Measure(TASKS, names, repeated, items=drawn_items).values(scores[again])[0]
        np.testing.assert_allclose(moved[1 + b], expected, rtol=1e-9)


@METRIC
@pytest.mark.parametrize("groups", [0, 30])
def test_beyond_memory_it_is_the_same(metric, groups):
    scores, rows, _ = rows_of(400, 40, groups, 5)
    scores = scores.astype(np.float32)
    for column, task in enumerate(TASKS):
        names = [name for name in names_of(metric) if name.startswith(f"{task.name}.")]
        stream = Stream(task, names, 64)
        stream.add(Observed(rows.labels[:, column], rows.group, predictions=scores))
        values = Measure((task,), names, Labelled(rows.labels[:, [column]], rows.group)).values(
            scores
        )[0]
        expected = {
            name: value
            for name, value in zip(names, values.tolist(), strict=True)
            if value == value
        }
        assert stream.result() == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_a_log_is_decided_by_an_added_metric():
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(2, 4000))
    log = pd.DataFrame({"request": np.repeat(np.arange(400), 10)})
    for number, task in enumerate(("click", "like")):
        log[task] = (rng.random(4000) < expit(2 * taste[number] - 2 - number)).astype(int)
        log[f"old_{task}"], log[f"new_{task}"] = (
            expit(taste[number] + 2 * rng.normal(size=4000)),
            expit(taste[number]),
        )
    decision = bench.decide(
        log,
        labels=["click", "like"],
        group="request",
        models={model: [f"{model}_click", f"{model}_like"] for model in ("old", "new")},
        outcomes=["click.hit@2", "like.hit@2"],
        weights="old_click + old_like",
    ).decision
    assert decision.verdict.answer[0].startswith("Switch to new")
    assert {*decision.pick.outcomes} == {"click.hit@2", "like.hit@2"}
