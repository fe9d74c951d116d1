from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import codes
from bench.data.codes import ABSENT, NULL, UNKNOWN, ColumnCodes, IntegerCodes, TextCodes, whole_numbers
from bench.data.values import texts_of

NUMBERS = st.one_of(st.integers(0, 40), st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=60)
@given(st.lists(NUMBERS, max_size=60), st.lists(NUMBERS, min_size=1, max_size=9))
def test_codes_are_those_of_a_dictionary(rows: list[int], asked: list[int]) -> None:
    table, known = IntegerCodes(), dict[int, int]()
    for part in (rows[:7], rows[7:]):
        expected = [ABSENT if i == NULL else known.setdefault(i, len(known)) for i in part]
        assert table.code(np.array(part, np.int64)).tolist() == expected
    assert table.values.tolist() == list(known)
    found = table.code(np.array(asked), grow=False)
    assert found.tolist() == [ABSENT if i == NULL else known.get(i, UNKNOWN) for i in asked]


def test_a_table_grows() -> None:
    ids, table = np.random.default_rng(0).integers(0, 2**62, 100_000), IntegerCodes()
    found = table.code(ids)
    np.testing.assert_array_equal(table.values[found], ids)
    assert len(table) == len(np.unique(ids))


def test_texts_of_one_hash_have_codes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        codes, "hashes_of", lambda texts: np.array([len(t or "") for t in texts.to_pylist()], np.uint64)
    )
    table, parts = TextCodes(), (["a", "b", "bc", None, "a"], ["c", "cd", "b", "abc"])
    found = [table.code(pa.array(part)).tolist() for part in parts]
    for part, of in zip(parts, found, strict=True):
        assert table.code(pa.array(part), grow=False).tolist() == of
        assert [None if code < 0 else table.texts([code])[0] for code in of] == part
    assert len(table) == len(set().union(*found)) - 1 == 6


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(-3, 9)), max_size=9), max_size=5), st.integers(0, 4))
def test_whole_numbers_are_coded_as_their_digits_are(parts: list[list[int | None]], from_here: int) -> None:
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


@pytest.mark.parametrize("array", [pa.array([1.0]), pa.array(["1"]), pa.array([2**63], pa.uint64()), pa.array([NULL])])
def test_what_is_no_whole_number_goes_as_text(array: pa.Array) -> None:
    assert whole_numbers(array) is None
