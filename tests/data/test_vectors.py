"""Inputs that are vectors: lists of numbers of one length."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import card_of

from bench.data import prepare

LENGTH = 4
COLUMNS = {"v": {"kind": "vector", "length": LENGTH}, "n": "numeric"}
CARD = card_of(reader={"kind": "parquet"}, files=[{"name": "log.parquet"}], columns=COLUMNS)
KINDS = (pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), LENGTH))


def stored(vectors, kind, folder):
    folder.mkdir()
    data = pa.table({"v": pa.array(vectors, kind), "n": range(300), "click": [0, 1, 1] * 100})
    pq.write_table(data, folder / "log.parquet", row_group_size=70)
    store = prepare(CARD, folder / "home", folder)
    return store, [store.split(name).dense for name in ("train", "valid", "confirm", "test")]


@pytest.mark.parametrize("lacking", [True, False])
def test_each_number_is_standardised_by_train_in_whatever_list_it_is(lacking, tmp_path):
    drawn = np.random.default_rng(0).normal([0, 5, -3, 100], [1, 2, 0.1, 30], (300, LENGTH)).astype(np.float32)
    vectors = [None if lacking and at % 7 == 0 else vector.tolist() for at, vector in enumerate(drawn)]
    store, splits = stored(vectors, KINDS[0], tmp_path / "one")
    assert store.schema.dense == (*(f"v_{at}" for at in range(LENGTH)), *["v_missing"] * lacking, "n")
    assert [field.name for field in store.schema.fields] == ["n_bucket"]
    missing = splits[0][:, LENGTH] == 1 if lacking else np.zeros(len(splits[0]), bool)
    given = splits[0][~missing, :LENGTH]
    np.testing.assert_allclose([given.mean(axis=0), given.std(axis=0)], [[0] * LENGTH, [1] * LENGTH], atol=1e-5)
    if lacking:
        assert not splits[0][missing, :LENGTH].any()
        assert sum((dense[:, LENGTH] == 1).sum() for dense in splits) == vectors.count(None)
    for at, kind in enumerate(KINDS[1 : 4 - lacking]):
        for found, wanted in zip(stored(vectors, kind, tmp_path / f"{at}")[1], splits, strict=True):
            np.testing.assert_array_equal(found, wanted)
