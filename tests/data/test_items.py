"""Columns of items: what a store and kept predictions have of them."""

import numpy as np
import pandas as pd
import pytest
from data_toys import LEAST

from bench.core.rows import TEST
from bench.data import parse_card, prepare
from bench.measure.predictions import read_rows
from bench.training.kept import write_rows

ITEMS = {"items": {"author": "author_id"}, "item_numbers": {"age": "days"}}


def card(**values):
    least = {"files": [{"name": "log.csv"}], "reader": {"kind": "csv"}, "columns": {"x": {"kind": "numeric"}}}
    return parse_card(LEAST | least | {"logged": ["row"]} | values, "")


@pytest.fixture
def log(tmp_path):
    """600 rows that are told by their number; some lack an author or an age."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"row": np.arange(600), "x": rng.normal(size=600), "author_id": rng.choice(["ann", "bo", None], 600)}
    )
    frame = frame.assign(
        days=np.where(rng.random(600) < 0.2, np.nan, rng.exponential(9, 600)), click=np.arange(600) % 2
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    return frame


def test_rows_keep_their_items_though_no_input_reads_them(log, tmp_path):
    store = prepare(card(**ITEMS), tmp_path / "home", tmp_path)
    plain = prepare(card(), tmp_path / "home", tmp_path)
    assert store.fingerprint != plain.fingerprint
    assert plain.split("test").items is None
    write_rows(store, tmp_path / "kept")
    kept = read_rows(tmp_path / "kept", TEST)
    own = log.iloc[kept.logged["row"].astype(int)]
    np.testing.assert_array_equal(kept.items["age"], own["days"])
    np.testing.assert_array_equal(np.isnan(kept.items["author"]), own["author_id"].isna())
    pairs = {(code, name) for code, name in zip(kept.items["author"], own["author_id"], strict=True) if code == code}
    assert len(pairs) == 2
