"""Labels that become known later than their rows: what is still open does not count."""

import numpy as np
import pandas as pd
import pytest
import torch
from data_toys import LEAST

from bench.core.errors import UserError
from bench.core.plain import parse_toml
from bench.core.schema import Schema, Task
from bench.core.system.progress import Silent
from bench.data import parse_card, prepare
from bench.data.inspection.draft import CardRequest, draft_card
from bench.data.inspection.render import card_text
from bench.measure.spaces import joint_labels
from bench.models.funnels.links import Links
from bench.serve.backtest.cuts import card_of, times_of

DAYS, ROWS, RATE = 30, 800, 0.3
DAYS_OF = {
    "kind": "time",
    "train": {"last": "2024-03-16"},
    "valid": {"first": "2024-03-17", "last": "2024-03-19"},
}
CARD = LEAST | {
    "time": "date",
    "as_of": "2024-03-31",
    "reader": {"kind": "csv"},
    "files": [{"name": "log.csv"}],
    "tasks": [
        {"name": "click", "column": "click"},
        {"name": "buy", "column": "buy", "parent": "click", "matures": "7d"},
    ],
    "split": DAYS_OF | {"test": {"first": "2024-03-20"}},
    "columns": {"x": "numeric"},
}


def log(days=DAYS, rows_a_day=ROWS, seed=0):
    """Purchases are seen up to seven days after the click, in a log that was written after `days`
    days.
    """
    rng, frames, first = np.random.default_rng(seed), [], pd.Timestamp("2024-03-01")
    for day in range(days):
        date = first + pd.Timedelta(days=day)
        click = rng.random(rows_a_day) < 0.5
        buys, delay = click & (rng.random(rows_a_day) < RATE), rng.integers(0, 7, rows_a_day)
        seen = buys & (date + pd.to_timedelta(delay, "D") < first + pd.Timedelta(days=days))
        rows = {
            "date": str(date.date()),
            "x": rng.normal(size=rows_a_day),
            "click": click,
            "buy": seen,
        }
        known_on = (date + pd.to_timedelta(7, "D")).date()
        frames.append(
            pd.DataFrame(rows | {"known_on": str(known_on)}).astype({"click": int, "buy": int})
        )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("late")
    log().to_csv(folder / "log.csv", index=False)
    return folder


def labels(card, raw, home, split="test"):
    store = prepare(card, home, raw)
    return np.asarray(store.split(split).labels), store.schema


def test_open_labels_do_not_count_and_rates_are_right(raw, tmp_path):
    values, schema = labels(parse_card(CARD, "here"), raw, tmp_path)
    buys = values[values[:, 0] == 1, 1]
    assert np.nanmean(buys) == pytest.approx(RATE, rel=0.06)
    joint = joint_labels(values, schema)[:, 1]
    # rows without a click of open days do not count
    assert np.nanmean(joint) == pytest.approx(0.5 * RATE, rel=0.08)
    assert np.isnan(joint).mean() == pytest.approx(6 / 11, abs=0.02)
    assert not np.isnan(values[:, 0]).any()
    plain = CARD | {
        "tasks": [{k: v for k, v in task.items() if k != "matures"} for task in CARD["tasks"]]
    }
    early, _ = labels(parse_card(plain, "here"), raw, tmp_path)
    assert np.nanmean(early[early[:, 0] == 1, 1]) < 0.8 * RATE  # what it would be with open labels


def test_a_column_may_say_when_a_label_is_known(raw, tmp_path):
    tasks = [CARD["tasks"][0], CARD["tasks"][1] | {"matures": "known_on"}]
    values, _ = labels(parse_card(CARD | {"tasks": tasks}, "here"), raw, tmp_path)
    same, _ = labels(parse_card(CARD, "here"), raw, tmp_path)
    np.testing.assert_array_equal(values, same)


def test_before_a_cut_only_what_was_known_then_is_trained_on(raw, tmp_path):
    card = parse_card(CARD, "here")
    times = times_of(card, tmp_path, raw, None, Silent())
    cut = times.cuts(None, "1d")[2]
    values, _ = labels(card_of(times, cut), raw, tmp_path, "train")
    open_ = np.isnan(values[:, 1])
    # six of the seven days before 22 March
    assert open_.sum() == pytest.approx(0.9 * 6 * ROWS, rel=0.05)
    assert open_[: 10 * ROWS].sum() == 0


def test_models_and_measures_agree_on_what_is_known():
    tasks = (Task("view"), Task("click", parent="view"), Task("buy", parent="click", late=True))
    schema = Schema((), (), tasks)
    values = np.random.default_rng(0).choice([0.0, 1.0, np.nan], (500, 3))
    by_links = Links(schema).joint_labels(torch.from_numpy(values)).numpy()
    np.testing.assert_array_equal(by_links, joint_labels(values, schema))


def test_a_draft_says_where_positives_thin_out_and_not_where_they_do_not(raw, tmp_path):
    rows = pd.read_csv(raw / "log.csv").drop(columns="known_on")
    steady = (np.random.default_rng(0).random(len(rows)) < 0.05).astype(int)
    for name, frame, expected in (("late", rows, ["buy"]), ("steady", rows.assign(buy=steady), [])):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        request = CardRequest(
            files=(tmp_path / f"{name}.csv",), labels=("click", "buy"), time="date"
        )
        labels = draft_card(request, Silent()).labels
        assert [
            name
            for name, label in labels.items()
            if any("thin out" in note for note in label.notes)
        ] == expected


def test_a_draft_leaves_out_open_labels_and_judges_by_known_ones(raw, tmp_path):
    request = CardRequest(
        files=(raw / "log.csv",),
        labels=("click", "buy"),
        parents=("buy=click",),
        time="date",
        matures=("buy=7d",),
        folder=str(raw),
    )
    draft = draft_card(request, Silent())
    assert any(
        f"{7 * ROWS:,} of {DAYS * ROWS:,} labels are open" in note
        for note in draft.labels["buy"].notes
    )
    assert draft.split.table["test"]["last"] == "2024-03-23"
    card = parse_card(parse_toml(card_text(draft), "here"), "here", "", tmp_path)
    values, _ = labels(card, raw, tmp_path)
    assert not np.isnan(values).any()
    assert np.nanmean(values[values[:, 0] == 1, 1]) == pytest.approx(RATE, rel=0.1)
    assert draft.split.counts["test"].facts()["buy"]["positives"] == int(values[:, 1].sum())
    by_column = request.model_copy(update={"matures": ["buy=known_on"]})
    assert draft_card(by_column, Silent()).split.table == draft.split.table
    with pytest.raises(UserError, match="known at three times"):
        draft_card(request.model_copy(update={"matures": ["buy=4w"]}), Silent())
