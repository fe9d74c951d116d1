import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.readers import base


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


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("city,user\nRome,u1\nOslo,u1\n", "users.csv, line 3: key 'user' = u1 is there twice"),
        ("city,who\nRome,u1\n", "cannot join users.csv: users.csv have no column 'user'"),
        ("town,user\nRome,u1\n", "log.csv: unknown raw column 'city'"),
    ],
)
def test_side_tables_that_do_not_fit(shop, shop_raw, tmp_path, monkeypatch, side, message):
    monkeypatch.setattr(base, "PART", 7)
    (shop_raw / "users.csv").write_text(side)
    shop["files"].append({"name": "users.csv"})
    shop["reader"]["joins"] = [{"file": "users.csv", "on": "user"}]
    shop["columns"]["city"] = "categorical"
    with pytest.raises(UserError, match=message):
        prepare(parse_card(shop, "here"), tmp_path, shop_raw)


AFTER = {"kind": "time", "train": {"last": 20240105}, "valid": {"first": 20240106}, "test": {"first": 20240201}}
AFTER["valid"] |= {"last": 20240110}
NEVER = {"name": "click", "column": "click", "where": {"price": {"last": -1}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"age": "numeric"}}, "log.csv: unknown raw column 'age'"),
        ({"columns": {"user": "numeric"}}, "log.csv, line 2: 'user': expected a number, found 'u0'"),
        ({"time": "day", "split": AFTER}, "split 'test' is empty: 'day' runs from 20240101 to 20240110 in log.csv"),
        ({"tasks": [NEVER]}, "'click' needs both classes in split 'train', but 0 of 0 are positive"),
    ],
)
def test_data_that_does_not_fit_its_card_is_one_sentence(shop, shop_raw, tmp_path, monkeypatch, change, message):
    monkeypatch.setattr(base, "PART", 7)
    with pytest.raises(UserError) as caught:
        prepare(parse_card(shop | change, "here"), tmp_path, shop_raw)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
