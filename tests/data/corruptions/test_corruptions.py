"""Full disks and processes that are killed: one sentence, exit code 2, an untouched store, and
nothing half-written.
"""

import gzip
import hashlib
import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from corruptions.work import Work, room, run

from bench.core.system import content
from bench.data import download
from bench.data.synthetic import synthesise

FILES = 'files = [{ name = "log.csv" }]'
CARD = f"""
id = "shop"
title = "A shop"
licence = "none"
citation = "none"
homepage = "https://example.org"
group = "user"
reader = {{ kind = "csv" }}
{FILES}
tasks = [{{ name = "click", column = "click" }}, {{ name = "buy", column = "buy", parent = "click" }}]
split = {{ kind = "random", valid = 0.2, test = 0.2 }}
[encoding]
min_count = 2
[columns]
user = "categorical"
price = "numeric"
tags = "multi-valued"
"""
PARTS = ("raw/shop", "raw/shop/downloads", "raw/shop/downloads/*-log.csv.gz.part")
"""What a later call goes on from."""


def anew(work):
    """Another recipe, which makes the same arrays; a fetched file is gone, so that it is asked for
    again.
    """
    for path in work.home.glob("raw/shop/*"):
        path.unlink()
    work.card_edit("min_count = 2", "min_count = 2\nseed = 1")


def ali(work):
    size = {
        "rows": 2000,
        "users": 100,
        "items": 100,
        "list_length": 4,
        "click_rate": 0.3,
        "buy_rate": 0.4,
    }
    work.raw.rmdir()
    synthesise("ali-ccp", work.raw, size)
    card = content.find("datasets", "ali-ccp").read_text(encoding="utf-8")
    return card.replace("valid_fraction = 0.1", "valid_fraction = 0.4").replace(
        "min_count = 10", "min_count = 2"
    )


@pytest.fixture
def work_of(tmp_path, shop_raw, request):
    """A good data set, prepared, by name: a log, the same from a server, or a pair of Ali-CCP's
    files.
    """

    def get(name):
        work, log = Work(tmp_path / "work"), (shop_raw / "log.csv").read_bytes()
        work.raw.mkdir(parents=True)
        if name == "remote":
            work.server = request.getfixturevalue("server")
            work.server.files = {"/log.csv.gz": gzip.compress(log, mtime=0)}
            source = (
                'sources = [{ kind = "url", urls = { "log.csv" = '
                f'"{work.server.url}/log.csv.gz" }} }}]'
            )
            pinned = FILES.replace(" }", f', sha256 = "{hashlib.sha256(log).hexdigest()}" }}')
            work.card.write_text(CARD.replace(FILES, f"{pinned}\n{source}"))
        elif name == "ali":
            work.card.write_text(ali(work))
        else:
            (work.raw / "log.csv").write_bytes(log)
            work.card.write_text(CARD)
        output = run(work.prepare)
        assert output.code == 0, output.err
        return work

    return get


@pytest.mark.parametrize(
    ("good", "size", "where"),
    [
        ("log", 0, "store/shop/..."),
        ("log", 6_000, "store/shop/..."),
        ("ali", 200_000, "store/ali-ccp/..."),
        ("remote", 300, "raw/shop/downloads/..."),
    ],
)
def test_a_full_disk(good, size, where, work_of, monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    work = work_of(good)
    stores, card = work.stores(), work.card.read_text()
    anew(work)
    names = work.names()
    with room(work.home, size):
        output = run(work.prepare)
    assert (output.code, output.out) == (2, "")
    place = re.escape(f"{work.home}/{where}").replace(re.escape("..."), ".+")
    assert re.fullmatch(
        f"seesaw: {place}: cannot be written: No space left on device\n", output.err
    ), output.err
    assert work.stores() == stores
    partial_files = PARTS if good == "remote" else ()
    assert not [
        name
        for name in work.names() - names
        if not any(fnmatch(name, pattern) for pattern in partial_files)
    ]
    work.card.write_text(card)
    again = run([*work.prepare, "--json"])
    assert again.code == 0, again.err
    # the manifest says how long it took: nothing was done again
    assert stores.items() <= work.stores().items()


@pytest.mark.slow
@pytest.mark.parametrize("good", ["log", "ali", "remote"])
def test_killed_at_every_moment(good, work_of):
    work = work_of(good)
    anew(work)
    url = [work.server.url] if work.server else []
    command = [
        sys.executable,
        str(Path(__file__).with_name("killed.py")),
        str(work.folder),
        "1000",
        *url,
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    report = json.loads(output.stdout)
    assert report["wrong"] == []
    assert report["killed"] >= 20
