"""Watching a run: a block for each change, one place on a terminal, and an end."""

import os
import pty
import select
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench.cli import output as module
from bench.cli.output import watch
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


@pytest.mark.slow
def test_on_a_terminal_it_stays_in_one_place_and_ctrl_c_ends_it(tmp_path):
    """A run that a driver works on, which here is the test: the command itself, on a terminal of its own."""
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    code = (
        "import sys; from bench.runs import folder, status; from types import SimpleNamespace as N\n"
        "from pathlib import Path\n"
        f"run = N(folder=Path({str(folder)!r}), datasets={{'shop': None}})\n"
        "folder.Run.open = classmethod(lambda *_: run)\n"
        "status.status_of = lambda run: dict(completed=3, failures=[], left_out={}, search={})\n"
        "from bench.cli import main; sys.exit(main(['status', 'a', '--watch']))\n"
    )
    ours, theirs = pty.openpty()
    with FolderLock(folder):
        child = subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = b""
        while b"completed" not in seen:
            assert select.select([ours], [], [], 60)[0], seen
            seen += os.read(ours, 4096)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    while select.select([ours], [], [], 0)[0]:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # what a terminal that nobody writes to any more says on Linux
            break
    os.close(ours)
    assert b"interrupted" in seen
    assert b"\x1b[?25h" in seen  # the cursor is shown again
    assert b"Traceback" not in seen
