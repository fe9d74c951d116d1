from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench.data import parse_card
from bench.data.assemble import Assembler, Rows
from bench.data.encoding.fitter import EncoderFitter
from bench.data.readers import base, read, read_sides
from bench.data.readers.base import RawTable
from bench.data.spill import LabelCounts
from bench.data.splits import CONFIRM, SPLITS, TEST, TRAIN, VALID
from bench.data.values import as_text
from bench.errors import UserError
from bench.production.scorer import RawRows
from bench.progress import Silent


@pytest.fixture(params=[7, 1 << 16], autouse=True)
def part_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PART", request.param)


def assembled(values: dict[str, Any], folder: Path) -> tuple[Rows, Assembler]:
    """All rows, and who took them."""
    card = parse_card(values, "here")
    paths = {file.name: (folder / file.name,) for file in card.files}
    assembler = Assembler(card, read_sides(card, paths, Silent()))
    parts = [assembler.take(part) for part in read(card, paths, Silent())]
    labels, group, split = (np.concatenate([getattr(p, n) for p in parts]) for n in ("labels", "group", "split"))
    weights = np.concatenate([p.weights for p in parts])
    whole = pa.concat_tables([p.table for p in parts]).unify_dictionaries()
    return Rows(whole, labels, group, split, weights), assembler


def rows(values: dict[str, Any], folder: Path) -> Rows:
    """All rows, their labels checked split by split."""
    found, assembler = assembled(values, folder)
    for number, name in enumerate(SPLITS):
        counts = LabelCounts(assembler.card)
        counts.add(found.labels[found.split == number], found.weights[found.split == number])
        counts.check(name, assembler.empty_reason())
    return found


def texts(table: Any, column: str) -> list[str | None]:
    text = as_text(table[column])
    return [None if code < 0 else text.values[code] for code in text.codes]


def test_only_needed_columns_stay(shop: dict[str, Any], shop_raw: Path) -> None:
    got = rows(shop, shop_raw)
    assert got.table.column_names == ["user", "price", "tags", "click", "buy"]
    assert got.labels[:7].tolist() == [[1, 1], [0, 0], [0, 0], [1, 0], [0, 0], [0, 0], [1, 1]]
    assert got.group[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_side_tables_join_by_key(shop: dict[str, Any], shop_raw: Path) -> None:
    (shop_raw / "users.csv").write_text("city,user,price\nRome,u1,9\nOslo,u0,9\nParis,u99,9\n")
    shop["files"].append({"name": "users.csv"})
    shop["reader"]["joins"] = [{"file": "users.csv", "on": "user"}]
    shop["columns"]["city"] = "categorical"
    got = rows(shop, shop_raw)
    frame = pd.read_csv(shop_raw / "log.csv").merge(pd.read_csv(shop_raw / "users.csv")[["city", "user"]], "left")
    assert texts(got.table, "city") == [None if pd.isna(city) else city for city in frame["city"]]
    assert got.table["price"].to_pylist()[1] == 0.5  # the log's own column, not the side table's


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("city,user\nRome,u1\nOslo,u1\n", "users.csv, line 3: key 'user' = u1 is there twice"),
        ("city,who\nRome,u1\n", "cannot join users.csv: users.csv have no column 'user'"),
        ("town,user\nRome,u1\n", "log.csv: unknown raw column 'city'"),
    ],
)
def test_side_tables_that_do_not_fit(shop: dict[str, Any], shop_raw: Path, side: str, message: str) -> None:
    (shop_raw / "users.csv").write_text(side)
    shop["files"].append({"name": "users.csv"})
    shop["reader"]["joins"] = [{"file": "users.csv", "on": "user"}]
    shop["columns"]["city"] = "categorical"
    with pytest.raises(UserError, match=message):
        rows(shop, shop_raw)


def test_duplicates_are_equal_in_every_column_of_the_file(shop: dict[str, Any], shop_raw: Path) -> None:
    path = shop_raw / "log.csv"
    header, *lines = path.read_text().splitlines()
    alike = lines[4].rsplit(",", 1)[0] + ",77"  # another weight, which is no input
    path.write_text("\n".join([header, *lines, lines[3], alike, lines[3], lines[0]]) + "\n")
    kept, assembler = assembled(shop, shop_raw)
    assert (kept.table.num_rows, assembler.duplicates) == (204, 0)
    shop["reader"]["drop_duplicates"] = True
    dropped, assembler = assembled(shop, shop_raw)
    assert (dropped.table.num_rows, assembler.duplicates) == (201, 3)
    frame = pd.read_csv(path).drop_duplicates()
    np.testing.assert_array_equal(dropped.labels, frame[["click", "buy"]].to_numpy(np.float32))
    assert texts(dropped.table, "user") == frame["user"].tolist()


def test_missing_values_do_not_make_rows_differ(shop: dict[str, Any], shop_raw: Path) -> None:
    with (shop_raw / "log.csv").open("a") as file:
        file.write("u0,,,1,1,20240101,\n" * 2)
    shop["reader"]["drop_duplicates"] = True
    assert assembled(shop, shop_raw)[1].duplicates == 1


def test_files_are_read_in_the_cards_order(shop: dict[str, Any], shop_raw: Path) -> None:
    text = (shop_raw / "log.csv").read_text()
    (shop_raw / "more.csv").write_text(text.replace("u", "v").replace("vser", "user").replace("bvy", "buy"))
    shop["files"].append({"name": "more.csv"})
    shop["split"] = {"kind": "files", "train": ["more.csv"], "test": ["log.csv"], "valid_fraction": 0.2}
    got = rows(shop, shop_raw)
    assert texts(got.table, "user")[198:202] == ["u8", "u9", "v0", "v1"]
    assert set(got.split[:200].tolist()) == {TEST}
    assert set(got.split[200:].tolist()) == {TRAIN, VALID, CONFIRM}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"age": "numeric"}}, "log.csv: unknown raw column 'age'"),
        ({"tasks": [{"name": "like", "column": "like"}]}, "log.csv: unknown raw column 'like'"),
        (
            {"tasks": [{"name": "day", "column": "day"}]},
            "log.csv, line 2: 'day', the label of task 'day': expected 0 or 1",
        ),
        ({"columns": {"user": "numeric"}}, "log.csv, line 2: 'user': expected a number, found 'u0'"),
        (
            {
                "time": "day",
                "split": {
                    "kind": "time",
                    "train": {"last": 20240105},
                    "valid": {"first": 20240106, "last": 20240107},
                    "test": {"first": 20240201},
                },
            },
            "shop: split 'test' is empty: 'day' runs from 20240101 to 20240110 in log.csv",
        ),
        (
            {
                "time": "day",
                "split": {
                    "kind": "time",
                    "train": {"last": "2023"},
                    "valid": {"first": "20240106", "last": "20240107"},
                    "test": {"first": "20240108"},
                },
            },
            "shop: split 'train' is empty",
        ),
        (
            {"tasks": [{"name": "click", "column": "click", "positive": ["2"]}]},
            "shop: task 'click' needs both classes in split 'train', but 0 of",
        ),
    ],
)
def test_data_that_does_not_fit_its_card_is_one_sentence(
    shop: dict[str, Any], shop_raw: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        rows(shop | change, shop_raw)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_optional_task_may_lack_a_class(shop: dict[str, Any], shop_raw: Path) -> None:
    shop["tasks"].append({"name": "rare", "column": "click", "positive": ["2"], "optional": True})
    assert (rows(shop, shop_raw).labels[:, 2] == 0).all()


class Counted:
    """An Arrow table that counts how often all its names are listed, which takes time for each column."""

    def __init__(self, table: Any) -> None:
        self.table, self.listed = table, 0

    def __getattr__(self, name: str) -> Any:
        self.listed += name == "column_names"
        return getattr(self.table, name)

    def __getitem__(self, name: str) -> Any:
        return self.table[name]


def test_names_are_not_listed_anew_for_each_column(shop: dict[str, Any]) -> None:
    columns = [f"c{number}" for number in range(40)]
    shop |= {"columns": dict.fromkeys(columns, "categorical"), "group": None}
    card = parse_card(shop, "here")
    names = [*columns, "click", "buy"]
    table = Counted(pa.table({name: ["0", "1"] for name in names}))
    rows = Assembler(card, ()).take(RawTable("log.csv", table, str))
    fitter, again = EncoderFitter(card), Counted(rows.table)
    fitter.take(again, rows.split == 0, rows.labels)
    encoder, raw = fitter.finish(), Counted(rows.table)
    encoder.encode(raw)
    asked = Counted(rows.table)
    RawRows(encoder).checked(asked, str)
    assert max(each.listed for each in (table, again, raw, asked)) <= 3
