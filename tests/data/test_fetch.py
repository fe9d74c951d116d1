import gzip
import hashlib

import pytest
from data_toys import tar_bytes

from bench.core.errors import UserError
from bench.data import parse_card
from bench.data.fetch import at_hand, fetch, in_raw


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def two(shop, server):
    """A card of two pinned files, in an archive at the first source and singly at the second."""
    server.files["/all.tgz"] = tar_bytes({"top/log": b"log", "top/side": b"side"})
    server.files["/log.gz"] = gzip.compress(b"log")
    server.files["/side"] = b"side"
    shop["files"] = [{"name": "log.csv", "sha256": sha(b"log")}, {"name": "side.csv", "sha256": sha(b"side")}]
    shop["sources"] = [
        {"kind": "url", "url": f"{server.url}/all.tgz", "members": {"log.csv": "log", "side.csv": "side"}},
        {"kind": "url", "urls": {"log.csv": f"{server.url}/log.gz", "side.csv": f"{server.url}/side"}},
    ]
    return shop


def contents(home):
    return sorted(str(path.relative_to(home / "raw")) for path in (home / "raw").rglob("*") if path.is_file())


def test_the_first_source_that_delivers_is_enough(tmp_path, two, server, recorder):
    card = parse_card(two, "here")
    paths = fetch(card, tmp_path, recorder)
    assert {name: path.read_bytes() for name, (path,) in paths.items()} == {"log.csv": b"log", "side.csv": b"side"}
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
        f"{tmp_path / 'log.csv'} differs from the published file; results will not compare with others'"
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
