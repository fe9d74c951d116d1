"""Inputs that are vectors: lists of numbers of one length."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import card_of

from bench.data import prepare
from bench.data.shape import shape_of
from bench.production.scorer import RawRows, example_rows

ROWS, LENGTH = 300, 4
COLUMNS = {"v": {"kind": "vector", "length": LENGTH}, "n": "numeric"}


CARD = card_of(reader={"kind": "parquet"}, files=[{"name": "log.parquet"}], columns=COLUMNS)


def table(kind=None, lacking=True):
    rng = np.random.default_rng(0)
    vectors = rng.normal([0, 5, -3, 100], [1, 2, 0.1, 30], (ROWS, LENGTH)).astype(np.float32)
    rows = [None if lacking and at % 7 == 0 else vector.tolist() for at, vector in enumerate(vectors)]
    return pa.table({"v": pa.array(rows, kind or pa.list_(pa.float32())), "n": range(ROWS), "click": [0, 1, 1] * 100})


def stored(data, folder):
    folder.mkdir()
    pq.write_table(data, folder / "log.parquet", row_group_size=70)
    return prepare(CARD, folder / "home", folder)


@pytest.mark.parametrize("lacking", [True, False])
def test_each_number_is_standardised_by_train(lacking, tmp_path):
    data = table(lacking=lacking)
    store = stored(data, tmp_path / "one")
    names = [f"v_{at}" for at in range(LENGTH)] + ["v_missing"] * lacking
    assert store.schema.dense == (*names, "n")
    assert [field.name for field in store.schema.fields] == ["n_bucket"]
    assert shape_of(CARD).dense == (*names[:LENGTH], "n")
    splits = {name: store.split(name) for name in ("train", "valid", "confirm", "test")}
    width = len(names)
    train = splits["train"].dense[:, :width]
    given = train[train[:, -1] == 0] if lacking else train
    np.testing.assert_allclose(given[:, :LENGTH].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(given[:, :LENGTH].std(axis=0), 1, atol=1e-5)
    if lacking:
        assert (train[train[:, -1] == 1][:, :LENGTH] == 0).all()
        rows = sum(int((split.dense[:, LENGTH] == 1).sum()) for split in splits.values())
        assert rows == data["v"].null_count
    again = [stored(table(kind, lacking), tmp_path / f"{at}") for at, kind in enumerate(KINDS[: 3 - lacking])]
    for name, split in splits.items():
        for other in again:
            np.testing.assert_array_equal(other.split(name).dense, split.dense)
    served = RawRows(store.encoder)
    wanted = store.encoder.encode(served.table(data))[1]
    for rows in (data.to_pylist(), data.to_pandas(), pd.DataFrame(data.to_pylist(), dtype=object)):
        np.testing.assert_array_equal(store.encoder.encode(served.table(rows))[1], wanted)
    example = store.encoder.encode(served.table(example_rows(store.encoder)))[1]
    np.testing.assert_allclose(example[:, :LENGTH], 0, atol=0.1)


KINDS = (pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), LENGTH))
