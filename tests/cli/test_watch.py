"""Watching a run: a block for each change, one place on a terminal, and an end."""

import sys
from types import SimpleNamespace

import pytest

from bench.cli import output as module
from bench.cli.output import _Terminal, watch
from bench.runs.folder import LIVE
from bench.runs.page import write_live
from bench.system.lock import FolderLock, is_held


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.0)


def test_what_changed_is_shown_and_how_it_ended(quick, capsys):
    looks = iter(["a", "a", "b", "b", "c"])
    going = iter([True, True, True, True, False])
    watch(lambda: next(looks), print, lambda: next(going))
    assert capsys.readouterr().out == "a\nb\nc\n"


def test_on_a_terminal_it_stays_in_one_place_and_the_cursor_is_there_after_ctrl_c(quick, monkeypatch):
    looks = iter(["first", "second"])

    def look():
        if not (found := next(looks, None)):
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(sys, "stdout", terminal := _Terminal())
    with pytest.raises(KeyboardInterrupt):
        watch(look, print, lambda: True)
    shown = terminal.getvalue()
    assert 0 <= shown.find("first") < shown.find("second")
    assert shown.rindex("\x1b[?25h") > shown.index("second")


@pytest.fixture
def begun(tmp_path):
    return SimpleNamespace(folder=tmp_path, datasets={}, name="a", home=tmp_path)


def test_a_live_page_says_what_is_trained_and_ends_with_the_run(begun):
    search = {"rungs": [{"samples": 100, "trials": 7}, {"samples": 400, "trials": 2}], "left": 80.0, "ended": ""}
    search["begun"] = [{"trial": 9, "sharing": "mmoe", "to": 400, "since": 0.0}]
    found = {"shop": {"completed": 2, "replicates": 0, "search": search}}
    page = begun.folder / LIVE
    with FolderLock(begun.folder):
        write_live(begun, found)
        told = page.read_text()
        assert 'name="again" content="5"' in told
        assert "shop: 7 trials have a result, 2 of them at full length; 0 replicates are trained" in told
        assert "about 1 min 20 s left. Now it trains trial 9 (MMoE)." in told
        write_live(begun, {"shop": {"search": {}}})
        assert "nothing is trained yet" in page.read_text()
    write_live(begun, found)
    assert "`" not in page.read_text().split("<body>")[1].split("<script")[0]
    assert "which has not ended; <code>seesaw resume" in page.read_text()
    write_live(begun, {"shop": found["shop"] | {"search": search | {"left": 0.0}}})
    assert 'name="again" content' not in page.read_text()
    assert '<p class="live">' not in page.read_text()


def test_a_held_lock_is_seen_and_not_taken(tmp_path):
    assert not is_held(tmp_path)
    with FolderLock(tmp_path):
        assert is_held(tmp_path)
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    FolderLock(tmp_path).release()
