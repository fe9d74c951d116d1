from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.data.codes import TextCodes
from bench.data.values import as_numbers, as_text, canonical, distinct, texts_of

SPELLINGS: dict[str | None, list[object]] = {
    "1": [1, 1.0, "1", "1.0", " 1 ", "1.00", True],
    "0": [0, 0.0, -0.0, "0", "-0.0"],
    None: [None, "", "  ", float("nan"), "?", " ? "],
    **{text: [text] for text in ("1.5", "01", "1.0.0", "a.0", "1e3")},
}


@pytest.mark.parametrize(("value", "one"), [(value, one) for one, values in SPELLINGS.items() for value in values])
def test_one_category_has_one_spelling_and_missing_has_none(value: object, one: str | None) -> None:
    assert canonical(value, ("?",)) == one


@pytest.mark.parametrize(
    ("value", "spelled"), [("1.0", "1.0"), (" 2.00 ", "2.00"), (1.0, "1"), (True, "1"), ("1", "1")]
)
def test_texts_may_stand_for_themselves(value: object, spelled: str) -> None:
    assert canonical(value, (), True) == spelled


@pytest.mark.parametrize("value", [-1, -1.0, "-1", "-1.0", " -1.00"])
@pytest.mark.parametrize("spelled", [False, True])
def test_a_marker_is_missing_in_each_spelling(value: object, spelled: bool) -> None:
    assert canonical(value, ("-1",), spelled) is None
    assert np.isnan(as_numbers(pa.array([value]), ("-1",))).all()


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_a_number_of_few_bits_is_what_it_was_written_as(kind: pa.DataType) -> None:
    array = pa.array([0.1, None, 2.0]).cast(kind, safe=False)
    assert as_text(array).values == ("0.1", "2")
    np.testing.assert_array_equal(as_numbers(array), [0.1, np.nan, 2])


def test_a_slice_holds_no_values_of_the_rest() -> None:
    whole = pa.array(["a", "b", "c", "b"]).dictionary_encode()
    assert as_text(whole.slice(1, 1)).values == ("b",)
    assert as_text(whole.take(pa.array([2, 2]))).values == ("c",)


def test_text_is_the_same_for_every_arrow_type() -> None:
    plain = pa.array(["3", None, "7", "3"])
    forms = [
        plain,
        plain.dictionary_encode(),
        plain.cast(pa.large_string()),
        plain.cast(pa.int64()),
        plain.cast(pa.float64()),
        pa.chunked_array([plain.slice(0, 2).dictionary_encode(), plain.slice(2).dictionary_encode()]),
        plain.dictionary_encode(null_encoding="encode"),
    ]
    for form in forms:
        text = as_text(form)
        assert [None if code < 0 else text.values[code] for code in text.codes] == ["3", None, "7", "3"]


def test_numbers_are_the_same_for_every_arrow_type() -> None:
    plain = pa.array(["3", None, "7.5"])
    for form in (plain, plain.dictionary_encode(), plain.cast(pa.float64()), pa.chunked_array([plain])):
        np.testing.assert_array_equal(as_numbers(form), [3, np.nan, 7.5])
    np.testing.assert_array_equal(as_numbers(pa.array([True, None])), [1, np.nan])
    np.testing.assert_array_equal(as_numbers(pa.array([None, None])), [np.nan, np.nan])


def test_infinite_and_marked_numbers_are_missing() -> None:
    np.testing.assert_array_equal(as_numbers(pa.array(["inf", "nan", "-inf", " ? ", "2"]), ("?",)), [*[np.nan] * 4, 2])
    np.testing.assert_array_equal(as_numbers(pa.array([np.inf, 2.0])), [np.nan, 2])


def test_a_text_that_is_no_number_is_named() -> None:
    with pytest.raises(UserError, match="'age': expected a number, found 'old'"):
        as_numbers(pa.array(["old"]), name="age")
    with pytest.raises(UserError, match="expected numbers, found a column of type list"):
        as_numbers(pa.array([[1]]), name="age")


PIECES = ["00", "NA", *"a10.- \t\x1f\x85\u00a0\u2003\u3000é日٣?"]
TEXTS = st.one_of(st.none(), st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.text(max_size=4))
MISSING = st.sampled_from([(), ("?", "NA"), ("1",), ("é", "-")])


@given(st.lists(TEXTS, max_size=30), MISSING, st.sampled_from([pa.string(), pa.large_string()]), st.booleans())
def test_texts_become_canonical(texts: list[str | None], missing: tuple[str, ...], kind: Any, spelled: bool) -> None:
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
def test_other_types_become_canonical(values: list[Any], spelled: bool) -> None:
    for missing in ((), ("-3", "1")):
        expected = [canonical(value, missing, spelled) for value in values]
        assert texts_of(pa.array(values), missing, spelled).to_pylist() == expected


@given(st.lists(st.lists(TEXTS, max_size=12), max_size=5), st.lists(TEXTS, max_size=5))
def test_codes_are_those_of_a_dictionary(parts: list[list[str | None]], asked: list[str | None]) -> None:
    codes, known = TextCodes(), dict[str, int]()
    for part in parts:
        spelled = [canonical(text) for text in part]
        expected = [-1 if text is None else known.setdefault(text, len(known)) for text in spelled]
        assert codes.code(texts_of(pa.array(part, pa.string()))).tolist() == expected
    found = codes.code(texts_of(pa.array(asked, pa.string())), grow=False).tolist()
    assert found == [-1 if (text := canonical(a)) is None else known.get(text, -2) for a in asked]
    assert codes.texts(range(len(codes))) == list(known)


def test_tables_and_buffers_grow() -> None:
    texts = [f"{'long' * (number % 50)}{number}" for number in range(30_000)]
    codes = TextCodes()
    for start in range(0, len(texts), 977):
        codes.code(texts_of(pa.array(texts[start : start + 977])))
    assert codes.texts(range(len(codes))) == texts
    assert codes.code(texts_of(pa.array(["x" * 100_000]))).tolist() == [30_000]


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=20), st.integers(0, 5))
def test_distinct_values_come_as_they_first_appear(values: list[str | None], start: int) -> None:
    order = list(dict.fromkeys(value for value in values[start:] if value is not None))
    expected = [-1 if value is None else order.index(value) for value in values[start:]]
    dictionary = pa.DictionaryArray.from_arrays(
        pa.array([None if v is None else "cbxa".index(v) for v in values], pa.int32()), pa.array(["c", "b", "x", "a"])
    )
    for array in (pa.array(values, pa.string()), dictionary, pa.chunked_array([dictionary])):
        codes, found = distinct(array.slice(start))
        assert (codes.tolist(), found.to_pylist()) == (expected, order)
