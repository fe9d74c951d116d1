"""Bad data, one table: each corruption gives one sentence that says where, exit code 2, and an untouched store."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatch

import pytest
from corruptions import cards, disk, downloads, files, joins, lines, values
from corruptions.entry import Edit, Entry, Kept, Refused, matches
from corruptions.work import Files, Said, Work, arrays, run

TABLE: tuple[Entry, ...] = (
    *files.TABLE,
    *lines.TABLE,
    *values.TABLE,
    *cards.TABLE,
    *joins.TABLE,
    *downloads.TABLE,
    *disk.TABLE,
)


FIRST = {(entry.good, type(entry)): entry for entry in reversed(TABLE)}
"""One entry of each sort for each reader: after it the good data are prepared again, which must do nothing again.

The others take a tenth of a second each, which their number makes slow."""


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, id=entry.name, marks=() if entry in FIRST.values() else pytest.mark.slow) for entry in TABLE],
)
def test_a_corruption(entry: Entry, work_of: Callable[[str], Work]) -> None:
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


def assert_refused(entry: Refused, said: Said, work: Work) -> None:
    assert said.code == 2, said.err[-800:]
    assert said.out == ""
    assert said.err.endswith("\n")
    assert matches(f"seesaw: {entry.says}", said.err[:-1], work), said.err


def assert_kept(entry: Kept, said: Said, work: Work, inputs: Files) -> None:
    assert said.code == 0, said.err[-800:]
    assert matches(entry.says, said.err.rstrip("\n"), work), said.err
    found = json.loads(said.out)
    assert found["bad_rows"] == entry.counts
    work.restore(inputs)
    wanted = expected(entry.like, work)
    for name, content in arrays(work.folder / found["path"]).items():
        assert content == wanted[name] or not fnmatch(name, entry.equal), name


def expected(like: Edit, work: Work) -> Files:
    like(work)
    said = run([*work.prepare, "--json"])
    assert said.code == 0, said.err[-800:]
    return arrays(work.folder / json.loads(said.out)["path"])
