import numpy as np
import pandas as pd
import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.splits import SPLITS


def test_what_is_stored_is_what_was_read(shop, shop_raw, tmp_path):
    shop["split"] = {"kind": "time", "train": {"last": 20240106}, "valid": {"first": 20240107, "last": 20240108},
                     "test": {"first": 20240109}}  # fmt: skip
    shop["time"] = "day"
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    frame = pd.read_csv(shop_raw / "log.csv")
    train = frame[frame["day"] <= 20240106]
    users = {value: id_ for id_, value in enumerate(store.encoder.fields[0].vocabulary.values, 2)}
    valid = frame[frame["day"].between(20240107, 20240108)]
    second = valid["user"].str[1:].astype(int).isin(store.split("confirm").group)  # whole users
    parts = (train, valid[~second], valid[second], frame[frame["day"] > 20240108])
    for name, part in zip(SPLITS, parts, strict=True):
        split = store.split(name)
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
def test_what_is_left_out_is_said(end, shop, shop_raw, tmp_path, recorder):
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


def test_the_fingerprint_follows_content_not_prose(shop, shop_raw, tmp_path):
    def mark():
        return prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw).fingerprint

    first = mark()
    shop |= {"title": "Another", "citation": "x", "licence": "y", "homepage": "z"}
    assert mark() == first
    shop["columns"]["price"]["log1p"] = True
    second = mark()
    (shop_raw / "log.csv").write_text((shop_raw / "log.csv").read_text() + "u1,,,0,0,20240110,1\n")
    assert len({first, second, mark()}) == 3


def test_nothing_but_train_is_fitted_on(shop, shop_raw, tmp_path):
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


def test_a_store_outlives_its_raw_files(shop, shop_raw, tmp_path):
    card = parse_card(shop, "here")
    made = prepare(card, tmp_path / "home", shop_raw)
    assert prepare(card, tmp_path / "home").path == made.path
    shop["encoding"] = {"min_count": 3}
    with pytest.raises(UserError, match=r"could not get log\.csv"):
        prepare(parse_card(shop, "here"), tmp_path / "home")


def test_a_failure_while_writing_leaves_nothing_behind(shop, shop_raw, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("bench.data.arrays.ArrayWriter.append", full)
    with pytest.raises(OSError, match="no space"):
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert not list((tmp_path / "home" / "store" / "shop").iterdir())
