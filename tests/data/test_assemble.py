from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bench.core.errors import UserError
from bench.data import parse_card
from bench.data.assemble import Assembler, Rows
from bench.data.encoding.fitter import EncoderFitter
from bench.data.readers import base, read, read_sides
from bench.data.readers.base import RawTable
from bench.data.spill import LabelCounts
from bench.data.splits import SPLITS
from bench.production.scorer import RawRows
from bench.system.progress import Silent


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
        counts = LabelCounts(assembler.card.task_rules, assembler.card.key)
        counts.add(found.labels[found.split == number], found.weights[found.split == number])
        counts.check(name, assembler.empty_reason())
    return found


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
    shop["reader"]["drop_duplicates"] = True
    dropped, assembler = assembled(shop, shop_raw)
    assert (dropped.table.num_rows, assembler.duplicates) == (201, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"age": "numeric"}}, "log.csv: unknown raw column 'age'"),
        ({"columns": {"user": "numeric"}}, "log.csv, line 2: 'user': expected a number, found 'u0'"),
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
