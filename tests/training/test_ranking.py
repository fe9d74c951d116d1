from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from bench.training.ranking import Ranking, grouped_auc

finite = st.floats(allow_nan=False, width=32)
few = st.sampled_from([-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 0.25, 0.5, 1.0, np.inf])
floats = st.one_of(finite, few)


@st.composite
def rows(draw, scores=floats):
    count = draw(st.integers(0, 40))
    return (
        np.array(draw(st.lists(scores, min_size=count, max_size=count)), np.float32),
        draw(arrays(np.int8, count, elements=st.integers(0, 1))),
        draw(arrays(np.int32, count, elements=st.integers(-1, 4))),
    )


def slow_auc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """By the definition: over all pairs of a positive and a negative."""
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    return sum(pairs) / len(pairs) if pairs else None


def slow_grouped_auc(scores: np.ndarray, labels: np.ndarray, group: np.ndarray) -> float | None:
    areas, sizes = [], []
    for user in set(group[group >= 0].tolist()):
        mine = group == user
        if (area := slow_auc(scores[mine], labels[mine])) is not None:
            areas.append(area)
            sizes.append(mine.sum())
    return float(np.average(areas, weights=sizes)) if areas else None


@given(rows())
def test_auc_counts_pairs(sample) -> None:
    scores, labels, _ = sample
    assert Ranking.of(scores, labels).auc() == pytest.approx(slow_auc(scores, labels))


@given(rows())
def test_grouped_auc_averages_over_groups(sample) -> None:
    assert grouped_auc(*sample) == pytest.approx(slow_grouped_auc(*sample))


@given(rows())
def test_ranking_sorts_and_keeps_every_row(sample) -> None:
    scores, labels, _ = sample
    ranking = Ranking.of(scores, labels)
    order = np.lexsort([labels, scores])
    np.testing.assert_array_equal(ranking.scores, scores[order])
    np.testing.assert_array_equal(ranking.labels, labels[order] == 1)


@given(rows(few))
def test_the_order_of_rows_does_not_matter(sample) -> None:
    scores, labels, group = sample
    back = slice(None, None, -1)
    assert Ranking.of(scores, labels).auc() == Ranking.of(scores[back], labels[back]).auc()
    assert grouped_auc(scores, labels, group) == pytest.approx(grouped_auc(scores[back], labels[back], group[back]))


@pytest.mark.parametrize("distinct", [2, 100, 10**9])
@pytest.mark.parametrize("rate", [0.0005, 0.3])
def test_auc_equals_scikit_learn_on_many_rows(distinct: int, rate: float) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(50_000) < rate).astype(np.float32)
    scores = (np.floor(rng.beta(1 + labels, 2) * distinct) / distinct).astype(np.float32)
    assert Ranking.of(scores, labels).auc() == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_one_group_is_no_group() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.random(1000, np.float32), rng.integers(0, 2, 1000)
    largest = np.full(1000, 2**31 - 1, np.int32)
    assert grouped_auc(scores, labels, largest) == Ranking.of(scores, labels).auc()


def test_a_group_beyond_31_bits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"below 2\*\*31, found 2147483648"):
        grouped_auc(np.zeros(2, np.float32), np.array([0, 1]), np.array([0, 2**31], np.int64))


def test_inputs_are_left_as_they_were() -> None:
    scores, labels, group = np.array([0.5, -0.0, 0.1], np.float32), np.array([1, 0, 1]), np.array([2, 2, -1])
    before = [array.tobytes() for array in (scores, labels, group)]
    Ranking.of(scores, labels)
    grouped_auc(scores, labels, group)
    assert [array.tobytes() for array in (scores, labels, group)] == before


@given(rows(few), st.integers(1, 20))
def test_bins_split_no_tie_and_are_of_equal_mass_without_ties(sample, count: int) -> None:
    scores, labels, _ = sample
    if len(scores) == 0:
        return
    starts = Ranking.of(scores, labels).bins(count)
    ordered = np.sort(scores)
    assert starts[0] == 0
    assert all(ordered[at - 1] < ordered[at] for at in starts[1:])
    distinct = np.arange(len(scores), dtype=np.float32)
    sizes = np.diff(np.append(Ranking.of(distinct, labels).bins(count), len(scores)))
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == min(count, len(scores))
