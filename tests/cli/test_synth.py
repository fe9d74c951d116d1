from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli import main


def test_synth_then_prepare_then_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, home = tmp_path / "raw", str(tmp_path / "home")
    arguments = ["synth", "ali-ccp", "--rows", "6000", "--out", str(raw), "--click-rate", "0.3", "--buy-rate", "0.4"]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == sum(path.stat().st_size for path in raw.iterdir())
    assert main(["prepare", "ali-ccp", "--raw", str(raw), "--home", home, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["test"]["rows"] == 3000
    command = ["train", "ali-ccp", "--raw", str(raw), "--home", home, "--set", "architecture=esmm", "--json"]
    assert main([*command, "--set", "optim.epochs=1", "--threads", "1"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert 0.3 < metrics["test/click.auc"] < 1
    assert main(arguments) == 2
    assert "expected a new or empty folder" in capsys.readouterr().err
