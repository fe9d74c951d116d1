from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import UserError
from bench.data import parse_card
from bench.data.fetch import at_hand, digest, fetch, in_raw


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tar(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as pack:
        for name, content in members.items():
            info = tarfile.TarInfo(f"top/{name}")
            info.size = len(content)
            pack.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def two(shop: dict[str, Any], server: Any) -> dict[str, Any]:
    """A card of two pinned files, in an archive at the first source and singly at the second."""
    server.files["/all.tgz"] = tar(log=b"log", side=b"side")
    server.files["/log.gz"] = gzip.compress(b"log")
    server.files["/side"] = b"side"
    shop["files"] = [{"name": "log.csv", "sha256": sha(b"log")}, {"name": "side.csv", "sha256": sha(b"side")}]
    shop["sources"] = [
        {"kind": "url", "url": f"{server.url}/all.tgz", "members": {"log.csv": "log", "side.csv": "side"}},
        {"kind": "url", "urls": {"log.csv": f"{server.url}/log.gz", "side.csv": f"{server.url}/side"}},
    ]
    return shop


def contents(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home / "raw")) for path in (home / "raw").rglob("*") if path.is_file())


def test_the_first_source_that_delivers_is_enough(
    tmp_path: Path, two: dict[str, Any], server: Any, recorder: Any
) -> None:
    card = parse_card(two, "here")
    paths = fetch(card, tmp_path, recorder)
    assert {name: path.read_bytes() for name, (path,) in paths.items()} == {"log.csv": b"log", "side.csv": b"side"}
    assert contents(tmp_path) == ["digests.json", "shop/log.csv", "shop/side.csv"]
    assert [path for path, _ in server.requests] == ["/all.tgz"]
    assert recorder.notes == []
    assert fetch(card, tmp_path, recorder) == paths
    assert len(server.requests) == 1


def test_the_next_source_is_tried_and_may_be_packed(
    tmp_path: Path, two: dict[str, Any], server: Any, recorder: Any
) -> None:
    del server.files["/all.tgz"]
    paths = fetch(parse_card(two, "here"), tmp_path, recorder)
    assert paths["log.csv"][0].name == "log.csv.gz"
    assert len(recorder.notes) == 1
    assert "HTTP 404" in recorder.notes[0]
    assert recorder.notes[0].endswith("trying the next source")


def test_other_bytes_than_pinned_count_as_nothing(
    tmp_path: Path, two: dict[str, Any], server: Any, recorder: Any
) -> None:
    server.files["/all.tgz"] = tar(log=b"forged", side=b"side")
    paths = fetch(parse_card(two, "here"), tmp_path, recorder)
    assert gzip.decompress(paths["log.csv"][0].read_bytes()) == b"log"
    assert f"log.csv: expected sha256 {sha(b'log')}, found {sha(b'forged')}" in recorder.notes[0]


def test_an_archives_own_pin_is_checked(tmp_path: Path, two: dict[str, Any], server: Any, recorder: Any) -> None:
    two["sources"] = [two["sources"][0] | {"sha256": "0" * 64}]
    with pytest.raises(UserError, match=f"expected sha256 {'0' * 64}"):
        fetch(parse_card(two, "here"), tmp_path, recorder)


def test_a_damaged_file_under_the_home_is_fetched_again(
    tmp_path: Path, two: dict[str, Any], server: Any, recorder: Any
) -> None:
    card = parse_card(two, "here")
    fetch(card, tmp_path, recorder)["log.csv"][0].write_bytes(b"rotten")
    assert fetch(card, tmp_path, recorder)["log.csv"][0].read_bytes() == b"log"


def test_a_broken_gzip_counts_as_nothing(tmp_path: Path, two: dict[str, Any], server: Any, recorder: Any) -> None:
    two["sources"].reverse()
    server.files["/log.gz"] = gzip.compress(b"log" * 1000)[:-10]
    paths = fetch(parse_card(two, "here"), tmp_path, recorder)
    assert paths["log.csv"][0].read_bytes() == b"log"
    assert "broken gzip file" in recorder.notes[0]


def test_pinned_files_are_shared_between_cards(tmp_path: Path, two: dict[str, Any], server: Any, recorder: Any) -> None:
    fetch(parse_card(two, "here"), tmp_path, recorder)
    fetch(parse_card(two | {"id": "other"}, "here"), tmp_path, recorder)
    assert len(server.requests) == 1


def test_raw_files_may_be_packed_whatever_the_card_says(tmp_path: Path, two: dict[str, Any], recorder: Any) -> None:
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(b"log"))
    (tmp_path / "side.csv").write_bytes(gzip.compress(b"side"))
    paths = at_hand(parse_card(two, "here"), tmp_path / "home", tmp_path, recorder)
    assert {name: path.name for name, (path,) in paths.items()} == {"log.csv": "log.csv.gz", "side.csv": "side.csv"}
    assert recorder.notes == []


def test_raw_files_may_lie_in_folders_by_card(tmp_path: Path, two: dict[str, Any]) -> None:
    card, raw = parse_card(two, "here"), tmp_path / "raw"
    (raw / "other").mkdir(parents=True)
    for folder in (raw / "other", raw / "shop"):  # that of another card, then its own
        folder.mkdir(exist_ok=True)
        (folder / "log.csv").write_bytes(b"log")
        (folder / "side.csv").write_bytes(b"side")
        assert in_raw(card, raw)["log.csv"] == (folder / "log.csv",)
    (raw / "shop" / "log.csv").unlink()
    two["files"][0].pop("sha256")
    with pytest.raises(UserError, match=r"but log\.csv is not there"):  # what others hold is unknown
        in_raw(parse_card(two, "here"), raw)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, recorder: Any) -> None:
    path, home = tmp_path / "a", tmp_path / "home"
    path.write_bytes(b"hello")
    first = digest(path, home, recorder)
    recorder.done.clear()
    assert digest(path, home, recorder) == first
    assert not recorder.done
    path.write_bytes(b"other")
    os.utime(path, ns=(1, 1))
    assert digest(path, home, recorder) != first


def test_a_broken_memory_is_made_anew(tmp_path: Path, recorder: Any) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "digests.json").write_text("{")
    assert digest(tmp_path / "a", tmp_path, recorder).size == 5
