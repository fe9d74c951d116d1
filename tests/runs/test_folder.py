"""The files of a run's folder."""

import json
import os
from types import SimpleNamespace
from typing import Any

import pytest

from bench.runs import result as picked
from bench.runs.result import write_pick
from bench.system import atomic


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_a_kill_between_the_files_of_a_pick_leaves_none_of_another(tmp_path, monkeypatch, rename):
    renamed: list[Any] = []

    def replace(*given, to=os.replace):
        renamed.append(given)
        if len(renamed) == 3 + rename:  # three are of the first pick
            raise KeyboardInterrupt
        to(*given)

    run = SimpleNamespace(name="first", folder=tmp_path, run=SimpleNamespace(name="first"), fingerprint=None)
    monkeypatch.setattr(
        picked, "picked_network", lambda result: SimpleNamespace(config={}, until=None, name=result.pick.name)
    )
    monkeypatch.setattr(picked, "provenance", lambda part, data, point, path: {"name": point.name})
    monkeypatch.setattr(picked, "recipe_of", lambda result, until: {})
    monkeypatch.setattr(atomic.os, "replace", replace)

    def of(name):
        pick = SimpleNamespace(name=name, row=0)
        return SimpleNamespace(run=run, pick=pick, picked={"name": name}, formulas=["2 p_click"])

    write_pick(of("one"))
    assert (tmp_path / "picked.toml").read_text() == "# one of first\n# score = 2 p_click\n"
    with pytest.raises(KeyboardInterrupt):
        write_pick(of("two"))
    name = json.loads((tmp_path / "picked.json").read_text())["name"]
    assert all(name in path.read_text() for path in tmp_path.iterdir())
