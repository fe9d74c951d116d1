from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.training.runs import Runs

keys = st.lists(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 3)), max_size=60)


def merged(arrays: list[list[int]], limit: int) -> list[np.ndarray]:
    runs = Runs(limit)
    for values in arrays[:-1]:
        runs.add(np.sort(np.array(values, np.uint64)))
    return list(runs.merged(np.sort(np.array(arrays[-1], np.uint64))))


@settings(deadline=None)  # the first call compiles
@given(st.lists(keys, min_size=1, max_size=5), st.integers(1, 100))
def test_all_keys_come_back_in_order(arrays: list[list[int]], limit: int) -> None:
    found = np.concatenate(merged(arrays, limit))
    np.testing.assert_array_equal(found, np.sort(np.array([key for values in arrays for key in values], np.uint64)))


def test_no_piece_is_larger_than_the_limit() -> None:
    rng = np.random.default_rng(0)
    few = rng.integers(0, 3, 5000)  # each value more often than the limit
    many = rng.integers(0, 2**62, 5000)
    skewed = np.floor(np.exp(rng.random(5000) * 40))
    for values in (few, many, skewed):
        pieces = merged([list(map(int, part)) for part in np.split(values, 10)], 400)
        assert max(map(len, pieces)) <= 400
        assert sum(map(len, pieces)) == 5000
