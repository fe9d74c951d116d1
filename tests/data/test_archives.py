from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from bench.data import download
from bench.data.download import FetchError, extract


def tar_bytes(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_bytes(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        for name, content in members.items():
            pack.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "member"),
    [
        (tar_bytes({"top-1.0/data/a.csv": b"hello"}), "data/a.csv"),
        (tar_bytes({"a.csv": b"hello"}, "w"), "a.csv"),
        (zip_bytes({"x/a.csv": b"hello"}), "a.csv"),
        (zip_bytes({"in.tar.gz": tar_bytes({"./a.csv": b"hello"})}), "in.tar.gz::a.csv"),
    ],
    ids=["tar.gz", "tar", "zip", "tar.gz in a zip"],
)
def test_a_member_comes_out(tmp_path: Path, content: bytes, member: str) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    extract(archive, member, tmp_path / "out" / "a.csv")
    assert (tmp_path / "out" / "a.csv").read_bytes() == b"hello"


@pytest.mark.parametrize("packed", [zip_bytes, tar_bytes])
def test_no_member_is_read_whole(
    packed: Callable[[dict[str, bytes]], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
        def read(size: int = -1) -> bytes:
            asked.append(size)
            return source.read(size)

        shutil.copyfileobj(SimpleNamespace(read=read), target, length)

    monkeypatch.setattr(download, "shutil", SimpleNamespace(copyfileobj=copy))
    monkeypatch.setattr(download, "STEP", 64)
    content = bytes(range(256)) * 20
    archive = tmp_path / "archive"
    archive.write_bytes(zip_bytes({"two": packed({"one": zip_bytes({"a.csv": content})})}))
    extract(archive, "two::one::a.csv", tmp_path / "out" / "a.csv")
    assert (tmp_path / "out" / "a.csv").read_bytes() == content
    assert set(asked) == {64}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar_bytes({"b.csv": b""}), "expected a member 'a.csv', found none"),
        (zip_bytes({"ba.csv": b""}), "expected a member 'a.csv', found none"),
        (b"not an archive", "broken archive"),
        (tar_bytes({"a.csv": b"hello" * 99_999})[:300], "broken archive"),
    ],
    # by itself the content, in which a tar.gz has the second at which it was made: workers would not collect the same
    ids=["tar.gz of another file", "zip of another file", "no archive", "half a tar.gz"],
)
def test_nothing_is_left_of_a_bad_archive(tmp_path: Path, content: bytes, message: str) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    with pytest.raises(FetchError, match=message):
        extract(archive, "a.csv", tmp_path / "out" / "a.csv")
    assert not list(tmp_path.glob("out/*"))
