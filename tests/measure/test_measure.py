"""Outcomes against a slow twin and scikit-learn, of resamples and rows repeated, within memory and
beyond.
"""

import numpy as np
import pytest
import slow_outcomes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from bench.core.objectives import random_ndcg, ranked_tasks
from bench.core.schema import Task
from bench.measure.outcomes import Measure
from bench.measure.resamples import counts, drawn_of, units_of
from bench.measure.spaces import Labelled, Observed
from bench.measure.stream import Stream

TASKS = (Task("click"), Task("watch", "regression"))
NAMES = (
    *(f"click.{name}" for name in (*slow_outcomes.AREAS, *slow_outcomes.every_name("binary"))),
    *(
        f"watch.{name}"
        for name in ("recall@3", "recall@30%", *slow_outcomes.every_name("regression"))
    ),
)
ITEMS = (
    *(f"author.{name}" for name in slow_outcomes.every_name("category")),
    *(f"age.{name}" for name in slow_outcomes.every_name("number")),
)
NAN = float("nan")


def cells(rows, levels, groups, seed):
    """Scores, labels (N, 2) with gaps, and groups, some rows without one; none has one where
    `groups` is 0.
    """
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.integers(0, 2, rows), rng.integers(-1, 4, rows) * 2.5], axis=1).astype(
        np.float32
    )
    labels[rng.random((rows, 2)) < 0.15] = NAN
    return (
        rng.integers(0, levels, rows) / 7,
        labels,
        rng.integers(-1, groups, rows) if groups else np.full(rows, -1),
    )


def items_of(rows, seed):
    """Authors, some more frequent, and ages, with gaps."""
    rng = np.random.default_rng(seed)
    author, age = rng.integers(0, 4, rows) ** 2 * 1e6, rng.integers(0, 6, rows) * 1.0
    return {
        name: np.where(rng.random(rows) < 0.15, NAN, values)
        for name, values in (("author", author), ("age", age))
    }


def by_hand(names, columns, scores, group):
    """Of columns by the name of a task or of items."""
    results = []
    for name in names:
        column_name, metric = name.split(".", 1)
        rows = zip(scores.tolist(), columns[column_name].tolist(), group.tolist(), strict=True)
        results.append(slow_outcomes.outcome(metric, list(rows), binary=column_name == "click"))
    return results


@settings(deadline=None, max_examples=60)  # the first call compiles
@given(
    st.integers(0, 7), st.sampled_from([1, 2, 4, 1000]), st.integers(0, 3), st.integers(0, 10**6)
)
def test_outcomes_are_means_over_all_orders_of_equal_scores(rows, levels, groups, seed):
    scores, labels, group = cells(rows, levels, groups, seed)
    if groups and not (group >= 0).any():
        group[:] = -1
    values = Measure(TASKS, NAMES, Labelled(labels, group)).values(scores)[0]
    of_tasks = {task.name: labels[:, column] for column, task in enumerate(TASKS)}
    np.testing.assert_allclose(values, by_hand(NAMES, of_tasks, scores, group), rtol=1e-12)
    items, weights = items_of(rows, seed), np.arange(rows) + 0.5  # no part of what is shown
    of_items = Measure(TASKS, ITEMS, Labelled(labels, group, weights), items=items).values(scores)[
        0
    ]
    np.testing.assert_allclose(of_items, by_hand(ITEMS, items, scores, group), rtol=1e-12)


@pytest.mark.parametrize("piece", [3, 1 << 12])
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(1, 400),
    st.sampled_from([1, 3, 40, 10**6]),
    st.integers(0, 30),
    st.integers(0, 10**6),
)
def test_a_resample_is_its_rows_repeated(piece, monkeypatch, rows, levels, groups, seed):
    monkeypatch.setattr("bench.measure.whole.PIECE", piece)
    monkeypatch.setattr("bench.measure.grouped._ROWS", piece)
    scores, labels, group = cells(rows, levels, groups, seed)
    labelled, items, half = Labelled(labels, group), items_of(rows, seed), np.arange(rows) % 2 == 0
    drawn, masks = counts(units_of(group, 0), "confirm", 9), [half | True, half]
    measure = Measure(
        TASKS, NAMES + ITEMS, labelled, masks, drawn_of(labelled, "confirm", 9), items=items
    )
    resampled = measure.resampled(scores)
    np.testing.assert_array_equal(resampled[0], measure.values(scores))
    for part, b in ((0, 0), (0, 8), (1, 3)):
        again = np.repeat(np.flatnonzero(masks[part]), drawn[masks[part], b])
        copies = np.concatenate([np.arange(n) for n in drawn[masks[part], b]])
        # a user drawn twice is two users
        users = np.where(group[again] >= 0, group[again] * 100 + copies, -1)
        there = Labelled(labels[again], users)
        repeated_items = {name: values[again] for name, values in items.items()}
        grouped = bool((group >= 0).any())
        expected = Measure(
            TASKS, NAMES + ITEMS, there, grouped=grouped, items=repeated_items
        ).values(scores[again])[0]
        np.testing.assert_allclose(resampled[1 + b, part], expected, rtol=1e-9)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 200), st.sampled_from([2, 40, 10**6]), st.integers(0, 20), st.integers(0, 10**6)
)
def test_neither_row_order_nor_a_monotone_change_matters_and_a_slice_is_its_rows_alone(
    rows, levels, groups, seed
):
    scores, labels, group = cells(rows, levels, groups, seed)
    inside = np.arange(rows) % 3 > 0
    slices = [inside | True, inside, inside & False]

    def measure(places, slices=None):
        labelled = Labelled(labels[places], group[places], units=units_of(group, 0)[places])
        return Measure(TASKS, NAMES, labelled, slices, drawn_of(labelled, "test", 4))

    expected = measure(inside | True).resampled(scores)[:, 0]
    sliced = measure(inside | True, slices).resampled(np.exp(scores / 1e6) * 3 - 1)
    np.testing.assert_array_equal(sliced[:, 0], expected)
    order = np.random.default_rng(seed).permutation(rows)
    np.testing.assert_allclose(measure(order).resampled(scores[order])[:, 0], expected, rtol=1e-9)
    if (group[inside] >= 0).any() == (group >= 0).any():
        np.testing.assert_allclose(
            sliced[:, 1], measure(inside).resampled(scores[inside])[:, 0], rtol=1e-9
        )
    np.testing.assert_allclose(sliced[:, 2], NAN)


def test_outcomes_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    group, grades = np.repeat(np.arange(200), 30), rng.integers(0, 5, 6000).astype(np.float32)
    for scores in (rng.random(6000), rng.integers(0, 9, 6000) / 9):
        whole = ndcg_score(grades.reshape(200, 30), scores.reshape(200, 30), k=7)
        measure = Measure(
            (Task("grade", "regression"),), ("grade.ndcg@7",), Labelled(grades[:, None], group)
        )
        assert measure.values(scores)[0] == pytest.approx(whole, rel=1e-12)
        labels = (grades > 3).astype(np.float32)
        rows = Labelled(labels[:, None], np.full(6000, -1))
        measure = Measure((Task("a"),), ("a.auc", "a.ndcg@100"), rows)
        expected = [roc_auc_score(labels, scores), ndcg_score(labels[None], scores[None], k=100)]
        assert measure.values(scores)[0] == pytest.approx(expected, rel=1e-12)


def test_a_random_order_of_groups_with_one_positive_each_has_what_their_sizes_say():
    sizes = np.array([2, 3, 3, 7, 1, 12])
    group = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.diff(group, prepend=-1).astype(np.float32)[:, None]  # the first row of each
    measure = Measure((Task("click"),), ("click.ndcg@5",), Labelled(labels, group))
    assert measure.random()[0] == pytest.approx(random_ndcg(sizes))
    assert random_ndcg(np.array([3])) == pytest.approx((1 + 1 / np.log2(3) + 1 / 2) / 3)
    assert random_ndcg(np.array([1])) == 1


def test_a_task_is_ranked_within_groups_where_enough_groups_have_different_labels():
    tasks = (Task("mixed"), Task("by_group"), Task("rare"), Task("unknown"))
    group = np.repeat(np.arange(40), 5)
    labels = np.zeros((200, 4), np.float32)
    labels[::5, 0] = 1
    labels[:, 1] = group % 2  # users that churn: no order within one
    labels[:50:5, 2] = 1
    labels[:, 3] = np.nan
    assert ranked_tasks(tasks, labels, group) == {"mixed"}
    shuffled = np.random.default_rng(0).permutation(200)
    assert ranked_tasks(tasks, labels[shuffled], group[shuffled]) == {"mixed"}
    assert ranked_tasks(tasks, labels, np.where(group < 30, -1, group)) == set()
    assert (
        ranked_tasks(tasks, labels, np.arange(200))
        == ranked_tasks(tasks, labels, np.full(200, -1))
        == set()
    )


TASK = Task("stay", "regression")
CUT = tuple(f"stay.{cut}" for cut in ("ndcg@4", "ndcg@1000", "recall@3", "map@3", "mrr"))
CUT += tuple(f"stay.{cut}" for cut in slow_outcomes.every_name("regression"))


@settings(deadline=None, max_examples=40)  # the first call compiles
@given(
    rows=st.integers(0, 80),
    pieces=st.lists(st.integers(0, 80), max_size=4),
    limit=st.integers(1, 100),
    levels=st.sampled_from([1, 3, 10**6]),
    groups=st.sampled_from([0, 4, 300]),
    seed=st.integers(0, 1000),
)
def test_neither_pieces_nor_a_limit_change_an_outcome(rows, pieces, limit, levels, groups, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 4, rows).astype(np.float32)
    labels[rng.random(rows) < 0.1] = np.nan
    scores = (rng.integers(-levels, levels, rows) / levels).astype(np.float32)
    group = rng.integers(-1, groups, rows) if groups else np.full(rows, -1)
    stream = Stream(TASK, CUT, limit)
    for part in np.split(np.arange(rows), sorted(pieces)):
        stream.add(Observed(labels[part], group[part], predictions=scores[part]))
    expected = Measure((TASK,), CUT, Labelled(labels[:, None], group)).values(scores)[0]
    expected_values = {
        name: value for name, value in zip(CUT, expected.tolist(), strict=True) if value == value
    }
    for _ in range(2):  # asking changes nothing
        assert stream.result() == pytest.approx(expected_values, rel=1e-12, abs=1e-15)


def test_a_score_spread_over_many_bits_is_cut_exactly_beyond_memory():
    rng = np.random.default_rng(0)
    scores = np.concatenate(
        [rng.normal(size=500) * 10.0 ** rng.integers(-30, 30, 500), [0.0, -0.0]]
    ).astype(np.float32)
    labels, group = (rng.random(502) < 0.3).astype(np.float32), np.full(502, -1)
    names = [f"a.{cut}" for cut in ("recall@7", "ndcg@50", "recall@49.8%", "recall@50%")]
    stream = Stream(Task("a"), names, 64)
    stream.add(Observed(labels, group, predictions=scores))
    expected = Measure((Task("a"),), names, Labelled(labels[:, None], group)).values(scores)[0]
    assert list(stream.result().values()) == pytest.approx(expected.tolist(), rel=1e-12)
