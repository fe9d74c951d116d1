"""Streamed preparation against the encoder that sees all of train at once."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import ali_ccp_line_by_line as twin
import numpy as np
import pyarrow as pa
import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import Store, load_card, parse_card, prepare, spill
from bench.data.columns import MultiValued
from bench.data.encoding.fitter import EncoderFitter
from bench.data.readers import blocks
from bench.data.splits import SPLITS
from bench.data.synthetic import synthesise
from bench.system import content

SIZE = {"rows": 12_000, "users": 150, "items": 400, "list_length": 15, "click_rate": 0.3, "buy_rate": 0.4}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ali") / "raw"
    synthesise("ali-ccp", out, SIZE | {"dirty_rate": 0.01})
    return out


@pytest.fixture(scope="module")
def store(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare(load_card("ali-ccp"), tmp_path_factory.mktemp("home"), raw)


def values() -> dict[str, Any]:
    return content.read_toml(content.find("datasets", "ali-ccp"))


def rows_of(raw: Path, name: str) -> list[Any]:
    """The line-by-line reader's rows."""
    slots = {raw_name.removesuffix(".value"): 1 for _, raw_name in load_card("ali-ccp").inputs} | dict.fromkeys(
        ("109_14", "110_14", "127_14", "150_14", "210", "853"), 5
    )
    return list(twin.rows(raw / f"sample_skeleton_{name}.csv", raw / f"common_features_{name}.csv", slots))


def table_of(rows: list[Any]) -> Any:
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


def labels_of(rows: list[Any]) -> Any:
    return np.array([[row.click, row.click * row.buy] for row in rows], np.float32).reshape(-1, 2)


@pytest.mark.slow
def test_streaming_gives_what_the_whole_table_gives(raw: Path, tmp_path: Path) -> None:
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
        split = store.split(name)  # type: ignore[arg-type]
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


def test_no_group_is_in_two_splits_and_a_purchase_without_a_click_is_none(raw: Path, store: Store) -> None:
    groups = [set(store.split(name).group.tolist()) for name in SPLITS]  # type: ignore[arg-type]
    assert all(groups)
    assert len(set.union(*groups)) == sum(map(len, groups))
    assert sum(split["rows"] for split in store.manifest["splits"].values()) == 12_000
    for name in SPLITS:
        split, facts = store.split(name), store.manifest["splits"][name]["tasks"]  # type: ignore[arg-type]
        assert (split.labels[:, 1] <= split.labels[:, 0]).all()
        assert facts["purchase"]["positives"] == split.labels[:, 1].sum()
        assert facts["click"]["rate"] == pytest.approx(split.labels[:, 0].mean())


def test_what_other_formats_can_do_it_can_too(raw: Path, tmp_path: Path) -> None:
    columns = {
        "item": {"kind": "numeric", "from": "205"},
        "hour": {"kind": "categorical", "from": "206", "derive": "hour_of_unix_s"},
        "met": {"kind": "categorical", "from": "508.value"},
        "user": {"kind": "categorical", "from": "101"},
        "same": {"kind": "numeric", "from": "101"},
    }
    reader = values()["reader"] | {"drop_duplicates": True, "missing": ["0.69315"]}
    split = {"kind": "hash", "column": "206", "valid": 0.3, "test": 0.2}
    change = {"columns": columns, "reader": reader, "split": split, "group": "101", "logged": ["210.value"]}
    store = prepare(parse_card(values() | change, "here"), tmp_path, raw)
    rows = [*rows_of(raw, "train"), *rows_of(raw, "test")]
    told = [(row.click, row.buy, row.ids["101"][0], row.ids["205"][0], row.ids["206"][0], row.sums.get("508"),
             row.sums.get("210")) for row in rows]  # fmt: skip
    assert store.manifest["duplicates_dropped"] == len(told) - len(set(told)) > 0
    assert sum(split["rows"] for split in store.manifest["splits"].values()) == len(set(told))
    held = {name: part.vocabulary.values for name, part in zip(("hour", "met"), store.encoder.fields, strict=False)}
    assert set(held["hour"]) <= {str(hour) for hour in range(24)}
    assert "0.69315" not in held["met"]
    assert "1.09861" in held["met"]
    assert store.logged == ("210.value",)


def test_blocks_and_packing_do_not_matter(
    raw: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 30_011)
    monkeypatch.setattr(spill, "CHUNK", 501)
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in raw.glob("*.csv"):
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    again = prepare(load_card("ali-ccp"), tmp_path / "home", packed)
    assert again.fingerprint == store.fingerprint
    ours, theirs = arrays(store), arrays(again)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name], name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"x": {"kind": "categorical", "from": "999"}}}, "unknown raw column '999'"),
        ({"columns": {"205": "categorical", "x": {"kind": "multi-valued", "from": "109_14"},
                      "y": {"kind": "categorical", "from": "109_14"}}},
         "sample_skeleton_train.csv: '109_14': expected texts or numbers, found a column of type list<"),
        ({"tasks": [{"name": "click", "column": "clicks"}]}, "unknown raw column 'clicks'"),
        ({"tasks": [{"name": "x", "column": "buy", "positive": ["7"]}]}, "needs both classes in split 'train', but 0"),
        ({"reader": {"kind": "ali-ccp", "common": {"a": "common_features_train.csv", "b": "common_features_test.csv"}}},
         "names no common file for 'sample_skeleton_train.csv'"),
    ],
)  # fmt: skip
def test_a_card_that_does_not_fit_the_format(raw: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        prepare(parse_card(values() | change, "here"), tmp_path, raw)
    assert message in str(caught.value)
    assert not list(tmp_path.rglob("*.npy"))


def test_two_pairs_of_train_are_one_cut_in_two(raw: Path, tmp_path: Path) -> None:
    stores = []
    for name, cuts in (("one", [["train", "test"]]), ("two", [["train"], ["test"]])):
        folder = tmp_path / name
        folder.mkdir()
        card, common = values(), dict[str, str]()
        for number, cut in enumerate([*cuts, ["test"]]):
            last = number == len(cuts)
            skeleton, shared = (f"{kind}_{'last' if last else number}" for kind in ("skeleton", "common"))
            for out, kind in ((skeleton, "sample_skeleton"), (shared, "common_features")):
                (folder / out).write_bytes(b"".join((raw / f"{kind}_{part}.csv").read_bytes() for part in cut))
            common[skeleton] = shared
        train = [name for name in common if name != "skeleton_last"]
        card["reader"]["common"] = common
        card["files"] = [{"name": name} for pair in common.items() for name in pair]
        card["split"] |= {"train": train, "test": ["skeleton_last"]}
        stores.append(arrays(prepare(parse_card(card, "here"), tmp_path / f"home {name}", folder)))
    assert stores[0] == stores[1]
