from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.values import as_numbers, as_text, canonical
from bench.errors import UserError


@pytest.mark.parametrize("value", [1, 1.0, "1", "1.0", " 1 ", "1.00", True])
def test_one_category_has_one_spelling(value: object) -> None:
    assert canonical(value) == "1"


@pytest.mark.parametrize("value", [None, "", "  ", float("nan"), "?", " ? "])
def test_missing_has_no_spelling(value: object) -> None:
    assert canonical(value, ("?",)) is None


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


@pytest.mark.parametrize("value", [0, 0.0, -0.0, "0", "-0.0"])
def test_zero_has_no_sign(value: object) -> None:
    assert canonical(value) == "0"


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_a_number_of_few_bits_is_what_it_was_written_as(kind: pa.DataType) -> None:
    array = pa.array([0.1, None, 2.0]).cast(kind, safe=False)
    assert as_text(array).values == ("0.1", "2")
    np.testing.assert_array_equal(as_numbers(array), [0.1, np.nan, 2])


@pytest.mark.parametrize("value", ["1.5", "01", "1.0.0", "a.0", "1e3"])
def test_other_texts_stay(value: str) -> None:
    assert canonical(value) == value


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b ", "1", "1.0", "?"])), max_size=30))
def test_text_gives_back_every_value(values: list[str | None]) -> None:
    text = as_text(pa.array(values, pa.string()), ("?",))
    given_back = [None if code < 0 else text.values[code] for code in text.codes]
    assert given_back == [canonical(value, ("?",)) for value in values]
    assert len(set(text.values)) == len(text.values)


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


def test_the_input_is_not_changed() -> None:
    array = pa.array([1.0, np.inf])
    as_numbers(array)
    assert array.to_pylist() == [1.0, np.inf]
