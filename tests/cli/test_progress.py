"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

import io

from rich.console import Console

from bench.cli import output
from bench.system.progress import Work


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
    with output.TerminalProgress().show(Work("search", 1000, "samples", later=lambda: 30.0)) as advance:
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
