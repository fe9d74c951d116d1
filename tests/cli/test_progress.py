"""Progress where there is no terminal: plain lines on stderr."""

from __future__ import annotations

import pytest

from bench.cli import output


@pytest.mark.parametrize(
    ("total", "shown"), [(None, "search: 1,200 samples, "), (4800, "search: 1,200 samples of 4,800")]
)
def test_a_line_names_the_unit_once(
    total: float | None, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "PLAIN_EVERY", 0.0)
    with output.TerminalProgress().task("search", total, "samples") as advance:
        advance(1200)
    line = capsys.readouterr().err
    assert line.startswith(shown)
    assert "samples samples" not in line
    assert line.rstrip().removesuffix(" left").count("samples/s") == 1


def test_the_rate_is_of_what_is_done_now(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "PLAIN_EVERY", 0.0)
    times = iter([100.0, 110.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(times))
    with output.TerminalProgress().task("search", 4800, "samples", done=3600) as advance:
        advance(200)
    assert capsys.readouterr().err == "search: 3,800 samples of 4,800 samples, 20 samples/s, 50 s left\n"
