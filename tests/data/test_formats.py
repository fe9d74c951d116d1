"""One log, however it is packed and cut into files."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from data_toys import arrays

from bench.data import parse_card, prepare


def zstd(content):
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


@pytest.fixture
def plain(shop, shop_raw, tmp_path):
    return prepare(parse_card(shop, "here"), tmp_path / "plain", shop_raw)


def members(content):
    return gzip.compress(content[:999]) + gzip.compress(content[999:])


@pytest.mark.parametrize(("end", "pack"), [(".gz", members), (".zst", zstd), ("", zstd), ("", gzip.compress)])
def test_packing_is_seen_by_content(end, pack, plain, shop, shop_raw, tmp_path, recorder):
    content = (shop_raw / "log.csv").read_bytes()
    (shop_raw / "log.csv").unlink()
    path = shop_raw / f"log.csv{end}"
    path.write_bytes(pack(content))
    store = prepare(parse_card(shop, "here"), tmp_path / "packed", shop_raw, recorder)
    assert arrays(store) == arrays(plain)
    assert store.fingerprint == plain.fingerprint
    assert recorder.done[f"reading {path.name}"] == path.stat().st_size


def cut(raw, into):
    """The log in several files, each with its header."""
    header, *lines = (raw / "log.csv").read_text().splitlines()
    step = -(-len(lines) // len(into))
    for at, name in enumerate(into):
        text = "\n".join([header, *lines[at * step : (at + 1) * step]]) + "\n"
        pack = {".gz": gzip.compress, ".zst": zstd}.get(Path(name).suffix, bytes)
        (raw / name).write_bytes(pack(text.encode()))


def test_a_pattern_stands_for_all_files_that_match(plain, shop, shop_raw, tmp_path):
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
