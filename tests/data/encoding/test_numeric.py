"""Numbers: their moments, ranges, and what is encoded of them; and target rates, where leakage
would come from.
"""

from fractions import Fraction
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from bench.core.schema import Task, begins
from bench.data.codes import TextCodes
from bench.data.columns import numeric as module
from bench.data.columns.base import Source
from bench.data.columns.moments import RunningMoments
from bench.data.columns.numeric import BucketField, DistinctNumbers, NumericColumn
from bench.data.encoding.rates import RatesFitter
from bench.data.values import texts_of

SOURCE = Source(column="x")


def fit(values, log1p=False, flag=False):
    moments = RunningMoments(log1p)
    moments.add(np.array(values, np.float64))
    return NumericColumn.of_moments("x", SOURCE, flag, moments)


def encode(part, values):
    return part.encode(pa.table({"x": pa.array(values, pa.float64())}))


@given(st.lists(st.integers(-1000, 1000).map(float), min_size=2, max_size=40))
def test_it_standardises_as_another_library_does(values):
    expected = StandardScaler().fit_transform(np.array(values)[:, None])
    np.testing.assert_allclose(encode(fit(values), values), expected, atol=1e-5)


ODD = [1e300, -1e300, 1e30, 99999.0, float("inf")]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("log1p", [False, True])
def test_one_row_does_not_spoil_the_column(odd, log1p):
    values = np.random.default_rng(0).normal(2020, 5, 500).tolist()
    fine, spoiled = fit(values, log1p), fit([*values, odd if odd < np.inf else None], log1p)
    np.testing.assert_allclose(encode(fine, values), encode(spoiled, values)[:, :1], atol=1e-5)
    np.testing.assert_allclose(
        np.abs(encode(fine, [odd])), np.abs(encode(spoiled, [odd]))[:, :1], atol=2e-2, rtol=1e-4
    )


@pytest.mark.parametrize(
    "values",
    [
        [0.0] * 99_000 + [1.0] * 9,  # rare
        np.random.default_rng(0).lognormal(3, 1.5, 20_000),  # skewed
        # a spike
        np.concatenate(
            [np.zeros(9000), np.random.default_rng(0).normal(5000, 1000, 90), [99999.0] * 10]
        ),
        [1.0, 2.0, 4.0, 1e6],  # too few to judge by
        [-1e300, 1e300] * 60,
    ],
)
def test_what_many_numbers_are_like_is_not_left_out(values):
    moments = RunningMoments()
    moments.add(np.array(values, np.float64))
    mean, scale, low, high, left_out = moments.robust()
    assert left_out == 0
    assert (mean, scale) == moments.moments
    assert low <= max(np.min(values), -3.4e38)
    assert high >= min(np.max(values), 3.4e38)


NUMBERS = st.one_of(
    st.floats(-1e6, 1e6), st.just(float("nan")), st.sampled_from([1e15, 1e15 + 1, 1e-9, 0.1])
)


@given(st.lists(st.tuples(NUMBERS, st.integers(0, 3)), min_size=1, max_size=40), st.integers(1, 9))
def test_moments_are_those_of_all_and_the_same_to_the_bit_however_numbers_are_parted(rows, size):
    numbers, weights = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    whole, parted, repeated = RunningMoments(), RunningMoments(), RunningMoments()
    whole.add(numbers, weights)
    repeated.add(np.repeat(numbers, weights))
    for start in range(0, len(rows), size):
        parted.add(numbers[start : start + size], weights[start : start + size])
    assert whole.moments == parted.moments
    present = [
        Fraction(number) for number, weight in rows if number == number for _ in range(weight)
    ]
    assert (whole.present, whole.rows) == (len(present), weights.sum())
    if not present:
        assert whole.moments == (0.0, 1.0)
        return
    mean = sum(present) / len(present)
    variance = float(sum((number - mean) ** 2 for number in present) / len(present))
    for mean_found, scale in (whole.moments, repeated.moments):
        assert mean_found == pytest.approx(float(mean), rel=1e-14, abs=1e-9)
        assert scale == pytest.approx(np.sqrt(variance), rel=1e-9) or scale == 1.0


def ranges(parts, limit):
    numbers = DistinctNumbers()
    for part in parts:
        numbers.add(np.array(part, np.float64))
    with mock.patch.object(module, "ranges_for", return_value=limit):
        return numbers.ranges()


def cuts(numbers, limit):
    values, counts = np.unique(numbers, return_counts=True)
    return values[1:][begins(counts, limit)].tolist()


@given(
    st.lists(st.lists(st.floats(allow_infinity=False), max_size=9), max_size=6), st.integers(2, 9)
)
def test_ranges_of_parts_are_those_of_the_whole(parts, limit):
    result = ranges(parts, limit)
    numbers = np.array(
        [number for part in parts for number in part if not np.isnan(number)], np.float64
    )
    assert list(result.edges) == cuts(numbers, limit)
    of_row = np.searchsorted(result.edges, numbers, side="right")
    assert np.bincount(of_row, minlength=len(result.edges) + 1).tolist() == list(result.counts)
    assert (result.low, result.high) == (
        (numbers.min(), numbers.max()) if len(numbers) else (0.0, 0.0)
    )


@pytest.mark.parametrize("ranges", [1, 2, 3, 21, 1000])
def test_ranges_are_those_of_a_bisection(ranges):
    """More numbers than one block of the compiled pass, on the edges too; numpy's search tells the
    range.
    """
    rng = np.random.default_rng(ranges)
    edges = np.unique(rng.normal(size=ranges - 1))
    numbers = np.append(rng.normal(size=700), [*edges, np.nan, np.inf, -np.inf])
    field = BucketField(
        number="x",
        source=SOURCE,
        edges=tuple(edges),
        low=-9.0,
        high=9.0,
        counts=(1,) * (len(edges) + 1),
    )
    expected = np.where(
        np.isnan(numbers), len(edges) + 2, 1 + np.searchsorted(edges, numbers, side="right")
    )
    np.testing.assert_array_equal(field.encode_numbers(numbers)[:, 0], expected)


def test_random_labels_cannot_be_read_from_the_rates_of_train(rng):
    """Many ids of few rows: a rate that held its own row would give their labels away."""
    values = pa.array(rng.integers(0, 2000, 8000).astype(str))
    labels = rng.integers(0, 2, (8000, 1)).astype(np.float32)
    fitter, seen = RatesFitter("user", (Task("click"),), 1.0, 4, 7), TextCodes()
    codes = seen.code(texts_of(values))
    fitter.take(codes, labels, len(seen))
    part = fitter.finish(Source(column="u"), seen.texts)
    leaky, honest = part.encode(pa.table({"u": values})), fitter.dense(codes, 0)
    assert roc_auc_score(labels[:, 0], leaky[:, 0]) > 0.7
    assert abs(roc_auc_score(labels[:, 0], honest[:, 0]) - 0.5) < 0.05
