"""`canonical` over whole columns and compiled dictionaries against Python's own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.codes import TextCodes
from bench.data.values import canonical, distinct, texts_of

PIECES = [
    "a",
    "1",
    "0",
    "00",
    ".",
    "-",
    " ",
    "\t",
    "\x1f",
    "\x85",
    "\u00a0",
    "\u2003",
    "\u3000",
    "é",
    "日",
    "٣",
    "?",
    "NA",
]
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
