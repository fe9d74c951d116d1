"""Columns of lists: read as parquet holds them, as texts with a separator are."""

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


def rows(of, kind):
    rng = np.random.default_rng(0)
    lists = [[of(int(n)) for n in rng.integers(0, 9, rng.integers(0, 7))] for _ in range(400)]
    lists = [None if at % 17 == 0 else value for at, value in enumerate(lists)]
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
    texts = [value.decode() if isinstance(value, bytes) else str(value) for row in lists for value in row or ()]
    at = np.cumsum([0, *(len(row or ()) for row in lists)])
    joined = [None if row is None else "|".join(texts[at[i] : at[i + 1]]) for i, row in enumerate(lists)]
    one = stored(table, tmp_path / "lists")
    other = stored(table.set_column(0, "tags", pa.array(joined)), tmp_path / "texts", separator="|")
    assert one.manifest["duplicates_dropped"] <= other.manifest["duplicates_dropped"] <= 60
    first, second = (store.encoder.fields[0].model_dump(exclude={"separator"}) for store in (one, other))
    assert first == second
    for name in SPLITS:
        for array in one.arrays:
            found, wanted = (np.load(store.path / name / f"{array}.npy") for store in (one, other))
            np.testing.assert_array_equal(found, wanted)
    assert (one.split("train").ids[:, 2] > 0).any()
