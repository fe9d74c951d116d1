"""The shipped cards: sound by themselves, and on generated and real files in their exact raw format."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from raw_files import WRITERS

from bench.core.errors import UserError
from bench.data import load_card, prepare
from bench.data.checks import Rejects, Sieve, read_labels
from bench.data.readers import read
from bench.data.readers.base import whole
from bench.data.splits import TimeSplit
from bench.system import content
from bench.system.progress import Silent

NAMES = content.names("datasets")


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_card_is_sound_and_has_a_datasheet(name):
    card = load_card(name)
    assert card.id == card.key == name
    datasheet = content.find("datasets", name).with_name("README.md").read_text()
    for task in card.tasks:
        assert f"`{task.name}`" in datasheet or f"| {task.name}" in datasheet, task.name
    for variant in card.origin.variants:
        assert load_card(f"{name}@{variant}").key == f"{name}@{variant}"


def test_a_variant_changes_what_it_names():
    full, late = load_card("kuairand-pure"), load_card("kuairand-pure@late-window")
    assert late.key == "kuairand-pure@late-window"
    assert late.id == full.id
    assert isinstance(late.split, TimeSplit)
    assert late.split.test.first == 20220506
    assert late.columns == full.columns
    assert len(late.files) == len(full.files) - 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("census-incom", "unknown dataset 'census-incom' .did you mean 'census-income'"),
        ("kuairand-pure@late", "unknown variant of 'kuairand-pure' 'late'; known are by-day, late-window"),
        ("census-income@p=1", "'p' cannot be set: only generated data has parameters"),
        ("synthetic-relatedness@p=2", "reader.parameters: p: .*less than or equal to 1, found 2"),
        ("synthetic-relatedness@p=high", "expected parameter=number after '@', found 'p=high'"),
        ("nowhere/card.toml", "dataset file not found"),
        (__file__, "expected a card; `seesaw card FILE --label COLUMN` writes one"),
    ],
)
def test_a_wrong_name_is_one_sentence(name, message):
    with pytest.raises(UserError, match=message) as caught:
        load_card(name)
    assert "\n" not in str(caught.value)


SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "format-samples"


def made(name, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    WRITERS[name][0](raw, np.random.default_rng(0))
    return prepare(load_card(name), tmp_path / "home", raw)


@pytest.mark.parametrize("name", WRITERS)
def test_generated_files_are_prepared_whole(name, tmp_path):
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


def test_aliexpress_rows_meet_their_user_and_no_search_is_in_two_splits(tmp_path):
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
    train, valid, confirm = (set(store.split(name).group.tolist()) for name in ("train", "valid", "confirm"))
    assert not train & valid
    assert not (train | valid) & confirm


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples at hand")
def test_samples_of_real_rows_are_read(tmp_path):
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
