import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.measure.keys import Areas, code
from bench.measure.runs import Runs

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


@settings(deadline=None)  # the first call compiles
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


@settings(deadline=None)  # the first call compiles
@given(st.lists(some_keys, min_size=1, max_size=5), st.integers(1, 100))
def test_all_keys_come_back_in_order(arrays, limit):
    found = np.concatenate(merged(arrays, limit))
    np.testing.assert_array_equal(found, np.sort(np.array([key for values in arrays for key in values], np.uint64)))
