"""Streamed preparation against the encoder that sees all of train at once."""

from typing import Any

import ali_ccp_line_by_line as twin
import numpy as np
import pyarrow as pa
import pytest

from bench.data import load_card, parse_card, prepare
from bench.data.columns.multi_valued import MultiValued
from bench.data.encoding.fitter import EncoderFitter
from bench.data.splits import SPLITS
from bench.data.synthetic import synthesise
from bench.system import content

SIZE = {"rows": 12_000, "users": 150, "items": 400, "list_length": 15, "click_rate": 0.3, "buy_rate": 0.4}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("ali") / "raw"
    synthesise("ali-ccp", out, SIZE | {"dirty_rate": 0.01})
    return out


@pytest.fixture(scope="module")
def store(raw, tmp_path_factory):
    return prepare(load_card("ali-ccp"), tmp_path_factory.mktemp("home"), raw)


def values():
    return content.read_toml(content.find("datasets", "ali-ccp"))


def rows_of(raw, name):
    """The line-by-line reader's rows."""
    slots = {raw_name.removesuffix(".value"): 1 for _, raw_name in load_card("ali-ccp").inputs} | dict.fromkeys(
        ("109_14", "110_14", "127_14", "150_14", "210", "853"), 5
    )
    return list(twin.rows(raw / f"sample_skeleton_{name}.csv", raw / f"common_features_{name}.csv", slots))


def table_of(rows):
    """Raw columns, as the encoder takes them: lists as text."""
    card, columns = load_card("ali-ccp"), {}
    for name, raw_name in card.inputs:
        field = raw_name.removesuffix(".value")
        if raw_name != field:
            columns[raw_name] = pa.array([row.sums.get(field) for row in rows], pa.float64())
            continue
        joined = [",".join(map(str, row.ids.get(field, []))) or None for row in rows]
        columns[raw_name] = pa.array(joined, pa.string())
        assert isinstance(card.columns[name], MultiValued) or "," not in "".join(filter(None, joined))
    return pa.table(columns)


def labels_of(rows):
    return np.array([[row.click, row.click * row.buy] for row in rows], np.float32).reshape(-1, 2)


@pytest.mark.slow
def test_streaming_gives_what_the_whole_table_gives(raw, tmp_path):
    more = {"encoding": {"min_count": 10, "target_rates": ["category", "age"]}}
    more["segments"] = {"age": {"column": "125"}, "item": {"known": "205"}}
    card, rows = parse_card(values() | more, "here"), rows_of(raw, "train")
    store = prepare(card, tmp_path, raw)
    # Rows keep their order within a split; which one a row is in follows from its index alone.
    number = {index: at for at, index in enumerate(dict.fromkeys(row.index for row in rows))}
    where = {group: name for name in SPLITS[:3] for group in store.split(name).group.tolist()}
    parts: dict[str, list[Any]] = {name: [] for name in SPLITS} | {"test": rows_of(raw, "test")}
    for row in rows:
        parts[where[number[row.index]]].append(row)
    fitter = EncoderFitter(card)
    kept = fitter.take(table_of(parts["train"]), np.ones(len(parts["train"]), bool), labels_of(parts["train"]))
    encoder = fitter.finish()
    assert store.encoder == encoder
    assert store.schema == encoder.schema_of(card.tasks, grouped=True)
    for name, part in parts.items():
        split = store.split(name)
        assert len(split) == len(part)
        ids, dense = fitter.encode(kept, 0) if name == "train" else encoder.encode(table_of(part))
        np.testing.assert_array_equal(split.ids, ids)
        np.testing.assert_array_equal(split.dense, dense)
        np.testing.assert_array_equal(split.labels, labels_of(part))
        if name != "test":
            np.testing.assert_array_equal(split.group, [number[row.index] for row in part])
        ages = [store.segments["age"].index(str(row.ids["125"][0])) if "125" in row.ids else -1 for row in part]
        np.testing.assert_array_equal(split.segments[:, 0], ages)
    assert store.manifest["schema"]["dense"][:2] == ["met_categories_weight", "met_categories_weight_missing"]
    assert (store.split("train").ids[:, 9:14] == 0).any()  # a short list is padded
    assert len(store.schema.numbers) == 8
    assert not [path for path in store.path.iterdir() if path.name.startswith("tmp")]


def test_no_group_is_in_two_splits_and_a_purchase_without_a_click_is_none(raw, store):
    groups = [set(store.split(name).group.tolist()) for name in SPLITS]
    assert all(groups)
    assert len(set.union(*groups)) == sum(map(len, groups))
    assert sum(split["rows"] for split in store.manifest["splits"].values()) == 12_000
    for name in SPLITS:
        split, facts = store.split(name), store.manifest["splits"][name]["tasks"]
        assert (split.labels[:, 1] <= split.labels[:, 0]).all()
        assert facts["purchase"]["positives"] == split.labels[:, 1].sum()
        assert facts["click"]["rate"] == pytest.approx(split.labels[:, 0].mean())
