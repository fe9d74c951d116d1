"""`on_bad_row = "drop"`: what is left out, what is counted, and what is still a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.checks import Rejects, Sieve, check_times
from bench.data.readers import base

BAD = {
    "columns": [b"u1,2.5,a,1", b"u1,2.5,a,1,0,20240101,1,9"],
    "number": [b"u1,old,a,1,0,20240101,1", b"u1,1_0,a,1,0,20240101,1"],
    "label": [b"u1,1,a,maybe,0,20240101,1"],
    "bytes": [b"u\xff,1,a,1,0,20240101,1"],
}


@pytest.fixture(params=[7, 1 << 16], autouse=True)
def part_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PART", request.param)


def spoil(path: Path, bad: list[bytes]) -> None:
    """Puts a bad line after every 20th, from line 41 on."""
    lines = path.read_bytes().splitlines()
    for at, line in enumerate(bad):
        lines.insert(40 + 20 * at, line)
    path.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize("reason", [*BAD, "all"])
def test_what_is_left_is_what_was_good(
    reason: str, shop: dict[str, Any], shop_raw: Path, tmp_path: Path, recorder: Any
) -> None:
    clean = prepare(parse_card(shop, "here"), tmp_path / "clean", shop_raw)
    bad = [line for lines in BAD.values() for line in lines] if reason == "all" else BAD[reason]
    spoil(shop_raw / "log.csv", bad)
    with pytest.raises(UserError, match=r"log\.csv, line \d+"):
        prepare(parse_card(shop, "here"), tmp_path / "strict", shop_raw)
    shop["reader"] |= {"on_bad_row": "drop", "bad_row_limit": 0.05}
    store = prepare(parse_card(shop, "here"), tmp_path / "kept", shop_raw, recorder)
    assert arrays(store) == arrays(clean)
    counts = {name: len(lines) for name, lines in BAD.items() if reason in (name, "all")}
    assert store.manifest["bad_rows"] == counts
    assert store.manifest["first_bad_row"].startswith(f"{shop_raw / 'log.csv'}, line 41: expected 7 columns, found 4"
                                                      if reason in ("columns", "all") else f"{shop_raw}")  # fmt: skip
    (note,) = recorder.notes
    assert note.startswith(f"shop: dropped {len(bad)} bad rows (")
    assert note.endswith(store.manifest["first_bad_row"])


def test_places_count_the_lines_that_were_skipped(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    spoil(shop_raw / "log.csv", [*BAD["columns"], b"", BAD["label"][0]])
    shop["reader"] |= {"on_bad_row": "drop", "bad_row_limit": 0.001}
    lines = (shop_raw / "log.csv").read_bytes().splitlines()
    (shop_raw / "log.csv").write_bytes(b"\n".join(line for line in lines if line != BAD["columns"][0]) + b"\n")
    with pytest.raises(UserError) as caught:
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert str(caught.value) == (
        "shop: 2 of 202 rows are bad, more than bad_row_limit = 0.001 allows; the first: "
        f"{shop_raw / 'log.csv'}, line 60: expected 7 columns, found 8"
    )
    shop["reader"]["bad_row_limit"] = 0.5
    (shop_raw / "log.csv").write_bytes((shop_raw / "log.csv").read_bytes().replace(BAD["columns"][1] + b"\n", b""))
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert ", line 99: 'click', the label of task 'click'" in store.manifest["first_bad_row"]


def test_a_row_that_is_bad_twice_counts_once(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    spoil(shop_raw / "log.csv", [b"u\xff,old,a,maybe,7,20240101,1"])
    shop["reader"] |= {"on_bad_row": "drop", "bad_row_limit": 0.01}
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert store.manifest["bad_rows"] == {"bytes": 1}


def test_bad_rows_are_no_duplicates(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    spoil(shop_raw / "log.csv", BAD["label"] * 3)
    shop["reader"] |= {"on_bad_row": "drop", "bad_row_limit": 0.1, "drop_duplicates": True}
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert (store.manifest["bad_rows"], store.manifest["duplicates_dropped"]) == ({"label": 3}, 0)


def test_parquet_has_bad_labels_and_numbers_too(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(shop_raw / "log.csv", dtype=str)
    frame.loc[5, "price"], frame.loc[9, "click"] = "dear", "2"
    frame.to_parquet(shop_raw / "log.parquet")
    shop |= {"reader": {"kind": "parquet"}, "files": [{"name": "log.parquet"}]}
    with pytest.raises(UserError, match=r"log\.parquet, row 6: 'price': expected a number, found 'dear'"):
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    shop["reader"] |= {"on_bad_row": "drop", "bad_row_limit": 0.01}
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert store.manifest["bad_rows"] == {"number": 1, "label": 1}
    assert sum(split["rows"] for split in store.manifest["splits"].values()) == 198


def test_side_tables_must_be_clean(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    (shop_raw / "users.csv").write_text("city,user\nRome,u1,3\n")
    shop["files"].append({"name": "users.csv"})
    joins = [{"file": "users.csv", "on": "user"}]
    shop["reader"] |= {"on_bad_row": "drop", "bad_row_limit": 1.0, "joins": joins}
    with pytest.raises(UserError, match=r"users\.csv, line 2: expected 2 columns, found 3"):
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)


@pytest.mark.parametrize(
    ("end", "good", "bad"),
    [
        ("2024-03-01T10:00:00+02:00", ["2024-02-01 10:00Z", "2024-03-01T08:00:00.5-05:30"], ["2024-03-01T10:00:00"]),
        ("2024-03-01 10:00", ["2024-03-01 10:00:59"], ["2024-03-01 10:00Z"]),
        ("2024-03-01", ["2024-03-01T10:00:00+02:00", "2024-03-01T10:00"], ["2024-03-01T25:00+02:00", "1/3/2024"]),
        ("2024-03-01", [], ["0001-01-01T00:00:00+02:00", "9999-12-31T23:00:00-02:00"]),
    ],
)
def test_times_are_spelled_as_the_ends_of_the_split_or_with_another_offset(
    end: str, good: list[str], bad: list[str]
) -> None:
    sieve = Sieve(Rejects(drop=True), lambda row: f"row {row}", len(good) + len(bad))
    check_times(pa.array([*good, *bad]), "ts", [end], (), sieve)
    assert sieve.bad.tolist() == [False] * len(good) + [True] * len(bad)
    assert sieve.rejects.first == f"row {len(good)}: 'ts': expected a time such as '{end}', found '{bad[0]}'"
