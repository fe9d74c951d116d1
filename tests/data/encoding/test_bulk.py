"""The compiled encoder against the one that goes through Python, row by row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.encoding.base import Source
from bench.data.encoding.bulk import BulkEncoder
from bench.data.encoding.encoder import Encoder
from bench.data.encoding.fields import BucketField, CategoricalField, MultiValuedField
from bench.data.encoding.numeric import NumericColumn
from bench.data.encoding.rates import TargetRates
from bench.data.encoding.vocabulary import Vocabulary

TEXT = st.one_of(
    st.none(), st.sampled_from(["a", "b", " a ", "c", "1", "1.0", "x,y", "y,,x, y", "1,1.0", "?", "", "ü", "３.0"])
)


def rates(name: str, source: Source, values: tuple[str | None, ...]) -> TargetRates:
    table = tuple((0.1 * row, 0.2 * row, 0.3 * row) for row in range(len(values) + 1))
    return TargetRates(
        name=name,
        source=source,
        tasks=("click", "buy"),
        binary=(True, True),
        smoothing=1.0,
        folds=2,
        seed=0,
        values=values,
        table=table,
        mean=(0.1, 0.2, 0.3),
        scale=(1.0, 2.0, 3.0),
    )


def encoder(with_missing: bool, spelled: bool = False) -> Encoder:
    some, more = (None,) if with_missing else (), ("1.0",) if spelled else ()
    user, price = Source(column="user", missing=("?",), spelled=spelled), Source(column="price")
    return Encoder(
        fields=(
            CategoricalField(name="user", source=user, vocabulary=Vocabulary(values=("b", *some, "a", "1", *more))),
            MultiValuedField(
                name="tags",
                source=Source(column="tags", missing=("?",), spelled=spelled),
                separator=",",
                slots=2,
                vocabulary=Vocabulary(values=("y", "x", *more, "1")),
            ),
            CategoricalField(
                name="hour", source=Source(column="clock", derive="hour_of_hhmm"), vocabulary=Vocabulary(values=("9",))
            ),
            BucketField(number="price", source=price, edges=(0.0, 2.0), low=-1.0, high=3.0, counts=(4, 5, 6)),
        ),
        dense=(
            NumericColumn(name="price", source=price, log1p=True, mean=0.5, scale=2.0, low=-1.0, high=1.5, flag=True),
            rates("user", user, ("a", "ü", *more, *some)),
        ),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT, st.one_of(st.none(), st.floats(-5, 5)), st.integers(0, 2359)), max_size=12),
    st.booleans(),
    st.booleans(),
)
def test_equals_the_encoder(rows: list[tuple], with_missing: bool, spelled: bool) -> None:
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    kinds = {"user": pa.string(), "tags": pa.string(), "price": pa.float64(), "clock": pa.int64()}
    table = pa.table(
        {name: pa.array(column, kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)}
    )
    slow = encoder(with_missing, spelled)
    bulk = BulkEncoder(slow)
    for found, expected in zip(bulk.encode(table), slow.encode(table), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_codes_of_texts_that_were_never_seen_do_not_grow() -> None:
    bulk = BulkEncoder(encoder(False))
    table = pa.table(
        {"user": [f"new{i}" for i in range(50)], "tags": ["x"] * 50, "price": [1.0] * 50, "clock": [900] * 50}
    )
    bulk.encode(table)
    assert len(bulk._known["user"].codes) == 3
