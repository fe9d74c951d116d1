"""What the command line shows: tables and prose at any width, progress, and a run that is
watched.
"""

import io
import re
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.app.cli import output
from bench.app.cli.output import _Terminal, watch
from bench.app.runs.folder import LIVE
from bench.app.runs.run_page import write_live
from bench.core.errors import UserError
from bench.core.system.lock import FolderLock, in_turn, is_held
from bench.core.system.progress import Work

HEADERS = ["trial", "architecture", "balancing", "valid/income.auc", "valid/never_married.auc"]
HEADERS += ["P(non-dominated)", "why[country=US]"]
ROWS = [
    [
        25,
        "shared_embeddings",
        "upgrad",
        0.95493,
        0.99485,
        0.91,
        "the best single-task model of each task is behind",
    ],
    [3, "ple+entire_space", "revised_uncertainty", None, 1234567, 0.5, "0.9549 (0.954 to 0.9556)"],
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(monkeypatch, width, do):
    stream = io.StringIO() if width is None else Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    # where there is no terminal it counts for nothing
    monkeypatch.setenv("COLUMNS", str(width or 80))
    do()
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def words_of(text):
    return set(re.sub(r"[│┃┏┓┡┩└┘━─╇┳┴]", " ", text).split())


@pytest.mark.parametrize("width", [None, 200, 120, 80, 60, 40])
def test_a_table_never_breaks_a_number_or_a_word(monkeypatch, width):
    title = "what came of a search on synthetic-funnel@rows=20000 with all of its columns"
    shown = printed(monkeypatch, width, lambda: output.print_table(HEADERS, ROWS, title))
    texts = [title, *HEADERS, *(output.number(value) for row in ROWS for value in row)]
    found = words_of(shown)
    for word in " ".join(texts).split():
        assert word in found, f"{word}\n{shown}"
    lines = shown.splitlines()
    if width is None:
        assert len(lines) == 7  # a title, a frame and two rows, each on one line
    else:
        assert max(map(len, lines)) <= width
        heads = [line for line in lines if line.startswith("┃") and "trial" in line]
        assert len(heads) > 1 or width >= 120  # each part has the first column
        assert sum("│    25 │" in line for line in lines) == len(heads)


def test_the_rate_is_of_what_is_done_now(monkeypatch, capsys):
    monkeypatch.setattr(output, "PLAIN_EVERY", 0.0)
    times = iter([100.0, 110.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(times))
    with output.TerminalProgress().task("search", 4800, "samples", done=3600) as advance:
        advance(200)
    assert capsys.readouterr().err == "search: 3,800 of 4,800 samples, 20 samples/s, 50 s left\n"


def test_what_follows_is_added_to_the_time_left_once_the_pace_is_known(monkeypatch, capsys):
    monkeypatch.setattr(output, "PLAIN_EVERY", 0.0)
    times = iter([0.0, 10.0, 20.0, 100.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(times))
    with output.TerminalProgress().show(
        Work("search", 1000, "samples", later=lambda: 30.0)
    ) as advance:
        for amount in (10, 90, 900):  # the first job compiles
            advance(amount)
    lines = capsys.readouterr().err.splitlines()
    assert "left" not in lines[0]
    assert lines[1].endswith(", 3 min 30 s left in all")
    assert lines[2].endswith(", 30 s left in all")
    progress = output.TerminalProgress()
    progress.console = Console(file=io.StringIO(), force_terminal=True, width=140)
    monkeypatch.undo()
    with progress.show(Work("confirming", 4, "replicates", later=lambda: 3600.0)) as advance:
        advance(4)
    assert "1 h 00 min left in all" in progress.console.file.getvalue()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(output, "PAUSE", 0.0)


def test_what_changed_is_shown_and_how_it_ended(quick, capsys):
    looks = iter(["a", "a", "b", "b", "c"])
    going = iter([True, True, True, True, False])
    watch(lambda: next(looks), print, lambda: next(going))
    assert capsys.readouterr().out == "a\nb\nc\n"


def test_on_a_terminal_it_stays_in_one_place_and_the_cursor_is_there_after_ctrl_c(
    quick, monkeypatch
):
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
    return SimpleNamespace(
        folder=tmp_path, datasets={}, name="a", go_on="seesaw run a", home=tmp_path
    )


def test_a_live_page_says_what_is_trained_and_ends_with_the_run(begun):
    search = {
        "rungs": [{"samples": 100, "trials": 7}, {"samples": 400, "trials": 2}],
        "left": 80.0,
        "ended": "",
    }
    search["begun"] = [{"trial": 9, "sharing": "mmoe", "to": 400, "since": 0.0}]
    found = {"shop": {"completed": 2, "replicates": 0, "search": search}}
    page = begun.folder / LIVE
    with FolderLock(begun.folder):
        write_live(begun, found)
        told = page.read_text()
        assert 'name="again" content="5"' in told
        assert (
            "shop: 7 trials have a result, 2 of them at full length; 0 replicates are trained"
            in told
        )
        assert "about 1 min 20 s left. Now it trains trial 9 (MMoE)." in told
        write_live(begun, {"shop": {"search": {}}})
        assert "nothing is trained yet" in page.read_text()
    write_live(begun, found)
    assert "`" not in page.read_text().split("<body>")[1].split("<script")[0]
    assert "which has not ended; <code>seesaw run" in page.read_text()
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


def test_a_lock_that_is_a_link_overwrites_nothing(tmp_path):
    mine, folder = tmp_path / "mine", tmp_path / "run"
    mine.write_text("precious")
    folder.mkdir()
    (folder / "driver.lock").symlink_to(mine)
    with pytest.raises(UserError, match=r"driver\.lock: expected a file of its own, found a link"):
        FolderLock(folder)
    assert mine.read_text() == "precious"
    absent = tmp_path / "absent"
    (folder / "fetch.lock").symlink_to(absent)
    with pytest.raises(UserError, match="found a link"), in_turn(folder / "fetch.lock"):
        pass
    assert not absent.exists()


def test_a_notebook_shows_the_last_note_and_how_far_the_work_is(monkeypatch):
    shown = []
    display = SimpleNamespace(update=lambda data, raw: shown.append(data["text/plain"]))
    monkeypatch.setitem(
        sys.modules, "IPython.display", SimpleNamespace(display=lambda *given, **options: display)
    )
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    monkeypatch.setattr(output, "PLAIN_EVERY", 0.0)
    progress = output.NotebookProgress()
    progress.note("reading")
    with progress.task("search", 100, "samples") as advance:
        advance(1)
    progress.note("done")
    assert shown[0] == "reading"
    assert shown[1].startswith("reading\nsearch: 1 of 100 samples, ")
    assert shown[2] == "done"
