from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import load_card, parse_card, prepare
from bench.data.reachable import auc
from bench.data.splits import SPLITS


def test_what_is_stored_is_what_was_read(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    shop["split"] = {"kind": "time", "train": {"last": 20240106}, "valid": {"first": 20240107, "last": 20240108},
                     "test": {"first": 20240109}}  # fmt: skip
    shop["time"] = "day"
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    frame = pd.read_csv(shop_raw / "log.csv")
    train = frame[frame["day"] <= 20240106]
    users = {value: id_ for id_, value in enumerate(store.encoder.fields[0].vocabulary.values, 2)}  # type: ignore[union-attr]
    valid = frame[frame["day"].between(20240107, 20240108)]
    second = valid["user"].str[1:].astype(int).isin(store.split("confirm").group)  # whole users
    parts = (train, valid[~second], valid[second], frame[frame["day"] > 20240108])
    for name, part in zip(SPLITS, parts, strict=True):
        split = store.split(name)  # type: ignore[arg-type]
        np.testing.assert_array_equal(split.labels, part[["click", "buy"]])
        np.testing.assert_array_equal(split.ids[:, 0], part["user"].map(users))
        price = (part["price"] - train["price"].mean()) / train["price"].std(ddof=0)
        np.testing.assert_allclose(split.dense, np.stack([price.fillna(0), price.isna()], axis=1), atol=1e-5)
        np.testing.assert_array_equal(split.group, part["user"].str[1:].astype(int))
        counts = store.manifest["splits"][name]
        assert counts["rows"] == len(part)
        assert counts["tasks"]["click"] == {
            "observed": len(part),
            "positives": part["click"].sum(),
            "rate": pytest.approx(part["click"].mean()),
        }
    assert store.manifest["seconds"] > 0
    assert store.manifest["peak_memory_mb"] > 10


@pytest.mark.parametrize("end", [20240109, "20240109"])
def test_what_is_left_out_is_said(
    end: int | str, shop: dict[str, Any], shop_raw: Path, tmp_path: Path, recorder: Any
) -> None:
    valid = {"first": type(end)(20240107), "last": type(end)(20240108)}
    shop |= {"time": "day", "reader": {"kind": "csv", "drop_duplicates": True}}
    shop["split"] = {"kind": "time", "train": {"last": type(end)(20240106)}, "valid": valid,
                     "test": {"first": end, "last": end}}  # fmt: skip
    lines = (shop_raw / "log.csv").read_text().splitlines()
    lines[3:6] = [line.replace(",20240101,", ",,") for line in lines[3:6]]
    (shop_raw / "log.csv").write_text("\n".join([*lines, lines[7], lines[8], ""]))
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw, recorder)
    assert (store.manifest["duplicates_dropped"], store.manifest["outside_splits"]) == (2, 23)
    assert recorder.notes == [
        "shop: dropped 2 rows that are equal to an earlier one",
        "shop: left out 23 rows that fall into no split, 3 of them because 'day' is empty",
    ]


def test_one_odd_number_is_told_and_spoils_nothing(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path, recorder: Any
) -> None:
    shop["split"] = {"kind": "files", "train": ["log.csv"], "test": ["log2.csv"], "valid_fraction": 0.3}
    shop["files"].append({"name": "log2.csv"})
    text = (shop_raw / "log.csv").read_text()
    (shop_raw / "log2.csv").write_text(text)
    plain = prepare(parse_card(shop, "here"), tmp_path / "plain", shop_raw, recorder)
    assert recorder.notes == []
    (shop_raw / "log.csv").write_text(text.replace(",4.0,", ",1e300,"))
    (shop_raw / "log2.csv").write_text(text.replace(",4.0,", ",-1e300,"))
    store = prepare(parse_card(shop, "here"), tmp_path / "odd", shop_raw, recorder)
    assert len(recorder.notes) == 1
    assert recorder.notes[0].startswith("shop: 'price' has 1 values in train that are far from all others: ")
    for name in SPLITS:
        one, other = (np.array(each.split(name).dense) for each in (store, plain))  # type: ignore[arg-type]
        assert np.isfinite(one).all()
        assert (np.abs(one - other) > 0.1).sum() <= 1


def test_the_fingerprint_follows_content_not_prose(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    def mark() -> str:
        return prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw).fingerprint

    first = mark()
    shop |= {"title": "Another", "citation": "x", "licence": "y", "homepage": "z"}
    assert mark() == first
    shop["columns"]["price"]["log1p"] = True
    second = mark()
    (shop_raw / "log.csv").write_text((shop_raw / "log.csv").read_text() + "u1,,,0,0,20240110,1\n")
    assert len({first, second, mark()}) == 3


def test_nothing_but_train_is_fitted_on(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    """Other test rows, labels among them, change neither the encoder nor a bit of train."""
    shop["split"] = {"kind": "files", "train": ["log.csv"], "test": ["new.csv"], "valid_fraction": 0.3}
    shop["files"].append({"name": "new.csv"})
    shop["encoding"] = {"target_rates": ["user"]}
    text = (shop_raw / "log.csv").read_text()
    stores = []
    for number, new in enumerate((text, text.replace("\nu", "\nv").replace(",1,", ",0,", 20))):
        (shop_raw / "new.csv").write_text(new)
        stores.append(arrays(prepare(parse_card(shop, "here"), tmp_path / str(number), shop_raw)))
    for name in stores[0]:
        assert (stores[0][name] == stores[1][name]) == (not name.startswith("test/")), name


def test_a_store_outlives_its_raw_files(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    card = parse_card(shop, "here")
    made = prepare(card, tmp_path / "home", shop_raw)
    assert prepare(card, tmp_path / "home").path == made.path
    shop["encoding"] = {"min_count": 3}
    with pytest.raises(UserError, match=r"could not get log\.csv"):
        prepare(parse_card(shop, "here"), tmp_path / "home")


def test_a_store_of_other_files_than_pinned_does_not_stand_in(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path
) -> None:
    prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    shop["files"][0]["sha256"] = "0" * 64
    with pytest.raises(UserError, match=r"could not get log\.csv"):
        prepare(parse_card(shop, "here"), tmp_path / "home")


def test_a_failure_while_writing_leaves_nothing_behind(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("bench.data.arrays.ArrayWriter.append", full)
    with pytest.raises(OSError, match="no space"):
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert not list((tmp_path / "home" / "store" / "shop").iterdir())


def test_generated_data_needs_no_files_and_says_what_can_be_reached(tmp_path: Path) -> None:
    store = prepare(load_card("synthetic-funnel@rows=5000"), tmp_path)
    best = store.manifest["reachable"]
    assert set(best) == {f"{s}/{m}" for s in SPLITS for m in ("click.auc", "purchase.cvr.auc", "purchase.ctcvr.auc")}
    split = store.split("test")
    affinity = split.dense[:, store.schema.dense.index("affinity")]
    assert 0.5 < auc(split.labels[:, 0], affinity) < best["test/click.auc"] < 1
    assert not (tmp_path / "raw").exists()
    assert (split.labels[:, 1] <= split.labels[:, 0]).all()


def test_parameters_make_stores_of_their_own(tmp_path: Path) -> None:
    stores = [prepare(load_card(f"synthetic-relatedness@rows=500,d=3,seed={seed}"), tmp_path) for seed in (0, 1)]
    assert stores[0].path != stores[1].path
    assert stores[0].key == "synthetic-relatedness@d=3,rows=500,seed=0"
    assert stores[0].split("train").ids.shape[1] == 3  # ranges of numbers
    assert not np.array_equal(stores[0].split("train").labels[:50], stores[1].split("train").labels[:50])
    assert (
        json.loads((stores[0].path / "manifest.json").read_text())["splits"]["test"]["tasks"]["first"]["deviation"] > 0
    )


def test_a_misspelt_name_of_what_is_known_afterwards_is_refused(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path
) -> None:
    """The column that was meant is an input then."""
    (shop_raw / "more.csv").write_text((shop_raw / "log.csv").read_text().replace("weight", "bill", 1))
    shop["files"].append({"name": "more.csv"})
    shop["post_exposure"] = ["bills"]
    with pytest.raises(UserError, match=r"more\.csv: post_exposure: unknown raw column 'bills' .did you mean 'bill'"):
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert not list((tmp_path / "home").rglob("manifest.json"))
