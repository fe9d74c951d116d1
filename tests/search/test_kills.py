"""Drivers and workers are killed at random again and again during one search, and it ends as if undisturbed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kill_toys import LADDER
from rung_toys import spent
from search_toys import essence

from bench.search.study import Study

SCRIPT = Path(__file__).with_name("kill_toys.py")


def searched(folder, executor, kills, budget):
    command = [sys.executable, str(SCRIPT), str(folder), executor, str(kills), "11", str(budget)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "trials"), [(54, 20)], ids=["54 kills"])
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_search_whose_drivers_and_workers_are_killed_ends_as_the_undisturbed_one(tmp_path, executor, kills, trials):
    """The budget is that of `trials` trials of full length."""
    budget = trials * LADDER[-1]
    quiet = searched(tmp_path / "quiet", executor, 0, budget)
    wild = searched(tmp_path / "wild", executor, kills, budget)
    assert quiet["killed"] == {}
    assert quiet["begun"] == quiet["jobs"] == wild["jobs"]

    killed = wild["killed"]
    assert sum(killed.values()) >= kills
    assert killed["driver"] >= kills / 5
    assert executor == "inline" or killed["worker"] >= kills / 5

    assert wild["again"] == {}  # no job whose outcome was on disk was begun again
    slots = 1 if executor == "inline" else 2
    in_flight = killed["driver"] * slots + killed.get("worker", 0)
    assert wild["begun"] <= wild["jobs"] + in_flight

    studies = [Study.read(tmp_path / name) for name in ("quiet", "wild")]
    first, second = ([*essence(study.records())] for study in studies)
    assert first == second
    assert studies[0].ledger.standings == studies[1].ledger.standings
    assert studies[0].ledger.steps == studies[1].ledger.steps
    assert budget - LADDER[0] < spent(studies[1].records()) <= budget
