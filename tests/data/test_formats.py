"""One log, however it is packed and cut into files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from data_toys import arrays

from bench.core.errors import UserError
from bench.data import Store, parse_card, prepare
from bench.data.fetch import locate
from bench.data.readers.blocks import open_raw


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


@pytest.fixture
def plain(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> Store:
    return prepare(parse_card(shop, "here"), tmp_path / "plain", shop_raw)


@pytest.mark.parametrize(("end", "pack"), [(".gz", gzip.compress), (".zst", zstd), ("", zstd), ("", gzip.compress)])
def test_packing_is_seen_by_content(
    end: str, pack: Any, plain: Store, shop: dict[str, Any], shop_raw: Path, tmp_path: Path, recorder: Any
) -> None:
    content = (shop_raw / "log.csv").read_bytes()
    (shop_raw / "log.csv").unlink()
    path = shop_raw / f"log.csv{end}"
    path.write_bytes(pack(content))
    store = prepare(parse_card(shop, "here"), tmp_path / "packed", shop_raw, recorder)
    assert arrays(store) == arrays(plain)
    assert store.fingerprint == plain.fingerprint
    assert recorder.done[f"reading {path.name}"] == path.stat().st_size


def test_zstd_of_several_frames_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(zstd(b"one\n") + zstd(b"two\n" * 1_000_000))
    with open_raw(tmp_path / "a") as stream:
        assert stream.readline() == b"one\n"
        assert stream.read() == b"two\n" * 1_000_000


def cut(raw: Path, into: list[str]) -> None:
    """The log in several files, each with its header."""
    header, *lines = (raw / "log.csv").read_text().splitlines()
    step = -(-len(lines) // len(into))
    for at, name in enumerate(into):
        text = "\n".join([header, *lines[at * step : (at + 1) * step]]) + "\n"
        pack = {".gz": gzip.compress, ".zst": zstd}.get(Path(name).suffix, bytes)
        (raw / name).write_bytes(pack(text.encode()))


def test_a_pattern_stands_for_all_files_that_match(
    plain: Store, shop: dict[str, Any], shop_raw: Path, tmp_path: Path
) -> None:
    cut(shop_raw, ["part-1.csv", "part-10.csv.gz", "part-2.csv.zst"])  # sorted as texts
    (shop_raw / ".part-3.csv").write_text("nonsense")
    (shop_raw / "part-4.csv").mkdir()
    shop["files"] = [{"name": "part-*.csv"}]
    home = tmp_path / "home"
    store = prepare(parse_card(shop, "here"), home, shop_raw)
    assert arrays(store) == arrays(plain)
    assert [file["name"] for file in store.manifest["files"]] == ["part-1.csv", "part-10.csv", "part-2.csv"]
    assert prepare(parse_card(shop, "here"), home, shop_raw).path == store.path
    cut(shop_raw, ["part-9.csv"])
    grown = prepare(parse_card(shop, "here"), home, shop_raw)
    assert grown.fingerprint != store.fingerprint
    assert sum(split["rows"] for split in grown.manifest["splits"].values()) == 400
    (shop_raw / "part-9.csv").unlink()
    assert prepare(parse_card(shop, "here"), home, shop_raw).path == store.path


def test_splits_name_patterns(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    cut(shop_raw, ["train-1.csv", "train-2.csv", "test-1.csv", "test-2.csv"])
    shop["files"] = [{"name": "test-*.csv"}, {"name": "train-*.csv"}]
    shop["split"] = {"kind": "files", "train": ["train-*.csv"], "test": ["test-*.csv"], "valid_fraction": 0.5}
    splits = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw).manifest["splits"]
    assert splits["test"]["rows"] == sum(splits[name]["rows"] for name in ("train", "valid", "confirm")) == 100


def test_parquet_in_many_files(plain: Store, shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(shop_raw / "log.csv", dtype={"user": str, "tags": str})
    for at in range(4):
        frame.iloc[at * 50 : at * 50 + 50].to_parquet(shop_raw / f"{at}.parquet")
    shop |= {"reader": {"kind": "parquet"}, "files": [{"name": "?.parquet"}]}
    assert arrays(prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)) == arrays(plain)


def test_places_name_the_very_file(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    cut(shop_raw, ["part-1.csv", "part-2.csv"])
    with (shop_raw / "part-2.csv").open("a") as file:
        file.write("u1,1,a,7,0,20240101,1\n")
    shop["files"] = [{"name": "part-*.csv"}]
    with pytest.raises(UserError, match=r"part-2\.csv, line 102: 'click', the label"):
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)


def test_a_pattern_that_matches_nothing_is_one_sentence(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    shop["files"] = [{"name": "part-*.csv"}]
    with pytest.raises(UserError, match=r"expected part-\*\.csv, .* in .*raw, but part-\*\.csv matches no file$"):
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    with pytest.raises(UserError, match=r"shop: could not get part-\*\.csv"):
        prepare(parse_card(shop, "here"), tmp_path / "home")


def test_each_file_has_one_place(tmp_path: Path) -> None:
    for name in ("users.csv", "log-1.csv", "log-2.csv", "log-2.csv.gz", "train-1.csv"):
        (tmp_path / name).touch()
    names = ["*.csv", "users.csv"]
    found = locate(tmp_path, "*.csv", names)
    assert [path.name for path in found] == ["log-1.csv", "log-2.csv", "train-1.csv"]
    assert locate(tmp_path, "users.csv", names) == (tmp_path / "users.csv",)
    with pytest.raises(UserError, match=r"train-1\.csv matches both '\*\.csv' and 'train-\*\.csv'"):
        locate(tmp_path, "*.csv", ["*.csv", "train-*.csv"])
