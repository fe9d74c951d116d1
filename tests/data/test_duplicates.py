from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.data.duplicates import RowSet, fingerprints

ROW = st.tuples(
    st.sampled_from(["a", "b", None, ""]),
    st.sampled_from([1, 2, 2**53 + 1, 2**53 + 2, None]),
    st.sampled_from([0.5, -0.0, 0.0, None]),
    st.booleans(),
)


def table(rows: list[Any]) -> Any:
    kinds = {"s": pa.string(), "i": pa.int64(), "f": pa.float64(), "b": pa.bool_()}
    columns = zip(*rows, strict=True) if rows else [()] * 4
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)})


@given(st.lists(st.lists(ROW, max_size=20), max_size=4))
def test_rows_are_compared_with_all_that_came_before(parts: list[list[Any]]) -> None:
    seen, known = RowSet(), set[Any]()
    for part in parts:
        expected = [not (row in known or known.add(row)) for row in part]  # type: ignore[func-returns-value]
        assert seen.new(table(part)).tolist() == expected


def test_many_rows_as_pandas_has_it() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 300, 40_000), "b": rng.choice(["x", "y", None], 40_000),
                          "c": rng.integers(0, 30, 40_000) / 4})  # fmt: skip
    seen, whole = RowSet(), pa.Table.from_pandas(frame)
    found = np.concatenate([seen.new(whole.slice(start, 997)) for start in range(0, 40_000, 997)])
    np.testing.assert_array_equal(found, ~frame.duplicated().to_numpy())


def test_how_a_column_is_stored_does_not_matter() -> None:
    plain = pa.table({"s": ["x", "y", "x", None], "n": [1, 2, 1, None]})
    stored = pa.table({"n": pa.array([1.0, 2.0, 1.0, None]), "s": plain["s"].dictionary_encode(),
                       "none": pa.nulls(4)})  # fmt: skip
    np.testing.assert_array_equal(fingerprints(plain), fingerprints(stored))


def test_equal_values_of_two_columns_do_not_cancel() -> None:
    one, other = pa.table({"a": ["x", "y"], "b": ["x", "y"]}), pa.table({"a": ["x", "y"], "b": ["y", "x"]})
    prints = np.concatenate([fingerprints(one), fingerprints(other)])
    assert len({tuple(row) for row in prints.tolist()}) == 4


def test_dates_and_lists_are_compared_and_records_are_refused() -> None:
    day = datetime.date(2024, 1, 1)
    assert RowSet().new(pa.table({"d": [day, day, None]})).tolist() == [True, False, True]
    lists = pa.table({"l": [[1], [1, 1], None, [], [1], None, [2, 1], [1, None], [1, 2], [None, 1]]})
    new = [True] * 4 + [False] * 2 + [True] * 4
    assert RowSet().new(lists).tolist() == new
    seen = RowSet()
    assert np.concatenate([seen.new(lists.slice(0, 3)), seen.new(lists.slice(3))]).tolist() == new
    with pytest.raises(UserError, match="'l': expected texts, numbers or lists of these to compare rows by, found a"):
        RowSet().new(pa.table({"l": [{"a": 1}]}))


def test_rows_that_share_half_a_fingerprint_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = np.array([[5, 1], [5, 2], [5, 1], [5, 2], [5, 3], [2**63, 1], [2**63, 1]], np.uint64)
    monkeypatch.setattr("bench.data.duplicates.fingerprints", lambda rows: prints[rows])
    seen = RowSet()
    assert [seen.new(slice(at, at + 1)).tolist() for at in range(2)] == [[True], [True]]
    assert seen.new(slice(2, 7)).tolist() == [False, False, True, True, False]
