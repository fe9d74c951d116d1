from __future__ import annotations

import datetime
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from bench.data.inspection.column import count_column, markers_in


@pytest.mark.parametrize("dictionary", [False, True])
def test_counts_are_those_of_a_counter(dictionary: bool) -> None:
    texts = [None if i % 7 == 0 else ["", " a", "a ", "b", "NA", "é, x"][i % 6] for i in range(300)]
    array = pa.array(texts)
    column = count_column("c", array.dictionary_encode() if dictionary else array, ["NA"])
    wanted = Counter(text.strip() for text in texts if text is not None and text.strip() not in ("", "NA"))
    assert dict(zip(column.texts(), column.counts.tolist(), strict=True)) == wanted
    assert column.known == sum(wanted.values())
    assert column.missing_rate == pytest.approx(1 - sum(wanted.values()) / 300)
    back = [None if code < 0 else column.texts()[code] for code in column.codes]
    assert back == [t.strip() if t is not None and t.strip() not in ("", "NA") else None for t in texts]


@pytest.mark.parametrize("form", ["plain", "dictionary", "lists"])
def test_bytes_that_are_no_text_cannot_be_used(form: str) -> None:
    options = pc.CastOptions(target_type=pa.large_string(), allow_invalid_utf8=True)
    texts = pc.cast(pa.array([b"a", b"\xff", None], pa.binary()), options=options)
    if form == "lists":
        texts = pa.ListArray.from_arrays([0, 1, 2, 3], texts)
    column = count_column("c", texts.dictionary_encode() if form == "dictionary" else texts)
    assert not column.readable
    assert column.type == "bytes that are no text"
    assert column.known == (3 if form == "lists" else 2)


@pytest.mark.parametrize(
    ("array", "numbers", "whole"),
    [
        (pa.array([3, 1, 3, None]), [3, 1], True),
        (pa.array([0.5, float("nan"), 2.0]), [0.5, 2.0], False),
        (pa.array([True, False, True]), [1, 0], True),
        (pa.array(["10", "2.5", " 3 "]), [10, 2.5, 3], False),
        (pa.array(["10", "x"]), None, False),
        (pa.array(["1", "inf"]), None, False),
        (pa.array([datetime.date(2024, 3, 1)]), None, False),
    ],
)
def test_numbers(array: pa.Array, numbers: list[float] | None, whole: bool) -> None:
    column = count_column("c", array)
    assert (None if column.numbers is None else column.numbers.tolist()) == numbers
    assert column.whole == whole


def test_a_type_that_no_card_can_use_is_told() -> None:
    column = count_column("c", pa.array([{"a": 1}, None, {"a": 3}]))
    assert not column.readable
    assert column.known == 2
    assert column.type.startswith("struct")


def test_a_chunked_column_is_one_column() -> None:
    chunks = pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", "c"]).dictionary_encode()])
    assert count_column("c", chunks.unify_dictionaries()).counts.tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("values", "held"),
    [
        (["1", "NA", "30"], ["NA"]),
        (["1", r"\N", "NaN"], [r"\N", "NaN"]),
        (["DE", "NA"], []),
        (["DE", "?"], ["?"]),
        (["-1", "3", "4"], []),
    ],
)
def test_texts_that_mean_missing(values: list[str], held: list[str]) -> None:
    """`NA` is one among numbers; among names it may be a country."""
    assert markers_in(count_column("c", pa.array(values))) == held
