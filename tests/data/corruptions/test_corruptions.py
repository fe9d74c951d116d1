"""Full disks and processes that are killed: one sentence, exit code 2, an untouched store, and nothing half-written."""

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from corruptions import goods, small_disk
from corruptions.work import Work, run

from bench.data import download


def anew(work):
    """Another recipe, which makes the same arrays."""
    work.card_edit("[columns]", "[encoding]\nseed = 1\n\n[columns]")


def ali_anew(work):
    work.card_edit("min_count = 2", "min_count = 2\nseed = 1")


def fetched_anew(work):
    """The fetched file is gone, and another recipe, which makes the same arrays, asks for it again."""
    for path in (work.home / "raw" / "shop").iterdir():
        path.unlink()
    work.card_edit('["spend"]', '["spend", "plan"]')


CHANGES = {"log": anew, "ali": ali_anew, goods.REMOTE: fetched_anew}
PARTS = ("raw/shop", "raw/shop/downloads", "raw/shop/downloads/*-log.csv.gz.part")
"""What a later call goes on from."""


@pytest.fixture
def work_of(tmp_path, request):
    """A good data set, prepared, by name."""

    def get(name):
        work = Work(tmp_path / "work")
        work.raw.mkdir(parents=True)
        if name == goods.REMOTE:
            work.server = request.getfixturevalue("server")
            work.card.write_text(goods.remote(work.server))
            goods.serve(work.server)
        else:
            work.card.write_text(goods.GOODS[name](work.raw))
        said = run(work.prepare)
        assert said.code == 0, said.err
        return work

    return get


@pytest.mark.parametrize(
    ("good", "size", "where"),
    [
        ("log", 0, "store/shop/..."),
        ("log", 6_000, "store/shop/..."),
        ("ali", 200_000, "store/ali-ccp/..."),
        (goods.REMOTE, 300, "raw/shop/downloads/..."),
    ],
)
def test_a_full_disk(good, size, where, work_of, monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    work = work_of(good)
    stores, card = work.stores(), work.card.read_text()
    CHANGES[good](work)
    names = work.names()
    with small_disk.room(work.home, size):
        said = run(work.prepare)
    assert (said.code, said.out) == (2, "")
    place = re.escape(f"{work.home}/{where}").replace(re.escape("..."), ".+")
    assert re.fullmatch(f"seesaw: {place}: cannot be written: No space left on device\n", said.err), said.err
    assert work.stores() == stores
    kept = PARTS if good == goods.REMOTE else ()
    assert not [name for name in work.names() - names if not any(fnmatch(name, pattern) for pattern in kept)]
    work.card.write_text(card)
    again = run([*work.prepare, "--json"])
    assert again.code == 0, again.err
    assert stores.items() <= work.stores().items()  # the manifest says how long it took: nothing was done again


@pytest.mark.slow
@pytest.mark.parametrize("good", CHANGES)
def test_killed_at_every_moment(good, work_of):
    work = work_of(good)
    CHANGES[good](work)
    url = [work.server.url] if work.server else []
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(work.folder), "1000", *url]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["wrong"] == []
    assert found["killed"] >= 20
