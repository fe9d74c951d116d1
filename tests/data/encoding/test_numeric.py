from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from bench.data.encoding import numeric
from bench.data.encoding.base import Source
from bench.data.encoding.numeric import PIECE, NumericColumn, RunningMoments

SOURCE = Source(column="x")


def fit(values: list[float | None], log1p: bool = False, flag: bool = False) -> NumericColumn:
    moments = RunningMoments(log1p)
    moments.add(np.array(values, np.float64))
    return NumericColumn.of_moments("x", SOURCE, flag, moments)


def encode(part: NumericColumn, values: list[Any]) -> Any:
    return part.encode(pa.table({"x": pa.array(values, pa.float64())}))


@given(st.lists(st.integers(-1000, 1000).map(float), min_size=2, max_size=40))
def test_it_standardises_as_another_library_does(values: list[float]) -> None:
    expected = StandardScaler().fit_transform(np.array(values)[:, None])
    np.testing.assert_allclose(encode(fit(values), values), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e15])
def test_scale_does_not_matter(scale: float) -> None:
    values = [scale * v for v in (1.0, 2.0, 4.0)]
    np.testing.assert_allclose(encode(fit(values), values)[:, 0].std(), 1, rtol=1e-5)


ODD = [1e300, -1e300, 1e30, 99999.0, float("inf")]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("log1p", [False, True])
def test_one_row_does_not_spoil_the_column(odd: float, log1p: bool) -> None:
    values = np.random.default_rng(0).normal(2020, 5, 500).tolist()
    fine, spoiled = fit(values, log1p), fit([*values, odd if odd < np.inf else None], log1p)
    np.testing.assert_allclose(encode(fine, values), encode(spoiled, values)[:, :1], atol=1e-5)
    np.testing.assert_allclose(np.abs(encode(fine, [odd])), np.abs(encode(spoiled, [odd]))[:, :1], atol=2e-2, rtol=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        [0.0] * 99_000 + [1.0] * 9,  # rare
        np.random.default_rng(0).lognormal(3, 1.5, 20_000),  # skewed
        np.concatenate([np.zeros(9000), np.random.default_rng(0).normal(5000, 1000, 90), [99999.0] * 10]),  # a spike
        [1.0, 2.0, 4.0, 1e6],  # too few to judge by
        [-1e300, 1e300] * 60,
    ],
)
def test_what_many_numbers_are_like_is_not_left_out(values: Any) -> None:
    moments = RunningMoments()
    moments.add(np.array(values, np.float64))
    mean, scale, low, high, left_out = moments.robust()
    assert left_out == 0
    assert (mean, scale) == moments.moments
    assert low <= max(np.min(values), -3.4e38)
    assert high >= min(np.max(values), 3.4e38)


@given(st.lists(st.floats(), max_size=200), st.floats(), st.booleans())
def test_what_is_encoded_is_finite(train: list[float], served: float, log1p: bool) -> None:
    part = fit([number if np.isfinite(number) else None for number in train], log1p)
    with np.errstate(all="raise", under="ignore"):
        found = part.encode(pa.table({"x": [served, *train]}))
    assert np.isfinite(found).all()


def test_a_number_that_stands_for_a_missing_one_is_cut_where_a_network_still_means_something() -> None:
    latitudes = np.random.default_rng(0).normal(45, 0.1, 500)
    assert encode(fit(latitudes.tolist()), [0.0])[0, 0] == pytest.approx(-10, rel=1e-5)
    wide = [*latitudes.tolist(), 46.5]  # 15 deviations away, in train
    assert encode(fit(wide), [46.5])[0, 0] > 10


@pytest.mark.parametrize("values", [[5.0, 5.0], [None, None], [0.1] * 7])
def test_a_constant_becomes_zero(values: list[float | None]) -> None:
    np.testing.assert_allclose(encode(fit(values), values)[:, 0], 0, atol=1e-6)


NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.sampled_from([1e15, 1e15 + 1, 1e-9, 0.1]))


@given(st.lists(st.tuples(NUMBERS, st.integers(0, 3)), min_size=1, max_size=40), st.integers(1, 9))
def test_moments_are_those_of_all_and_the_same_to_the_bit_however_numbers_are_parted(
    rows: list[tuple[float, int]], size: int
) -> None:
    numbers, weights = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    whole, parted, repeated = RunningMoments(), RunningMoments(), RunningMoments()
    whole.add(numbers, weights)
    repeated.add(np.repeat(numbers, weights))
    for start in range(0, len(rows), size):
        parted.add(numbers[start : start + size], weights[start : start + size])
    assert whole.moments == parted.moments
    known = [Fraction(number) for number, weight in rows if number == number for _ in range(weight)]
    assert (whole.known, whole.rows) == (len(known), weights.sum())
    if not known:
        assert whole.moments == (0.0, 1.0)
        return
    mean = sum(known) / len(known)
    variance = float(sum((number - mean) ** 2 for number in known) / len(known))
    for mean_found, scale in (whole.moments, repeated.moments):
        assert mean_found == pytest.approx(float(mean), rel=1e-14, abs=1e-9)
        assert scale == pytest.approx(np.sqrt(variance), rel=1e-9) or scale == 1.0


@pytest.mark.parametrize("piece", [64, PIECE])
def test_sums_do_not_drift(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a correctly rounded sum."""
    monkeypatch.setattr(numeric, "PIECE", piece)
    numbers = np.random.default_rng(0).lognormal(sigma=3, size=200_000)
    whole, parted = RunningMoments(), RunningMoments()
    whole.add(numbers)
    for start in range(0, len(numbers), 7_001):
        parted.add(numbers[start : start + 7_001])
    mean = math.fsum(numbers) / len(numbers)
    scale = math.sqrt(math.fsum((numbers - mean) ** 2) / len(numbers))
    assert whole.moments == parted.moments == pytest.approx((mean, scale), rel=1e-13, abs=0)
    assert whole.robust() == parted.robust()
