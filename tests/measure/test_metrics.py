"""Metrics of heads on their sample spaces, whatever the pieces, and the sorted keys that they are
read from.
"""

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from in_memory import binary, evaluate, predicted, regression

from bench.core.schema import Task
from bench.measure.keys import Areas, code
from bench.measure.outcomes import Measure
from bench.measure.runs import Runs
from bench.measure.spaces import Labelled
from bench.measure.tally import Tally

NAN = float("nan")


def slow_ece(labels, predictions):
    """Row by row: the bin of a prediction is the last one that starts at or below it."""
    ordered = sorted(predictions.tolist())
    thresholds = sorted({ordered[k * len(ordered) // 15] for k in range(15)})
    bins: dict[int, list[float]] = {}
    for label, prediction in zip(labels.tolist(), predictions.tolist(), strict=True):
        bins.setdefault(bisect_right(thresholds, prediction), []).append(prediction - label)
    return sum(abs(sum(excess)) for excess in bins.values()) / len(ordered)


@given(
    labels=st.lists(st.sampled_from([0.0, 1.0, NAN]), max_size=50),
    seed=st.integers(0, 100),
    distinct=st.sampled_from([1, 3, 1000]),
)
def test_metrics_are_finite_or_absent_and_unobserved_rows_do_not_count(labels, seed, distinct):
    rng = np.random.default_rng(seed)
    labels = np.array(labels, np.float32)
    predictions = (rng.integers(0, distinct + 1, len(labels)) / distinct).astype(np.float32)
    group = rng.integers(-1, 5, len(labels)).astype(np.int32)
    values = binary(labels, predictions, group)
    assert all(np.isfinite(value) for value in values.values())
    seen = ~np.isnan(labels)
    assert values == binary(labels[seen], predictions[seen], group[seen])
    classes = set(labels[seen].tolist())
    assert ("auc" in values) == ("ne" in values) == (len(classes) == 2)
    assert ("pcoc" in values) == (1.0 in classes)
    assert ("logloss" in values) == ("ece" in values) == bool(classes)
    if "ece" in values:
        assert values["ece"] == pytest.approx(slow_ece(labels[seen], predictions[seen]), abs=1e-6)


TASKS = (
    Task("click"),
    Task("view", parent="click"),
    Task("seconds", "regression", "click"),
    Task("buy", parent="view"),
)


def funnel(rows=2000):
    rng = np.random.default_rng(3)
    conditional = rng.random((rows, 4)).astype(np.float32)
    joint = conditional.copy()
    joint[:, 1] *= joint[:, 0]
    joint[:, 2] *= joint[:, 0]
    joint[:, 3] *= joint[:, 1]
    labels = (rng.random((rows, 4)) < 0.2 + 0.6 * conditional).astype(np.float32)
    labels[:, 2] = rng.random(rows)
    return labels, conditional, joint, rng.integers(0, 100, rows).astype(np.int32)


def test_each_metric_is_taken_on_its_sample_space():
    labels, conditional, joint, group = funnel()
    values = evaluate(
        labels, conditional, joint, group, TASKS, "valid/", ("buy.ndcg@4", "seconds.value@20%")
    )
    click, view = labels[:, 0] == 1, labels[:, 1] == 1
    bought, watched = labels[:, 0] * labels[:, 1] * labels[:, 3], labels[:, 0] * labels[:, 2]

    def ranked(name, task, labels, scores):
        """By the joint prediction, on all impressions."""
        rows = Labelled(labels[:, None], group)
        return pytest.approx(
            Measure((task,), (f"{task.name}.{name}",), rows).values(scores)[0, 0], rel=1e-12
        )

    expected = {
        "click": binary(labels[:, 0], conditional[:, 0], group),
        "view.cvr": binary(labels[click, 1], conditional[click, 1], group[click]),
        "view.ctcvr": binary(labels[:, 0] * labels[:, 1], joint[:, 1], group),
        "seconds.cvr": regression(labels[click, 2], conditional[click, 2]),
        "seconds.ctcvr": regression(watched, joint[:, 2]),
        "buy.cvr": binary(labels[view, 3], conditional[view, 3], group[view]),
        "buy.ctcvr": binary(bought, joint[:, 3], group),
        "buy": {"ndcg@4": ranked("ndcg@4", Task("buy"), bought, joint[:, 3])},
        "seconds": {
            "value@20%": ranked("value@20%", Task("seconds", "regression"), watched, joint[:, 2])
        },
    }
    assert values == {
        f"valid/{name}.{metric}": value
        for name, by_metric in expected.items()
        for metric, value in by_metric.items()
    }
    # no two spaces are confused
    assert len({round(value, 6) for value in values.values()}) == len(values)


def test_the_product_is_known_where_an_ancestor_did_not_happen():
    tasks = (Task("click"), Task("buy", parent="click"))
    labels = np.array([[0, NAN], [1, NAN], [NAN, 1], [1, 1], [1, 0], [0, 1]], np.float32)
    joint = np.array([[0.9, p] for p in (0.1, NAN, NAN, 0.4, 0.5, 0.2)], np.float32)
    joint[np.isnan(joint)] = 0.99
    values = evaluate(labels, joint, joint, np.full(6, -1, np.int32), tasks, "")
    counted = [0, 3, 4, 5]
    expected = binary(
        np.array([0, 1, 0, 0], np.float32), joint[counted, 1], np.full(4, -1, np.int32)
    )
    assert {name: values[f"buy.ctcvr.{name}"] for name in expected} == expected
    of_clicks = binary(np.array([1, 0], np.float32), joint[[3, 4], 1], np.full(2, -1, np.int32))
    assert {name: values[f"buy.cvr.{name}"] for name in of_clicks} == of_clicks


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", [0, 1])
def test_a_prediction_that_is_not_finite_is_divergence(bad, where):
    labels, conditional, joint, group = funnel(50)
    (conditional, joint)[where][7, 1] = bad
    with pytest.raises(
        FloatingPointError, match="1 of 50 predictions of task 'view' are not finite"
    ):
        evaluate(labels, conditional, joint, group, TASKS, "")


THREE = (Task("click"), Task("seconds", "regression", "click"), Task("buy", parent="click"))


def split(rows, distinct, seed):
    """Labels with gaps, conditional and joint probabilities, groups with gaps."""
    rng = np.random.default_rng(seed)
    conditional = (rng.integers(0, distinct + 1, (rows, 3)) / distinct).astype(np.float32)
    joint = conditional.copy()
    joint[:, 2] *= joint[:, 0]
    labels = (rng.random((rows, 3)) < 0.3 + 0.4 * conditional).astype(np.float32)
    labels[rng.random((rows, 3)) < 0.1] = NAN
    return labels, conditional, joint, rng.integers(-1, 5, rows).astype(np.int32)


@settings(deadline=None, max_examples=50)  # the first call compiles
@given(
    rows=st.integers(0, 80),
    cuts=st.lists(st.integers(0, 80), max_size=4),
    limit=st.integers(1, 100),
    distinct=st.sampled_from([1, 4, 10**6]),
    seed=st.integers(0, 1000),
)
def test_neither_pieces_nor_a_limit_change_a_metric(rows, cuts, limit, distinct, seed):
    whole = split(rows, distinct, seed)
    outcomes = ("click.ndcg@4", "seconds.value@20%", "buy.recall@12.5%")
    tally = Tally(THREE, "valid/", limit, outcomes)
    for part in zip(*(np.split(array, sorted(cuts)) for array in whole), strict=True):
        tally.add(predicted(*part))
    assert tally.result() == pytest.approx(
        evaluate(*whole, THREE, "valid/", outcomes), rel=1e-12, abs=1e-15
    )


finite = st.floats(allow_nan=False, width=32)
few = st.sampled_from([-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 0.25, 0.5, 1.0, np.inf])
floats = st.one_of(finite, few)


def pack(scores, labels):
    """Keys without group."""
    codes = np.array([code(bits) for bits in scores.astype(np.float32).view(np.uint32)], np.uint64)
    return codes << np.uint64(1) | (labels != 0).astype(np.uint64)


@st.composite
def rows(draw, scores=floats):
    count = draw(st.integers(0, 40))
    return (
        np.array(draw(st.lists(scores, min_size=count, max_size=count)), np.float32),
        draw(arrays(np.int8, count, elements=st.integers(0, 1))),
        draw(arrays(np.int32, count, elements=st.integers(-1, 4))),
    )


def auc(scores, labels):
    return Areas([np.sort(pack(scores, labels))]).auc


def slow_auc(scores, labels):
    """By the definition: over all pairs of a positive and a negative."""
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    return sum(pairs) / len(pairs) if pairs else None


@given(rows())
def test_auc_counts_pairs(sample):
    scores, labels, _ = sample
    assert auc(scores, labels) == pytest.approx(slow_auc(scores, labels))


some_keys = st.lists(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 3)), max_size=60)


def merged(arrays, limit):
    runs = Runs(np.uint64, limit)
    for values in arrays[:-1]:
        runs.add(np.sort(np.array(values, np.uint64)))
    return list(runs.merged(np.sort(np.array(arrays[-1], np.uint64))))


@given(st.lists(some_keys, min_size=1, max_size=5), st.integers(1, 100))
def test_all_keys_come_back_in_order(arrays, limit):
    keys_found = np.concatenate(merged(arrays, limit))
    np.testing.assert_array_equal(
        keys_found, np.sort(np.array([key for values in arrays for key in values], np.uint64))
    )
