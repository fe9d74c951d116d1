import pytest

from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.readers import base


@pytest.fixture(params=[7, 1 << 16], autouse=True)
def part_size(request, monkeypatch):
    monkeypatch.setattr(base, "PART", request.param)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("city,user\nRome,u1\nOslo,u1\n", "users.csv, line 3: key 'user' = u1 is there twice"),
        ("city,who\nRome,u1\n", "cannot join users.csv: users.csv have no column 'user'"),
        ("town,user\nRome,u1\n", "log.csv: unknown raw column 'city'"),
    ],
)
def test_side_tables_that_do_not_fit(shop, shop_raw, tmp_path, side, message):
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
def test_data_that_does_not_fit_its_card_is_one_sentence(shop, shop_raw, tmp_path, change, message):
    with pytest.raises(UserError) as caught:
        prepare(parse_card(shop | change, "here"), tmp_path, shop_raw)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
