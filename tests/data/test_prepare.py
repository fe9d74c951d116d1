import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import parse_card, prepare


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
