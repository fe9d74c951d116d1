"""Drivers and workers are killed at random, at least 50 times during one search, and it ends as if undisturbed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kill_toys import LADDER
from rung_toys import essence, spent

from bench.search.study import Study

BUDGET = 20 * LADDER[-1]
KILLS = 54
SCRIPT = Path(__file__).with_name("kill_toys.py")


def searched(folder: Path, executor: str, kills: int) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), str(folder), executor, str(kills), "11", str(BUDGET)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_search_that_is_killed_fifty_times_ends_as_the_undisturbed_one(tmp_path: Path, executor: str) -> None:
    quiet = searched(tmp_path / "quiet", executor, 0)
    wild = searched(tmp_path / "wild", executor, KILLS)
    assert quiet["killed"] == {}
    assert quiet["begun"] == quiet["jobs"] == wild["jobs"]

    killed = wild["killed"]
    assert sum(killed.values()) >= 50
    assert killed["driver"] >= 10
    assert executor == "inline" or killed["worker"] >= 10

    assert wild["again"] == {}  # no job whose outcome was on disk was begun again
    slots = 1 if executor == "inline" else 2
    in_flight = killed["driver"] * slots + killed.get("worker", 0)
    assert wild["begun"] <= wild["jobs"] + in_flight

    studies = [Study.read(tmp_path / name) for name in ("quiet", "wild")]
    first, second = ([*essence(study.records())] for study in studies)
    assert first == second
    assert studies[0].ledger.standings() == studies[1].ledger.standings()
    assert studies[0].ledger.steps == studies[1].ledger.steps
    assert BUDGET - LADDER[0] < spent(studies[1].records()) <= BUDGET
