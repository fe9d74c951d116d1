"""The real pip client against an index that is a folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bench.data.download import FetchError, download_package
from bench.data.sources import PackageSource


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageSource:
    """A source distribution whose setup.py must never run."""
    index = tmp_path / "index"
    index.mkdir()
    (tmp_path / "ran").mkdir()
    setup = f"open({str(tmp_path / 'ran' / 'it')!r}, 'w').close(); raise SystemExit(1)"
    path = index / "toy-data-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in {"setup.py": setup, "toy/data.csv": "a,b\n1,2\n"}.items():
            info = tarfile.TarInfo(f"toy-data-1.0/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return PackageSource(name="toy-data", version="1.0", sha256=sha, members={"a.csv": "toy/data.csv"})


def test_the_file_arrives_and_nothing_of_it_runs(tmp_path: Path, package: PackageSource, recorder: Any) -> None:
    path = download_package(package, tmp_path / "out", recorder)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["toy-data-1.0.tar.gz"]
    assert not list((tmp_path / "ran").iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "package toy-data 1.0: the package on the index has another sha256 than pinned"),
        ({"version": "2.0"}, "package toy-data 2.0: Could not find a version"),
        ({"name": "no-such-toy"}, "package no-such-toy 1.0: Could not find a version"),
    ],
)
def test_what_pip_refuses_is_one_line(
    tmp_path: Path, package: PackageSource, recorder: Any, change: dict[str, str], message: str
) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        download_package(package.model_copy(update=change), tmp_path / "out", recorder)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_an_unreachable_index_is_said_to_be_unreachable(
    tmp_path: Path, package: PackageSource, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(FetchError, match="no connection to the package index"):
        download_package(package, tmp_path / "out", recorder)
