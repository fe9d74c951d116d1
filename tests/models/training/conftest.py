"""A tiny store in memory: what the trainer needs of one, without files."""

import pytest

from bench.testing.training_checks import MemoryStore


@pytest.fixture(scope="session")
def tiny():
    return MemoryStore()
