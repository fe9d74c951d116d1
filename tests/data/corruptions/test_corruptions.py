"""Bad data, one table: each corruption gives one sentence that says where, exit code 2, and an untouched store."""

import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from corruptions import goods, table
from corruptions.entry import Refused, matches
from corruptions.table import TABLE
from corruptions.work import arrays, run

FIRST = {(entry.good, type(entry)): entry for entry in reversed(TABLE)}
"""One entry of each sort for each reader: after it the good data are prepared again, which must do nothing again.

The others take a tenth of a second each, which their number makes slow."""


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, id=entry.name, marks=() if entry in FIRST.values() else pytest.mark.slow) for entry in TABLE],
)
def test_a_corruption(entry, work_of):
    work = work_of(entry.good)
    stores, inputs = work.stores(), work.inputs()
    entry.corrupt(work)
    names = work.names()
    if isinstance(entry, Refused):
        with entry.during(work):
            said = run(work.prepare)
        assert_refused(entry, said, work)
        assert work.stores() == stores
        new = work.names() - names
        assert not [name for name in new if not any(fnmatch(name, pattern) for pattern in entry.leaves)]
    else:
        said = run([*work.prepare, "--json"])
        assert_kept(entry, said, work, inputs)
        assert stores.items() <= work.stores().items()
    assert not [name for name in work.names() if name.startswith("store/") and ".part" in name]
    if entry not in FIRST.values():
        return
    work.restore(inputs)
    again = run([*work.prepare, "--json"])
    assert again.code == 0, again.err
    assert stores.items() <= work.stores().items()  # the manifest says how long it took: nothing was done again
    store = json.loads(again.out)["path"].removeprefix(f"{work.home}/store/")
    assert f"{store}/manifest.json" in stores


def assert_refused(entry, said, work):
    assert said.code == 2, said.err[-800:]
    assert said.out == ""
    assert said.err.endswith("\n")
    assert matches(f"seesaw: {entry.says}", said.err[:-1], work), said.err


def assert_kept(entry, said, work, inputs):
    assert said.code == 0, said.err[-800:]
    assert matches(entry.says, said.err.rstrip("\n"), work), said.err
    found = json.loads(said.out)
    assert found["bad_rows"] == entry.counts
    work.restore(inputs)
    wanted = expected(entry.like, work)
    for name, content in arrays(work.folder / found["path"]).items():
        assert content == wanted[name] or not fnmatch(name, entry.equal), name


def expected(like, work):
    like(work)
    said = run([*work.prepare, "--json"])
    assert said.code == 0, said.err[-800:]
    return arrays(work.folder / json.loads(said.out)["path"])


CASES = [("log", table.anew), ("ali", table.ali_anew), (goods.REMOTE, table.fetched_anew(lambda work: None))]


@pytest.mark.slow
@pytest.mark.parametrize(("good", "change"), CASES, ids=["log", "ali", "remote"])
def test_killed_at_every_moment(good, change, work_of):
    work = work_of(good)
    change(work)
    url = [work.server.url] if work.server else []
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(work.folder), "1000", *url]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["wrong"] == []
    assert found["killed"] >= 20
