"""Values: their spelling, their codes, and rows that are equal to an earlier one."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.data.codes import (
    ABSENT,
    NULL,
    UNKNOWN,
    ColumnCodes,
    IntegerCodes,
    RowSet,
    fingerprints,
    whole_numbers,
)
from bench.data.values import as_numbers, canonical, texts_of

SPELLINGS: dict[str | None, list[object]] = {
    "1": [1, 1.0, "1", "1.0", " 1 ", "1.00", True],
    "0": [0, 0.0, -0.0, "0", "-0.0"],
    None: [None, "", "  ", float("nan"), "?", " ? "],
    **{text: [text] for text in ("1.5", "01", "1.0.0", "a.0", "1e3")},
}


@pytest.mark.parametrize(
    ("value", "one"), [(value, one) for one, values in SPELLINGS.items() for value in values]
)
def test_one_category_has_one_spelling_and_missing_has_none(value, one):
    assert canonical(value, ("?",)) == one


@pytest.mark.parametrize("value", [-1, -1.0, "-1", "-1.0", " -1.00"])
@pytest.mark.parametrize("spelled", [False, True])
def test_a_marker_is_missing_in_each_spelling(value, spelled):
    assert canonical(value, ("-1",), spelled) is None
    assert np.isnan(as_numbers(pa.array([value]), ("-1",))).all()


def test_infinite_and_marked_numbers_are_missing():
    np.testing.assert_array_equal(
        as_numbers(pa.array(["1e999", "nan", "-inf", " ? ", "2"]), ("?",)), [*[np.nan] * 4, 2]
    )
    np.testing.assert_array_equal(as_numbers(pa.array([np.inf, 2.0])), [np.nan, 2])


def test_a_text_that_is_no_number_is_named():
    with pytest.raises(UserError, match="'age': expected a number, found 'old'"):
        as_numbers(pa.array(["old"]), name="age")
    with pytest.raises(UserError, match="expected numbers, found a column of type list"):
        as_numbers(pa.array([[1]]), name="age")


PIECES = ["00", "NA", *"a10.- \t\x1f\x85\u00a0\u2003\u3000é日٣?"]
TEXTS = st.one_of(
    st.none(), st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.text(max_size=4)
)
MISSING = st.sampled_from([(), ("?", "NA"), ("1",), ("é", "-")])


@given(
    st.lists(TEXTS, max_size=30),
    MISSING,
    st.sampled_from([pa.string(), pa.large_string()]),
    st.booleans(),
)
def test_texts_become_canonical(texts, missing, kind, spelled):
    array = pa.array([*texts, "end"], kind)
    expected = [canonical(text, missing, spelled) for text in [*texts, "end"]]
    assert texts_of(array, missing, spelled).to_pylist() == expected
    assert texts_of(array.slice(1), missing, spelled).to_pylist() == expected[1:]


@pytest.mark.parametrize(
    "values",
    [
        [1, -3, None, 2**62],
        [True, False, None],
        [1.0, -2.0, None, 0.0, -0.0, 1e15],
        [1.5, 1.0, float("nan"), 1e300, -1e20, 5e-324],
        [Decimal("1.00"), Decimal("2.50"), None],
        [None, None],
    ],
)
@pytest.mark.parametrize("spelled", [False, True])
def test_other_types_become_canonical(values, spelled):
    for missing in ((), ("-3", "1")):
        expected = [canonical(value, missing, spelled) for value in values]
        assert texts_of(pa.array(values), missing, spelled).to_pylist() == expected


NUMBERS = st.one_of(st.integers(0, 40), st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=60)
@given(st.lists(NUMBERS, max_size=60), st.lists(NUMBERS, min_size=1, max_size=9))
def test_codes_are_those_of_a_dictionary(rows, asked):
    table, code_of = IntegerCodes(), dict[int, int]()
    for part in (rows[:7], rows[7:]):
        expected = [ABSENT if i == NULL else code_of.setdefault(i, len(code_of)) for i in part]
        assert table.code(np.array(part, np.int64)).tolist() == expected
    assert table.values.tolist() == list(code_of)
    codes = table.code(np.array(asked), grow=False)
    assert codes.tolist() == [ABSENT if i == NULL else code_of.get(i, UNKNOWN) for i in asked]


@given(
    st.lists(st.lists(st.one_of(st.none(), st.integers(-3, 9)), max_size=9), max_size=5),
    st.integers(0, 4),
)
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
    return pa.table(
        {
            name: pa.array(column, kind)
            for (name, kind), column in zip(kinds.items(), columns, strict=True)
        }
    )


@given(st.lists(st.lists(ROW, max_size=20), max_size=4))
def test_rows_are_compared_with_all_that_came_before(parts):
    seen, earlier = RowSet(), set[Any]()
    for part in parts:
        expected = [not (row in earlier or earlier.add(row)) for row in part]
        assert seen.new(table(part)).tolist() == expected


def test_many_rows_as_pandas_has_it(rng):
    frame = pd.DataFrame(
        {
            "a": rng.integers(0, 300, 40_000),
            "b": rng.choice(["x", "y", None], 40_000),
            "c": rng.integers(0, 30, 40_000) / 4,
        }
    )
    seen, whole = RowSet(), pa.Table.from_pandas(frame)
    are_new = np.concatenate([seen.new(whole.slice(start, 997)) for start in range(0, 40_000, 997)])
    np.testing.assert_array_equal(are_new, ~frame.duplicated().to_numpy())


def test_how_a_column_is_stored_does_not_matter():
    plain = pa.table({"s": ["x", "y", "x", None], "n": [1, 2, 1, None]})
    stored = pa.table(
        {
            "n": pa.array([1.0, 2.0, 1.0, None]),
            "s": plain["s"].dictionary_encode(),
            "none": pa.nulls(4),
        }
    )
    np.testing.assert_array_equal(fingerprints(plain), fingerprints(stored))
