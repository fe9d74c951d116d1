from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from bench.data.encoding.base import Source
from bench.data.encoding.numeric import NumericColumn

SOURCE = Source(column="x")


def fit(values: list[float | None], log1p: bool = False, flag: bool = False) -> NumericColumn:
    return NumericColumn.fit("x", SOURCE, log1p, flag, pa.table({"x": pa.array(values, pa.float64())}))


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


def test_only_train_decides() -> None:
    part = fit([0.0, 2.0])
    assert encode(part, [1.0, 3.0, 101.0])[:, 0].tolist() == [0, 2, 100]


def test_missing_is_the_mean_beside_a_flag() -> None:
    part = fit([1.0, None, 3.0])
    assert part.names == ("x", "x_missing")
    assert encode(part, [3.0, None]).tolist() == [[1, 0], [0, 1]]


def test_the_flag_is_there_only_where_train_lacks_a_value_or_the_card_asks() -> None:
    assert fit([1.0, 2.0]).names == ("x",)
    assert encode(fit([1.0, 2.0]), [None]).tolist() == [[0]]
    assert fit([1.0, 2.0], flag=True).names == ("x", "x_missing")


def test_logs_keep_the_sign() -> None:
    part = fit([0.0, 0.0], log1p=True)
    np.testing.assert_allclose(encode(part, [-1.0, 0.0, 1.0])[:, 0], [-np.log(2), 0, np.log(2)], rtol=1e-6)


@pytest.mark.parametrize("values", [[5.0, 5.0], [None, None], [0.1] * 7])
def test_a_constant_becomes_zero(values: list[float | None]) -> None:
    np.testing.assert_allclose(encode(fit(values), values)[:, 0], 0, atol=1e-6)
