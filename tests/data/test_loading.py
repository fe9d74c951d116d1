"""The shipped cards: sound by themselves, and on generated and real files in their exact raw
format.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from raw_files import WRITERS

from bench.core.errors import UserError
from bench.core.system import content
from bench.core.system.progress import Silent
from bench.data import load_card, prepare
from bench.data.checks import Rejects, Sieve, read_labels
from bench.data.reachable import auc
from bench.data.readers import read
from bench.data.readers.base import whole

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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("census-incom", "unknown dataset 'census-incom' .did you mean 'census-income'"),
        (
            "kuairand-pure@late",
            "unknown variant of 'kuairand-pure' 'late'; known are by-day, late-lists, late-window",
        ),
        ("census-income@p=1", "'p' cannot be set: only generated data has parameters"),
        ("synthetic-relatedness@p=2", "reader.parameters: p: .*less than or equal to 1, found 2"),
        ("synthetic-relatedness@p=high", "expected parameter=number after '@', found 'p=high'"),
        ("nowhere/card.toml", "dataset file not found"),
        (__file__, "expected a card; `seesaw data card FILE --label COLUMN` writes one"),
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
        items = [
            pd.read_csv(path, header=None)
            for path in sorted((tmp_path / "raw").glob("*_item_*.csv"))
        ]
        assert rows == sum(int((table[0] != 99_999).sum()) for table in items)
    for task, parent in enumerate(store.schema.parents):
        labels = store.split("train").labels
        binary = store.schema.tasks[task].kind == "binary"
        assert parent is None or not binary or (labels[:, task] <= labels[:, parent]).all()


def test_aliexpress_rows_meet_their_user_and_no_search_is_in_two_splits(tmp_path):
    store = made("aliexpress-nl", tmp_path)
    item = pd.read_csv(tmp_path / "raw" / "NL_item_test.csv", header=None)
    user = pd.read_csv(tmp_path / "raw" / "NL_user_test.csv", header=None)
    merged = item.merge(user, on=0, suffixes=("_item", "_user"))
    assert len(merged) == store.manifest["splits"]["test"]["rows"]
    test = store.split("test")
    np.testing.assert_array_equal(
        test.labels[:, 0], merged["48"] >= 1 if "48" in merged else merged[48] >= 1
    )
    first_number = test.dense[:, list(store.schema.dense).index("numerical_1")]
    user_9 = merged["8_user"].to_numpy()  # user_9 is the first numeric one
    assert np.corrcoef(first_number, user_9)[0, 1] > 0.999
    train, valid, confirm = (
        set(store.split(name).group.tolist()) for name in ("train", "valid", "confirm")
    )
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


@pytest.fixture(scope="module")
def census(census_raw, tmp_path_factory):
    return prepare(load_card("census-income"), tmp_path_factory.mktemp("home"), census_raw)


@pytest.fixture(scope="module")
def late_window(kuairand_raw, tmp_path_factory):
    return prepare(
        load_card("kuairand-pure@late-window"), tmp_path_factory.mktemp("home"), kuairand_raw
    )


def datasheet_counts(store):
    """Whether the datasheet has the rows of each split."""
    text = (
        Path(__file__).parents[2] / "datasets" / store.path.parent.name / "README.md"
    ).read_text(encoding="utf-8")
    return all(f"| {split['rows']:,} |" in text for split in store.manifest["splits"].values())


@pytest.mark.slow
def test_census_is_whole(census):
    splits = census.manifest["splits"]
    assert sum(splits[name]["rows"] for name in ("train", "valid", "confirm")) == 199_523
    assert splits["test"]["rows"] == 99_762
    assert datasheet_counts(census)
    positives = [
        splits[name]["tasks"]["income"]["positives"]
        for name in ("train", "valid", "confirm", "test")
    ]
    assert sum(positives[:3]) == 12_382
    assert positives[3] == 6_186
    never_married = [
        splits[name]["tasks"]["never_married"]["positives"]
        for name in ("train", "valid", "confirm")
    ]
    assert sum(never_married) == 86_485
    kinds = [field.name for field in census.schema.fields if not field.name.endswith("_bucket")]
    assert (len(kinds), len(census.schema.dense)) == (32, 7)
    cut = {
        field.name.removesuffix("_bucket"): field.cardinality
        for field in census.schema.fields
        if field.name not in kinds
    }
    assert set(cut) == set(census.schema.dense)
    assert cut["age"] > 80  # of 91: an age that one in a thousand has is a range of its own
    assert not {"marital_stat", "income_50k", "instance_weight"} & {*kinds, *census.schema.dense}


@pytest.mark.slow
def test_the_late_window_is_as_counted(late_window):
    splits = late_window.manifest["splits"]
    assert late_window.manifest["duplicates_dropped"] == 5_460
    assert sum(split["rows"] for split in splits.values()) == 228_329 - 5_460
    assert splits["valid"]["rows"] + splits["confirm"]["rows"] == 30_329
    assert [splits[name]["rows"] for name in ("train", "test")] == [150_055, 42_485]
    assert splits["train"]["tasks"]["click"]["rate"] == pytest.approx(0.451, abs=1e-3)


@pytest.mark.slow
def test_target_rates_of_train_promise_no_more_than_they_keep(late_window):
    """A leak would make a rate look far better on train than on the days after."""
    names = late_window.schema.dense
    for rate in ("user_id_click_rate", "video_id_click_rate", "author_id_click_rate"):
        train, test = (
            auc(split.labels[:, 0], split.dense[:, names.index(rate)].astype(np.float64))
            for split in (late_window.split("train"), late_window.split("test"))
        )
        assert 0.55 < test < 0.75
        assert abs(train - test) < 0.03, rate


@pytest.mark.slow
def test_hotel_bookings_are_as_counted_and_later_arrivals_are_test(hotel_raw, tmp_path):
    card = load_card("hotel-bookings")
    store = prepare(card, tmp_path, hotel_raw)
    assert store.manifest["duplicates_dropped"] == 31_994
    assert sum(split["rows"] for split in store.manifest["splits"].values()) == 119_390 - 31_994
    assert datasheet_counts(store)
    assert store.default_tasks == ("cancel", "request", "change", "parking")
    inputs = {raw for _, raw in card.inputs}
    labels = {raw for rule in card.task_rules for raw in rule.sources}
    assert not inputs & {*labels, *card.post_exposure, "arrival_date_year"}
