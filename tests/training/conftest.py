"""A tiny store in memory: what the trainer needs of one, without files."""

from __future__ import annotations

import pytest

from bench.testing.training import MemoryStore


@pytest.fixture(scope="session")
def tiny() -> MemoryStore:
    return MemoryStore()
