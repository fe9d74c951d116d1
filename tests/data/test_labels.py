from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bench.core.errors import UserError
from bench.data.checks import Rejects, Sieve, read_labels
from bench.data.tasks import TaskRule


def labels(table: dict[str, list[Any]], missing: tuple[str, ...] = (), **rule: Any) -> list[float]:
    rows = pa.table(table)
    sieve = Sieve(Rejects(), lambda row: f"/f.csv, line {row + 2}", rows.num_rows)
    return [float(x) for x in read_labels(rows, (TaskRule(name="y", **rule),), missing, sieve)[:, 0]]


def test_zero_and_one_in_every_spelling() -> None:
    assert labels({"a": ["0", "1", "1.0", "0.0", "true", "False"]}, column="a") == [0, 1, 1, 0, 1, 0]
    assert labels({"a": [True, False]}, column="a") == [1, 0]
    assert labels({"a": [1.0, 0.0]}, column="a") == [1, 0]


def test_a_missing_label_is_unobserved() -> None:
    np.testing.assert_array_equal(labels({"a": ["1", None, "?"]}, ("?",), column="a"), [1, np.nan, np.nan])
    np.testing.assert_array_equal(labels({"a": ["x", None]}, column="a", positive=["x"]), [1, np.nan])
    np.testing.assert_array_equal(labels({"a": [2.5, None]}, column="a", kind="regression"), [2.5, np.nan])


@pytest.mark.parametrize(
    ("value", "found"), [(1e39, r"1e\+39"), ("-1e39", r"-1e\+39"), (float("inf"), "inf"), ("inf", "inf")]
)
def test_a_label_that_no_float32_holds_is_a_bad_row(value: Any, found: str) -> None:
    raw = pa.table({"a": pa.array(["1", value, "3"] if isinstance(value, str) else [1, value, 3.0])})
    rule = TaskRule(name="y", column="a", kind="regression")
    with pytest.raises(UserError, match=f"1: 'a', the label of task 'y': expected a number that .* found {found}"):
        read_labels(raw, (rule,), (), Sieve(Rejects(), str, 3))
    sieve = Sieve(Rejects(drop=True), str, 3)
    read_labels(raw, (rule,), (), sieve)
    assert sieve.bad.tolist() == [False, True, False]


def test_a_label_that_is_neither_names_file_and_line() -> None:
    with pytest.raises(UserError, match=r"/f\.csv, line 4: 'a', the label of task 'y': expected 0 or 1, found '2'"):
        labels({"a": ["0", "1", "2", "2"]}, column="a")
    with pytest.raises(UserError, match=r"line 3: .*expected one of '- 5', '5\+', found 'five'"):
        labels({"a": ["5+", "five"]}, column="a", positive=["- 5"], negative=["5+"])
