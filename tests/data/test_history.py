"""What earlier rows say, against a loop over all pairs of rows."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from data_toys import card_of
from hypothesis import given
from hypothesis import strategies as st

from bench.data import history as module
from bench.data import prepare
from bench.data.history import GroupRows, HistoryConfig, Past, past
from bench.data.splits import SPLITS

CONFIG = HistoryConfig(
    actions=("click", "like"), lists=("item", "author"), same=("item", "author"), length=3
)


@st.composite
def tables(draw):
    n = draw(st.integers(0, 25))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    time = rng.integers(0, draw(st.integers(1, 12)), n).astype(np.float64)
    time[rng.random(n) < 0.1] = np.nan
    return GroupRows(
        rng.integers(-1, 3, n).astype(np.int32),
        time,
        rng.integers(0, 4, n).astype(np.int8),
        rng.integers(-1, 3, (n, 2)).astype(np.int32),
        rng.random((n, 2)) < 0.5,
    )


def one_by_one(rows, config, same_split):
    """The definition, row by row; of rows of other splits alone unless `same_split`."""
    results: list[dict[str, Any]] = []
    for i in range(len(rows.group)):
        earlier = [
            j
            for j in range(len(rows.group))
            if rows.group[j] == rows.group[i] >= 0
            and rows.split[j] < rows.split[i] + same_split
            and rows.time[j] < rows.time[i]
        ]
        earlier.sort(key=lambda j: (rows.time[j], j))
        values: dict[str, Any] = {}
        delay = config.label_delay
        labelled = [j for j in earlier if not delay or rows.time[j] <= rows.time[i] - delay]
        for a, action in enumerate(("seen", *config.actions)):
            did = [j for j in labelled if rows.acted[j, a - 1]] if a else earlier
            for c, input_name in [(None, ""), *enumerate(config.inputs)]:
                same = [j for j in did if c is None or rows.codes[j, c] == rows.codes[i, c] >= 0]
                name = f"past_{action}" + (f"_same_{input_name}" if input_name else "")
                values[name] = len(same)
                values[f"{name}_since"] = rows.time[i] - rows.time[same[-1]] if same else np.nan
                if input_name:
                    newest = [rows.codes[j, c] for j in did[::-1] if rows.codes[j, c] >= 0][
                        : config.length
                    ]
                    values[f"past_{action}_{input_name}"] = newest + [-1] * (
                        config.length - len(newest)
                    )
            values[f"past_{action}_rate"] = len(did) / len(labelled) if labelled else np.nan
        results.append(values)
    shape = (len(results), len(config.list_rules), config.length)
    lists = np.array(
        [[values[rule.name] for rule in config.list_rules] for values in results], np.int32
    ).reshape(shape)
    numbers = np.array(
        [[values[name] for name in config.numbers] for values in results], np.float64
    )
    return Past(lists, numbers.reshape(len(results), len(config.numbers)))


@given(tables(), st.integers(0, 8) | st.just(1e-300), st.booleans())
def test_the_past_is_what_a_loop_over_all_pairs_finds(rows, delay, same_split):
    config = CONFIG.model_copy(update={"label_delay": float(delay)})
    result, expected = past(rows, config, same_split), one_by_one(rows, config, same_split)
    np.testing.assert_array_equal(result.lists, expected.lists)
    np.testing.assert_array_equal(result.numbers, expected.numbers)


CARD = card_of(
    group="user",
    reader={"kind": "csv"},
    files=[{"name": "log.csv"}],
    split={
        "kind": "column",
        "column": "part",
        "train": ["train"],
        "valid": ["valid"],
        "test": ["test"],
    },
    history={"time": "at", "actions": ["click"], "lists": ["item"], "same": ["item"], "length": 4},
    columns={"user": "categorical", "item": {"kind": "categorical", "min_count": 1}},
)


def log(rows=800):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "user": [f"u{user}" for user in rng.integers(0, 30, rows)],
            "item": [f"i{item}" if item else "" for item in rng.integers(0, 9, rows)],
            "at": rng.integers(0, 40, rows),
            "click": rng.integers(0, 2, rows),
            "part": rng.choice(["train", "valid", "test"], rows, p=[0.6, 0.25, 0.15]),
        }
    )


def test_a_store_is_what_its_encoder_makes_of_rows_that_bring_their_history(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 100)  # several shares
    frame = log()
    frame.to_csv(tmp_path / "log.csv", index=False)
    store = prepare(CARD, tmp_path / "home", tmp_path)
    group = pd.factorize(frame["user"])[0]
    item = [int(text[1:]) if text else -1 for text in frame["item"]]
    confirm = (frame["part"] == "valid") & np.isin(group, store.split("confirm").group)
    split = np.select([frame["part"] == "train", confirm, frame["part"] == "valid"], [0, 2, 1], 3)
    # among rows of one time train's count as the older ones
    order = np.argsort(split, kind="stable")
    frame = frame.iloc[order]
    group = group[order]
    item = np.array(item, np.int32)[order]
    split = split[order]
    assert [len(store.split(name)) for name in SPLITS] == np.bincount(split, minlength=4).tolist()
    config = CARD.history
    clicked, times = frame[["click"]].to_numpy() == 1, frame["at"].to_numpy(float)
    rows = GroupRows(group.astype(np.int32), times, split.astype(np.int8), item[:, None], clicked)
    expected = past(rows, config)
    brought = {name: expected.numbers[:, place] for place, name in enumerate(config.numbers)}
    lists = [[f"i{code}" for code in codes if code >= 0] for codes in expected.lists[:, 0].tolist()]
    for column in (pa.array(lists), pa.array([",".join(values) for values in lists])):
        table = pa.table({**frame[["user", "item"]], **brought, "past_click_item": column})
        ids, dense = store.encoder.encode(table)
        for number, name in enumerate(SPLITS):
            np.testing.assert_array_equal(store.split(name).ids, ids[split == number])
            np.testing.assert_array_equal(store.split(name).dense, dense[split == number])
    train = store.split("train")
    for rule in config.number_rules:  # counts and times on a logarithmic scale, rates as they are
        values = brought[rule.name][split == 0]
        values = values if rule.kind == "rate" else np.log1p(values)
        present, stored = ~np.isnan(values), train.dense[:, store.schema.dense.index(rule.name)]
        assert np.corrcoef(values[present], stored[present])[0, 1] == pytest.approx(1, abs=1e-5)
    field = {field.name: field for field in store.schema.fields}["past_click_item"]
    assert (field.of, field.slots, field.cardinality) == (
        "item",
        4,
        store.schema.fields[1].cardinality,
    )
    leftovers = (module.TIMES, module.EVENTS, module.PAST)
    assert not [path for path in store.path.rglob("*") if path.name.startswith(leftovers)]
