"""Makes the toys of the search's tests importable here and in the workers that tests start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))


@pytest.fixture(autouse=True)
def _quick_disk(no_fsync: None) -> None:
    pass
