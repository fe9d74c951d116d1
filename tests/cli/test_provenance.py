"""A pick says what remakes it, and that does."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from bench.cli import main


@pytest.mark.slow
def test_the_one_command_remakes_a_pick_bit_for_bit(seesaw, shop, tmp_path: Path, capsys) -> None:
    run = ("run", shop.suite, "--raw", shop.raw, "--name", "a", "--executor", "inline", "--trials", "3", "--seed", "4")
    assert seesaw(*run).code == 0
    folder = next((tmp_path / "home/runs/a").glob("*/provenance.json")).parent
    document = json.loads((folder / "provenance.json").read_text())
    store = json.loads((folder / "store.json").read_text())
    assert document["data"] == {"key": str(shop.card), "fingerprint": store["fingerprint"]}
    assert document["versions"]["torch"]
    assert document["search"].startswith("seesaw")
    picked = json.loads((folder / "picked.json").read_text())
    assert (document["trial"], document["config"]) == (picked["trial"], picked["config"])
    first, *_, last = document["trainings"]
    assert (first["replicate"], last["replicate"]) == (0, len(document["trainings"]) - 1)
    assert last["replicate"] >= 2
    for training in (first, last):
        capsys.readouterr()
        program, *arguments = shlex.split(training["command"])
        assert program == "seesaw"
        assert main([*arguments, "--json"]) == 0
        made = json.loads(capsys.readouterr().out)["metrics"]
        assert training["metrics"]
        assert {key: made[key] for key in training["metrics"]} == training["metrics"]
    assert document["command"] == document["trainings"][-1]["command"]
