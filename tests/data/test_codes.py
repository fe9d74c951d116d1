from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.codes import ABSENT, NULL, UNKNOWN, ColumnCodes, IntegerCodes, whole_numbers
from bench.data.duplicates import RowSet, fingerprints
from bench.data.values import texts_of

NUMBERS = st.one_of(st.integers(0, 40), st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=60)
@given(st.lists(NUMBERS, max_size=60), st.lists(NUMBERS, min_size=1, max_size=9))
def test_codes_are_those_of_a_dictionary(rows, asked):
    table, known = IntegerCodes(), dict[int, int]()
    for part in (rows[:7], rows[7:]):
        expected = [ABSENT if i == NULL else known.setdefault(i, len(known)) for i in part]
        assert table.code(np.array(part, np.int64)).tolist() == expected
    assert table.values.tolist() == list(known)
    found = table.code(np.array(asked), grow=False)
    assert found.tolist() == [ABSENT if i == NULL else known.get(i, UNKNOWN) for i in asked]


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(-3, 9)), max_size=9), max_size=5), st.integers(0, 4))
def test_whole_numbers_are_coded_as_their_digits_are(parts, from_here):
    mixed, texts = ColumnCodes(), ColumnCodes()
    for number, part in enumerate(parts):
        array = pa.array(part, pa.int64())
        expected = texts.code(texts_of(array, ("-1",)))
        if number < from_here:
            numbers = whole_numbers(array, ("-1", "x", "01", "1.5"))
            assert numbers is not None
            assert mixed.code_numbers(numbers).tolist() == expected.tolist()
        else:
            assert mixed.code(texts_of(array, ("-1",))).tolist() == expected.tolist()
    assert len(mixed) == len(texts)
    assert mixed.texts(range(len(mixed))) == texts.texts(range(len(texts)))


ROW = st.tuples(
    st.sampled_from(["a", "b", None, ""]),
    st.sampled_from([1, 2, 2**53 + 1, 2**53 + 2, None]),
    st.sampled_from([0.5, -0.0, 0.0, None]),
    st.booleans(),
)


def table(rows):
    kinds = {"s": pa.string(), "i": pa.int64(), "f": pa.float64(), "b": pa.bool_()}
    columns = zip(*rows, strict=True) if rows else [()] * 4
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)})


@given(st.lists(st.lists(ROW, max_size=20), max_size=4))
def test_rows_are_compared_with_all_that_came_before(parts):
    seen, known = RowSet(), set[Any]()
    for part in parts:
        expected = [not (row in known or known.add(row)) for row in part]
        assert seen.new(table(part)).tolist() == expected


def test_many_rows_as_pandas_has_it():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 300, 40_000), "b": rng.choice(["x", "y", None], 40_000),
                          "c": rng.integers(0, 30, 40_000) / 4})  # fmt: skip
    seen, whole = RowSet(), pa.Table.from_pandas(frame)
    found = np.concatenate([seen.new(whole.slice(start, 997)) for start in range(0, 40_000, 997)])
    np.testing.assert_array_equal(found, ~frame.duplicated().to_numpy())


def test_how_a_column_is_stored_does_not_matter():
    plain = pa.table({"s": ["x", "y", "x", None], "n": [1, 2, 1, None]})
    stored = pa.table({"n": pa.array([1.0, 2.0, 1.0, None]), "s": plain["s"].dictionary_encode(),
                       "none": pa.nulls(4)})  # fmt: skip
    np.testing.assert_array_equal(fingerprints(plain), fingerprints(stored))
