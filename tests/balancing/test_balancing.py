"""The registry itself."""

from __future__ import annotations

from bench.balancing import BALANCING
from bench.testing.balancing import an_entry_is_complete


def test_an_entry_is_complete() -> None:
    for name in BALANCING:
        an_entry_is_complete(name)


def test_each_has_its_own_file_and_class() -> None:
    for name, entry in BALANCING.items():
        assert entry.build.__module__ == f"bench.balancing.{name}"
