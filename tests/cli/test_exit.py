from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from bench import cli
from bench.cli.options import answered
from bench.cli.output import Answer
from bench.core import plugins
from bench.core.plugins import PluginFile


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def app(**options: object) -> None:
        raise error

    monkeypatch.setattr("bench.cli.app.app", app)


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _raising(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "runs/a/study.jsonl"))
    assert cli.main([]) == 2
    assert capsys.readouterr().err == "seesaw: runs/a/study.jsonl: cannot be written: No space left on device\n"


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("odd")])
def test_what_nobody_expected_is_our_bug_and_shows_where(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _raising(monkeypatch, error)
    assert cli.main([]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("seesaw: this is a bug in seesaw, not your mistake\n")


def test_a_plug_in_may_be_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plugins, "_FILES", {PluginFile(str(tmp_path / "mine.py"), ""): ModuleType("mine")})
    _raising(monkeypatch, ValueError("odd"))
    assert cli.main([]) == 1
    assert "this is a bug in seesaw or the plug-in mine.py, not your mistake" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "said"), [(0, ""), (1, ""), (130, "seesaw: interrupted\n")])
def test_a_command_has_its_own_exit_code(
    code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.cli.app.app", lambda **options: code)
    assert cli.main([]) == code
    assert capsys.readouterr().err == said


def test_a_command_may_fail_after_its_document(capsys: pytest.CaptureFixture[str]) -> None:
    def command(json: bool) -> Answer:
        try:
            yield {"rows": 2}
        finally:
            raise typer.Exit(1)

    with pytest.raises(typer.Exit):
        answered(command)(json=True)
    assert capsys.readouterr().out == '{\n  "rows": 2\n}\n'


def test_closed_standard_streams_are_no_bug() -> None:
    command = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, "-m", "bench", "spaces"]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode == 0
