"""Inputs that are vectors: lists of numbers of one length."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import card_of

from bench.core.errors import UserError
from bench.data import prepare
from bench.data.shape import shape_of
from bench.production.scorer import RawRows, example_rows

ROWS, LENGTH = 300, 4
COLUMNS = {"v": {"kind": "vector", "length": LENGTH}, "n": "numeric"}


def card(columns=COLUMNS, **reader):
    return card_of(reader={"kind": "parquet", **reader}, files=[{"name": "log.parquet"}], columns=columns)


def table(kind=None, lacking=True):
    rng = np.random.default_rng(0)
    vectors = rng.normal([0, 5, -3, 100], [1, 2, 0.1, 30], (ROWS, LENGTH)).astype(np.float32)
    rows = [None if lacking and at % 7 == 0 else vector.tolist() for at, vector in enumerate(vectors)]
    return pa.table({"v": pa.array(rows, kind or pa.list_(pa.float32())), "n": range(ROWS), "click": [0, 1, 1] * 100})


def stored(data, folder, **reader):
    folder.mkdir()
    pq.write_table(data, folder / "log.parquet", row_group_size=70)
    return prepare(card(**reader), folder / "home", folder)


@pytest.mark.parametrize("lacking", [True, False])
def test_each_number_is_standardised_by_train(lacking, tmp_path):
    data = table(lacking=lacking)
    store = stored(data, tmp_path / "one")
    names = [f"v_{at}" for at in range(LENGTH)] + ["v_missing"] * lacking
    assert store.schema.dense == (*names, "n")
    assert [field.name for field in store.schema.fields] == ["n_bucket"]
    assert shape_of(card()).dense == (*names[:LENGTH], "n")
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


def test_another_length_is_named_or_dropped(tmp_path):
    data = table()
    rows = data["v"].to_pylist()
    rows[100] = [1.0]
    data = data.set_column(0, "v", pa.array(rows, pa.list_(pa.float32())))
    where = "log.parquet, row 101: 'v': expected a vector of 4 numbers, found 1"
    with pytest.raises(UserError, match=where):
        stored(data, tmp_path / "one")
    store = stored(data, tmp_path / "two", on_bad_row="drop", bad_row_limit=0.1)
    assert store.manifest["bad_rows"] == {"length": 1}
    assert store.manifest["first_bad_row"].endswith(where)
