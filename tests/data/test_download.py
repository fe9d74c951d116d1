import hashlib
import io
import time
import zipfile

import pytest
from data_toys import tar_bytes

from bench.data import download as module
from bench.data.download import FetchError, download, download_package, extract
from bench.data.sources import PackageSource

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _shorter_waiting(monkeypatch):
    sleep = time.sleep
    monkeypatch.setattr(module.time, "sleep", lambda seconds: sleep(seconds / 10))


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_cut_connection_goes_on_where_it_stopped(tmp_path, server, recorder):
    server.files["/a"], server.etags["/a"] = CONTENT, '"1"'
    server.cuts = [300_000, 400_000]
    download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=300000-", "bytes=700000-"]


@pytest.mark.parametrize(
    ("part", "server_does", "digest", "asked"),
    [
        (CONTENT[:1000], {}, SHA, ["bytes=1000-"]),
        (b"old", {}, SHA, ["bytes=3-", None]),
        (CONTENT + b"more", {}, None, [f"bytes={len(CONTENT) + 4}-", None]),
        (CONTENT[:1000], {"ranges": False}, SHA, ["bytes=1000-"]),
        (b"old", {"etags": {"/a": '"2"'}}, None, ["bytes=3-"]),
        (CONTENT[:1000], {"most": 500_000}, None, [f"bytes={start}-" for start in (1000, 501_000, 1_001_000)]),
    ],
    ids=["goes on", "stale, no tag", "too long", "no ranges", "it changed", "ranges in pieces"],
)
def test_a_part_that_an_earlier_call_left_becomes_the_file(
    tmp_path, server, recorder, part, server_does, digest, asked
):
    server.files["/a"] = CONTENT
    vars(server).update(server_does)
    (tmp_path / "a.part").write_bytes(part)
    if server.etags:
        (tmp_path / "a.part.tag").write_text('"1"')
    download(f"{server.url}/a", tmp_path / "a", digest, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [given for _, given in server.requests] == asked


def test_a_file_that_is_not_there_is_asked_for_once(tmp_path, server, recorder):
    with pytest.raises(FetchError, match="/a: HTTP 404"):
        download(f"{server.url}/a", tmp_path / "a", None, recorder)
    assert len(server.requests) == 1
    assert left(tmp_path) == []


def test_a_server_in_trouble_is_asked_again(tmp_path, server, recorder):
    server.files["/a"], server.failures = CONTENT, [503, 500]
    download(f"{server.url}/a", tmp_path / "a", SHA, recorder)
    assert (tmp_path / "a").read_bytes() == CONTENT
    server.failures = [503] * 9
    with pytest.raises(FetchError, match="HTTP 503"):
        download(f"{server.url}/a", tmp_path / "b", SHA, recorder)


def zip_bytes(members):
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
def test_a_member_comes_out(tmp_path, content, member):
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    extract(archive, member, tmp_path / "out" / "a.csv")
    assert (tmp_path / "out" / "a.csv").read_bytes() == b"hello"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_bytes({"ba.csv": b""}), "expected a member 'a.csv', found none"),
        (tar_bytes({"a.csv": b"hello" * 99_999})[:300], "broken archive"),
    ],
    # by itself the content, in which a tar.gz has the second at which it was made: workers would not collect the same
    ids=["zip of another file", "half a tar.gz"],
)
def test_nothing_is_left_of_a_bad_archive(tmp_path, content, message):
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    with pytest.raises(FetchError, match=message):
        extract(archive, "a.csv", tmp_path / "out" / "a.csv")
    assert not list(tmp_path.glob("out/*"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A source distribution whose setup.py must never run."""
    index, path = tmp_path / "index", tmp_path / "index" / "toy-data-1.0.tar.gz"
    index.mkdir()
    (tmp_path / "ran").mkdir()
    setup = f"open({str(tmp_path / 'ran' / 'it')!r}, 'w').close(); raise SystemExit(1)"
    path.write_bytes(tar_bytes({"toy-data-1.0/setup.py": setup.encode(), "toy-data-1.0/toy/data.csv": b"a,b\n1,2\n"}))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return PackageSource(name="toy-data", version="1.0", sha256=sha, members={"a.csv": "toy/data.csv"})


def test_the_file_arrives_and_nothing_of_it_runs(tmp_path, package, recorder):
    path = download_package(package, tmp_path / "out", recorder)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["toy-data-1.0.tar.gz"]
    assert not list((tmp_path / "ran").iterdir())
