"""The shipped cards on generated files in their exact raw format, and on samples of the real ones where at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from raw_files import WRITERS, aliexpress

from bench.core.errors import UserError
from bench.data import Store, load_card, prepare

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "format-samples"


def made(name: str, tmp_path: Path) -> Store:
    raw = tmp_path / "raw"
    raw.mkdir()
    WRITERS[name][0](raw, np.random.default_rng(0))
    return prepare(load_card(name), tmp_path / "home", raw)


@pytest.mark.parametrize("name", WRITERS)
def test_generated_files_are_prepared_whole(name: str, tmp_path: Path) -> None:
    store = made(name, tmp_path)
    rows = sum(split["rows"] for split in store.manifest["splits"].values())
    if WRITERS[name][1] is not None:
        assert rows == WRITERS[name][1]
    else:
        items = [pd.read_csv(path, header=None) for path in sorted((tmp_path / "raw").glob("*_item_*.csv"))]
        assert rows == sum(int((table[0] != 99_999).sum()) for table in items)
    for task, parent in enumerate(store.schema.parents):
        labels = store.split("train").labels
        binary = store.schema.tasks[task].kind == "binary"
        assert parent is None or not binary or (labels[:, task] <= labels[:, parent]).all()


def test_aliexpress_rows_meet_their_user_and_no_search_is_in_two_splits(tmp_path: Path) -> None:
    store = made("aliexpress-nl", tmp_path)
    item = pd.read_csv(tmp_path / "raw" / "NL_item_test.csv", header=None)
    user = pd.read_csv(tmp_path / "raw" / "NL_user_test.csv", header=None)
    both = item.merge(user, on=0, suffixes=("_item", "_user"))
    assert len(both) == store.manifest["splits"]["test"]["rows"]
    test = store.split("test")
    np.testing.assert_array_equal(test.labels[:, 0], both["48"] >= 1 if "48" in both else both[48] >= 1)
    first_number = test.dense[:, list(store.schema.dense).index("numerical_1")]
    user_9 = both["8_user"].to_numpy()  # user_9 is the first numeric one
    assert np.corrcoef(first_number, user_9)[0, 1] > 0.999
    train, valid, confirm = (set(store.split(name).group.tolist()) for name in ("train", "valid", "confirm"))  # type: ignore[arg-type]
    assert not train & valid
    assert not (train | valid) & confirm


def test_a_pair_whose_user_is_there_twice_says_where(tmp_path: Path) -> None:
    aliexpress("NL", tmp_path, np.random.default_rng(0))
    path = tmp_path / "NL_user_train.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match=r"NL_user_train\.csv, line 101: key 'search_id' = 1 is there twice"):
        prepare(load_card("aliexpress-nl"), tmp_path / "home", tmp_path)


def test_movielens_100k_joins_tables_of_another_separator(tmp_path: Path) -> None:
    store = made("movielens-100k", tmp_path)
    cards = {field.name: field.cardinality for field in store.schema.fields}
    assert cards["occupation"] == cards["genre_action"] == 2  # one value each, and the row of unknown ones
    with (tmp_path / "raw" / "u.item").open("a") as file:
        file.write("11::Title\n")
    with pytest.raises(UserError, match=r"u\.item, line 11: expected 24 columns, found 1"):
        prepare(load_card("movielens-100k"), tmp_path / "home", tmp_path / "raw")


def test_ali_ccps_position_is_an_input_of_its_variant_alone() -> None:
    """It is unknown when ranking."""
    card, variant = load_card("ali-ccp"), load_card("ali-ccp@position")
    assert "301" in card.post_exposure
    assert "301" not in card.raw_columns
    more = {name: column for name, column in variant.columns.items() if name not in card.columns}
    assert {name: column.source for name, column in more.items()} == {"position": "301"}
    assert {name: variant.columns[name] for name in card.columns} == card.columns


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples at hand")
def test_samples_of_real_rows_are_read(tmp_path: Path) -> None:
    from bench.data.checks import Rejects, Sieve, read_labels
    from bench.data.readers import read
    from bench.data.readers.base import whole
    from bench.system.progress import Silent

    for name, sample, rows in (
        ("byterec", "byterec_sample.txt", 200),
        ("aliexpress-nl@processed", "aliexpress_train_sample.csv", 100),
    ):
        card = load_card(name)
        paths = {file.name: [SAMPLES / sample] for file in card.files}
        parts = read(card, paths, Silent())
        table = whole(part for part in parts if part.file == card.row_files[0])
        assert table.table.num_rows == rows
        assert set(card.raw_columns) == set(table.table.column_names)
        sieve = Sieve(Rejects(), table.place, rows)
        assert np.isin(read_labels(table.table, card.task_rules, card.missing, sieve), (0, 1)).all()
