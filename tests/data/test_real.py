"""The shipped cards on the real files, where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

from bench.data import load_card, prepare
from bench.data.reachable import auc


@pytest.fixture(scope="module")
def census(census_raw, tmp_path_factory):
    return prepare(load_card("census-income"), tmp_path_factory.mktemp("home"), census_raw)


@pytest.fixture(scope="module")
def late_window(kuairand_raw, tmp_path_factory):
    return prepare(load_card("kuairand-pure@late-window"), tmp_path_factory.mktemp("home"), kuairand_raw)


def datasheet_counts(store):
    """Whether the datasheet has the rows of each split."""
    text = (Path(__file__).parents[2] / "datasets" / store.path.parent.name / "README.md").read_text(encoding="utf-8")
    return all(f"| {split['rows']:,} |" in text for split in store.manifest["splits"].values())


@pytest.mark.slow
def test_census_is_whole(census):
    splits = census.manifest["splits"]
    assert sum(splits[name]["rows"] for name in ("train", "valid", "confirm")) == 199_523
    assert splits["test"]["rows"] == 99_762
    assert datasheet_counts(census)
    positives = [splits[name]["tasks"]["income"]["positives"] for name in ("train", "valid", "confirm", "test")]
    assert sum(positives[:3]) == 12_382
    assert positives[3] == 6_186
    never_married = [splits[name]["tasks"]["never_married"]["positives"] for name in ("train", "valid", "confirm")]
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
