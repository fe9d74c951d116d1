from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from bench.data import download as module
from bench.data.download import FetchError, download

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_alone(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a.bin"] = CONTENT
    download(f"{server.url}/a.bin", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert left(tmp_path) == ["a"]
    assert recorder.done == {"fetching a.bin": len(CONTENT)}


def test_a_cut_connection_goes_on_where_it_stopped(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"], server.etags["/a"] = CONTENT, '"1"'
    server.cuts = [300_000, 400_000]
    download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=300000-", "bytes=700000-"]


def test_a_later_call_goes_on_too(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"] = CONTENT
    (tmp_path / "a.part").write_bytes(CONTENT[:1000])
    download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.requests == [("/a", "bytes=1000-")]


def test_a_part_that_is_whole_is_not_fetched_again(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"] = CONTENT
    (tmp_path / "a.part").write_bytes(CONTENT)
    download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_file_that_changed_is_begun_anew(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"], server.etags["/a"] = CONTENT, '"2"'
    (tmp_path / "a.part").write_bytes(b"old")
    (tmp_path / "a.part.tag").write_text('"1"')
    download(f"{server.url}/a", tmp_path / "a", None, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_stale_part_without_a_tag_is_caught_by_the_digest(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"] = CONTENT
    (tmp_path / "a.part").write_bytes(b"old")
    download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_begun_anew(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"] = CONTENT
    (tmp_path / "a.part").write_bytes(CONTENT + b"more")
    download(f"{server.url}/a", tmp_path / "a", None, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_of_it(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"], server.ranges = CONTENT, False
    (tmp_path / "a.part").write_bytes(CONTENT[:1000])
    download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_other_bytes_than_pinned_are_refused_and_removed(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"] = b"other"
    with pytest.raises(FetchError, match=f"expected sha256 {SHA}, found {hashlib.sha256(b'other').hexdigest()}"):
        download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.part").exists()


def test_a_file_that_is_not_there_is_asked_for_once(tmp_path: Path, server: Any, recorder: Any) -> None:
    with pytest.raises(FetchError, match="/a: HTTP 404"):
        download(f"{server.url}/a", tmp_path / "a", None, recorder)
    assert len(server.requests) == 1
    assert left(tmp_path) == []


def test_a_server_in_trouble_is_asked_again(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.files["/a"], server.failures = CONTENT, [503, 500]
    download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT
    server.failures = [503] * 9
    with pytest.raises(FetchError, match="HTTP 503"):
        download(f"{server.url}/a", tmp_path / "b", SHA, recorder)


def test_a_connection_that_keeps_breaking_is_given_up_and_kept_for_later(
    tmp_path: Path, server: Any, recorder: Any
) -> None:
    server.files["/a"], server.cuts = CONTENT, [1000] + [0] * 9
    with pytest.raises(FetchError, match=r"ended early|no connection"):
        download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a.part").stat().st_size == 1000
    assert not (tmp_path / "a").exists()


def test_no_server_at_all(tmp_path: Path, recorder: Any) -> None:
    with pytest.raises(FetchError, match="no connection: Connection refused"):
        download("http://127.0.0.1:9/a", tmp_path / "a", None, recorder)
    assert left(tmp_path) == []
