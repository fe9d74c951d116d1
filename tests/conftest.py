"""Shared by all tests: one thread a process, no telemetry, and the real data where it is there."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import pytest  # noqa: E402  the environment must be set before anything imports torch

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def census_raw() -> Path:
    """The real Census-Income files."""
    return _folder("census-income")


@pytest.fixture(scope="session")
def kuairand_raw() -> Path:
    """Real KuaiRand-Pure files: the late window's log and both side tables."""
    return _folder("kuairand-pure")


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the real data is not at {folder}")
    return folder
