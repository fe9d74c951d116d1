from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bench.data.encoding.base import Source, Vocabulary
from bench.data.encoding.fields import CategoricalField
from bench.data.encoding.fitter import CategoricalFitter

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


@given(Column)
def test_it_survives_json(train: list[str | None]) -> None:
    vocabulary = fit(train, 1)
    assert Vocabulary.model_validate_json(vocabulary.model_dump_json()) == vocabulary
