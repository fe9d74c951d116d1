"""Killed at any moment: the earlier store stays, and the next run makes the new one and leaves no debris."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from corruptions import disk, downloads, goods
from corruptions.entry import Edit
from corruptions.work import Work

CASES = [("log", disk.anew), ("ali", disk.ali_anew), (goods.REMOTE, downloads.anew(lambda work: None))]


@pytest.mark.slow
@pytest.mark.parametrize(("good", "change"), CASES, ids=["log", "ali", "remote"])
def test_killed_at_every_moment(good: str, change: Edit, work_of: Callable[[str], Work]) -> None:
    work = work_of(good)
    change(work)
    url = [work.server.url] if work.server else []
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(work.folder), "1000", *url]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["wrong"] == []
    assert found["killed"] >= 20
