"""Makes `search_toys` importable here and in the workers that tests start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of writes to the very disk would take most of the time; no test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
