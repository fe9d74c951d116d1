"""The encoder against the definitions, value by value in Python."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.columns.base import Source
from bench.data.columns.categorical import CategoricalField
from bench.data.columns.multi_valued import MultiValuedField
from bench.data.columns.numeric import BucketField, NumericColumn
from bench.data.columns.vocabulary import Vocabulary
from bench.data.encoding.encoder import Encoder
from bench.data.encoding.rates import TargetRates
from bench.data.values import canonical

TEXT = st.one_of(
    st.none(), st.sampled_from(["a", "b", " a ", "c", "1", "1.0", "x,y", "y,,x, y", "1,1.0", "?", "", "ü", "３.0"])
)


def rates(name, source, values):
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


def encoder(with_missing, spelled=False, keep="first"):
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
                keep=keep,
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


def twin(one, rows, lists):
    """Ids and dense columns of rows of user, tags, price and clock."""
    (user, tags, hour, ranges), (price, rate) = one.fields, one.dense
    offsets, ids, dense = one.schema_of(()).offsets, [], []
    for name, joined, number, clock in rows:
        value = canonical(name, user.source.missing, user.source.spelled)
        items = joined if lists else (joined or "").split(",") if joined != "?" else []
        texts = [canonical(item, tags.source.missing, tags.source.spelled) for item in items or []]
        texts = [text for text in texts if text is not None]
        if tags.keep == "last":
            texts = list(dict.fromkeys(texts[::-1]))[:2][::-1]
        own = [offsets[1] + local(tags, text) for text in dict.fromkeys(texts)][:2]
        edges = 4 if number is None else 1 + sum(edge <= number for edge in ranges.edges)
        ids.append([offsets[0] + local(user, value), *own, *[0] * (2 - len(own)),
                    offsets[2] + local(hour, str(clock // 100)), offsets[3] + edges])  # fmt: skip
        at = rate.values.index(value) if value in rate.values else -1
        logged = np.clip(np.sign(number) * np.log1p(abs(number)), price.low, price.high) if number is not None else None
        standard = [0.0, 1.0] if logged is None else [(logged - price.mean) / price.scale, 0.0]
        dense.append([*standard, *(np.array(rate.table[at]) - rate.mean) / rate.scale])
    return np.array(ids, np.int32).reshape(-1, 5), np.array(dense, np.float32).reshape(-1, 5)


def local(field, value):
    known = field.vocabulary.values
    return known.index(value) + 1 if value in known else 0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT, st.one_of(st.none(), st.floats(-5, 5)), st.integers(0, 2359)), max_size=12),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["first", "last"]),
    st.booleans(),
)
def test_equals_the_definitions(rows, with_missing, spelled, keep, lists):
    if lists:
        rows = [(user, tags and tags.split(","), *rest) for user, tags, *rest in rows]
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    kinds = {"user": pa.string(), "tags": pa.list_(pa.string()) if lists else pa.string(), "price": pa.float64(),
             "clock": pa.int64()}  # fmt: skip
    table = pa.table(
        {name: pa.array(column, kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)}
    )
    one = encoder(with_missing, spelled, keep)
    ids, dense = one.encode(table)
    wanted = twin(one, rows, lists)
    np.testing.assert_array_equal(ids, wanted[0])
    np.testing.assert_allclose(dense, wanted[1], atol=1e-6)
    assert (ids.dtype, dense.dtype) == (np.int32, np.float32)
