from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.columns import MultiValued
from bench.data.encoding import numeric as module
from bench.data.encoding.base import Source, Vocabulary
from bench.data.encoding.fields import PAD, BucketField, CategoricalField, MultiValuedField
from bench.data.encoding.fitter import CategoricalFitter, MultiValuedFitter
from bench.data.encoding.numeric import DistinctNumbers, Ranges, ranges_for, shortened
from bench.schema import begins

SOURCE = Source(column="x", missing=("?",))


def multi(values: list[str | None], slots: int = 3, min_count: int = 1) -> MultiValuedField:
    fitter = MultiValuedFitter("x", SOURCE, MultiValued(max_length=slots), min_count)
    for part in (values[:2], values[2:]):
        fitter.take(pa.table({"x": pa.array(part, pa.string())}), np.ones(len(part), bool))
    return fitter.finish()


def ranges(parts: Iterable[Any], most: int) -> Ranges:
    numbers = DistinctNumbers()
    for part in parts:
        numbers.add(np.array(part, np.float64))
    with mock.patch.object(module, "ranges_for", return_value=most):
        return numbers.ranges()


def cuts(numbers: Any, most: int) -> list[float]:
    values, counts = np.unique(numbers, return_counts=True)
    return values[1:][begins(counts, most)].tolist()  # type: ignore[no-any-return]


def bucketed(numbers: list[float], most: int) -> BucketField:
    return BucketField(number="x", source=SOURCE, **ranges([numbers], most)._asdict())


def test_many_buckets_of_few_values_are_one_a_value() -> None:
    field = bucketed([1.0] * 900 + [2.0, 3.0, 5.0], 1000)
    assert (field.name, field.edges, field.low, field.high) == ("x_bucket", (2.0, 3.0, 5.0), 1.0, 5.0)
    assert field.counts == (900, 1, 1, 1)
    low, two, between, five, beyond = field.encode(pa.table({"x": [0.0, 2.0, 4.0, 5.0, 9.0]})).ravel().tolist()
    assert low < two < between < five == beyond


def test_what_has_no_slot_is_neither_encoded_nor_counted() -> None:
    part = multi(["a,b,c"] * 3 + ["a,b"], slots=2)
    assert set(part.vocabulary.values) == {"a", "b"}
    assert multi(["1,2,1"], slots=3).encode(pa.table({"x": ["1,2,1.0"]})).tolist() == [[1, 2, PAD]]


def test_rare_parts_are_unknown() -> None:
    assert multi(["a,b", "a"], min_count=2).encode(pa.table({"x": ["a,b"]})).tolist() == [[1, 0, PAD]]


def test_even_numbers_make_even_ranges() -> None:
    numbers = np.random.default_rng(0).random(10_000)
    counts = np.bincount(np.searchsorted(cuts(numbers, 10), numbers, side="right"))
    np.testing.assert_allclose(counts, 1000, atol=2)


def test_a_spike_has_a_range_of_its_own_and_the_rest_is_still_cut() -> None:
    rest = np.arange(1.0, 101.0)
    edges = cuts(np.concatenate([np.zeros(900), rest]), 11)
    counts = np.bincount(np.searchsorted(edges, rest, side="right"))
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:], 10, atol=1)
    assert len(counts) == 11


def test_a_constant_or_nothing_has_one_range() -> None:
    assert cuts(np.full(10, 3.0), 5) == []
    assert cuts(np.array([]), 5) == []


@given(st.lists(st.lists(st.floats(allow_infinity=False), max_size=9), max_size=6), st.integers(2, 9))
def test_ranges_of_parts_are_those_of_the_whole(parts: list[list[float]], most: int) -> None:
    found = ranges(parts, most)
    known = np.array([number for part in parts for number in part if not np.isnan(number)], np.float64)
    assert list(found.edges) == cuts(known, most)
    of_row = np.searchsorted(found.edges, known, side="right")
    assert np.bincount(of_row, minlength=len(found.edges) + 1).tolist() == list(found.counts)
    assert (found.low, found.high) == ((known.min(), known.max()) if len(known) else (0.0, 0.0))


def test_a_range_holds_enough_rows() -> None:
    assert [ranges_for(rows) for rows in (0, 3, 200, 10**4, 10**9)] == [2, 2, 10, 500, 1000]
    assert DistinctNumbers().ranges() == Ranges((), 0.0, 0.0, (0,))


@pytest.mark.parametrize("size", [7, 64, 4000])
def test_beyond_the_limit_numbers_are_shortened_however_they_are_parted(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXACT", 1000)
    all_numbers = np.random.default_rng(0).lognormal(size=4000)
    found = ranges((all_numbers[start : start + size] for start in range(0, 4000, size)), 10).edges
    assert list(found) == cuts(shortened(all_numbers, 8), 10)
    np.testing.assert_allclose(found, cuts(all_numbers, 10), rtol=2**-7)


Column = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), min_size=1, max_size=50)


def field(column: list[str | None], min_count: int) -> CategoricalField:
    fitter = CategoricalFitter("x", Source(column="x"), min_count)
    for part in (column[:5], column[5:]):
        fitter.take(pa.table({"x": pa.array(part, pa.string())}), np.ones(len(part), bool))
    return fitter.finish()


def fit(column: list[str | None], min_count: int) -> Vocabulary:
    return field(column, min_count).vocabulary


@given(Column, Column, st.integers(1, 4))
def test_common_values_come_back_and_others_are_unknown(
    train: list[str | None], other: list[str | None], min_count: int
) -> None:
    part = field(train, min_count)
    local, vocabulary = part.encode(pa.table({"x": pa.array(other, pa.string())}))[:, 0], part.vocabulary
    counts = Counter(train)
    for value, id_ in zip(other, local, strict=True):
        if counts[value] >= min_count:
            assert vocabulary.values[id_ - 1] == value
        else:
            assert id_ == 0
    assert vocabulary.cardinality == 1 + sum(n >= min_count for n in counts.values())


@given(Column, st.randoms())
def test_the_order_of_rows_does_not_matter(train: list[str | None], random: object) -> None:
    shuffled = list(train)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fit(train, 1) == fit(shuffled, 1)


def test_ids_go_by_falling_count_and_missing_is_a_value() -> None:
    assert fit(["b", "a", None, "b", None, "b", "c"], 1).values == ("b", None, "a", "c")
    assert fit(["b", "a", None, "b"], 2).values == ("b",)


@pytest.mark.parametrize("ranges", [1, 2, 3, 21, 1000])
def test_ranges_are_those_of_a_bisection(ranges: int) -> None:
    """More numbers than one block of the compiled pass, on the edges too; numpy's search tells the range."""
    rng = np.random.default_rng(ranges)
    edges = np.unique(rng.normal(size=ranges - 1))
    numbers = np.append(rng.normal(size=700), [*edges, np.nan, np.inf, -np.inf])
    field = BucketField(
        number="x", source=SOURCE, edges=tuple(edges), low=-9.0, high=9.0, counts=(1,) * (len(edges) + 1)
    )
    expected = np.where(np.isnan(numbers), len(edges) + 2, 1 + np.searchsorted(edges, numbers, side="right"))
    np.testing.assert_array_equal(field.encode_numbers(numbers)[:, 0], expected)
