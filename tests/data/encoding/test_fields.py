from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.schema import begins
from bench.data.columns import numeric as module
from bench.data.columns.base import Source
from bench.data.columns.numeric import BucketField, DistinctNumbers

SOURCE = Source(column="x", missing=("?",))


def ranges(parts, most):
    numbers = DistinctNumbers()
    for part in parts:
        numbers.add(np.array(part, np.float64))
    with mock.patch.object(module, "ranges_for", return_value=most):
        return numbers.ranges()


def cuts(numbers, most):
    values, counts = np.unique(numbers, return_counts=True)
    return values[1:][begins(counts, most)].tolist()


@given(st.lists(st.lists(st.floats(allow_infinity=False), max_size=9), max_size=6), st.integers(2, 9))
def test_ranges_of_parts_are_those_of_the_whole(parts, most):
    found = ranges(parts, most)
    known = np.array([number for part in parts for number in part if not np.isnan(number)], np.float64)
    assert list(found.edges) == cuts(known, most)
    of_row = np.searchsorted(found.edges, known, side="right")
    assert np.bincount(of_row, minlength=len(found.edges) + 1).tolist() == list(found.counts)
    assert (found.low, found.high) == ((known.min(), known.max()) if len(known) else (0.0, 0.0))


@pytest.mark.parametrize("ranges", [1, 2, 3, 21, 1000])
def test_ranges_are_those_of_a_bisection(ranges):
    """More numbers than one block of the compiled pass, on the edges too; numpy's search tells the range."""
    rng = np.random.default_rng(ranges)
    edges = np.unique(rng.normal(size=ranges - 1))
    numbers = np.append(rng.normal(size=700), [*edges, np.nan, np.inf, -np.inf])
    field = BucketField(
        number="x", source=SOURCE, edges=tuple(edges), low=-9.0, high=9.0, counts=(1,) * (len(edges) + 1)
    )
    expected = np.where(np.isnan(numbers), len(edges) + 2, 1 + np.searchsorted(edges, numbers, side="right"))
    np.testing.assert_array_equal(field.encode_numbers(numbers)[:, 0], expected)
