"""Columns of lists: of categories, read as texts with a separator are; and of numbers, which are
vectors.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import card_of

from bench.data import prepare
from bench.data.splits import SPLITS

KINDS = {
    "texts": (pa.string(), lambda n: f"t{n}" if n else " "),
    "whole numbers": (pa.int32(), lambda n: n - 1),
    "numbers": (pa.float64(), lambda n: n / 2),
    "bytes": (pa.binary(), lambda n: f"t{n}".encode()),
}


def rows(make_value, kind):
    rng = np.random.default_rng(0)
    lists = [
        [make_value(int(n)) for n in rng.integers(0, 9, rng.integers(0, 7))] for _ in range(400)
    ]
    lists = [None if number % 17 == 0 else value for number, value in enumerate(lists)]
    numbers = rng.integers(0, 40, 400)
    click = numbers % 2
    return pa.table({"tags": pa.array(lists, pa.list_(kind)), "n": numbers, "click": click}), lists


def stored(table, folder, **column):
    folder.mkdir()
    pq.write_table(table, folder / "log.parquet", row_group_size=90)
    card = card_of(
        reader={"kind": "parquet", "missing": ["-1", "t3"], "drop_duplicates": True},
        files=[{"name": "log.parquet"}],
        columns={"tags": {"kind": "multi-valued", "max_length": 3, **column}, "n": "numeric"},
    )
    return prepare(card, folder / "home", folder)


@pytest.mark.parametrize("kind", KINDS)
def test_lists_make_the_store_that_texts_make(kind, tmp_path):
    table, lists = rows(KINDS[kind][1], KINDS[kind][0])
    texts = [
        value.decode() if isinstance(value, bytes) else str(value)
        for row in lists
        for value in row or ()
    ]
    starts = np.cumsum([0, *(len(row or ()) for row in lists)])
    joined = [
        None if row is None else "|".join(texts[starts[i] : starts[i + 1]])
        for i, row in enumerate(lists)
    ]
    of_lists = stored(table, tmp_path / "lists")
    of_texts = stored(
        table.set_column(0, "tags", pa.array(joined)), tmp_path / "texts", separator="|"
    )
    assert of_lists.manifest["duplicates_dropped"] <= of_texts.manifest["duplicates_dropped"] <= 60
    first, second = (
        store.encoder.fields[0].model_dump(exclude={"separator"}) for store in (of_lists, of_texts)
    )
    assert first == second
    for name in SPLITS:
        for array in of_lists.arrays:
            actual, expected = (
                np.load(store.path / name / f"{array}.npy") for store in (of_lists, of_texts)
            )
            np.testing.assert_array_equal(actual, expected)
    assert (of_lists.split("train").ids[:, 2] > 0).any()


LENGTH = 4
COLUMNS = {"v": {"kind": "vector", "length": LENGTH}, "n": "numeric"}
CARD = card_of(reader={"kind": "parquet"}, files=[{"name": "log.parquet"}], columns=COLUMNS)
LISTS = (
    pa.list_(pa.float32()),
    pa.list_(pa.float64()),
    pa.large_list(pa.float32()),
    pa.list_(pa.float32(), LENGTH),
)


def vectors_stored(vectors, kind, folder):
    folder.mkdir()
    data = pa.table({"v": pa.array(vectors, kind), "n": range(300), "click": [0, 1, 1] * 100})
    pq.write_table(data, folder / "log.parquet", row_group_size=70)
    store = prepare(CARD, folder / "home", folder)
    return store, [store.split(name).dense for name in ("train", "valid", "confirm", "test")]


@pytest.mark.parametrize("lacking", [True, False])
def test_each_number_is_standardised_by_train_in_whatever_list_it_is(lacking, tmp_path):
    drawn = (
        np.random.default_rng(0)
        .normal([0, 5, -3, 100], [1, 2, 0.1, 30], (300, LENGTH))
        .astype(np.float32)
    )
    vectors = [
        None if lacking and number % 7 == 0 else vector.tolist()
        for number, vector in enumerate(drawn)
    ]
    store, splits = vectors_stored(vectors, LISTS[0], tmp_path / "one")
    assert store.schema.dense == (
        *(f"v_{number}" for number in range(LENGTH)),
        *["v_missing"] * lacking,
        "n",
    )
    assert [field.name for field in store.schema.fields] == ["n_bucket"]
    missing = splits[0][:, LENGTH] == 1 if lacking else np.zeros(len(splits[0]), bool)
    present = splits[0][~missing, :LENGTH]
    np.testing.assert_allclose(
        [present.mean(axis=0), present.std(axis=0)], [[0] * LENGTH, [1] * LENGTH], atol=1e-5
    )
    if lacking:
        assert not splits[0][missing, :LENGTH].any()
        assert sum((dense[:, LENGTH] == 1).sum() for dense in splits) == vectors.count(None)
    for number, kind in enumerate(LISTS[1 : 4 - lacking]):
        for actual, expected in zip(
            vectors_stored(vectors, kind, tmp_path / f"{number}")[1], splits, strict=True
        ):
            np.testing.assert_array_equal(actual, expected)
