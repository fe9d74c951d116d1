"""The registry itself, and what every balancer must do."""

import pytest

from bench.balancing import BALANCING
from bench.testing.balancing import properties

EVERY = [check for name in BALANCING for check in properties(name)]


@pytest.mark.parametrize("check", EVERY, ids=lambda check: f"{check.args[0]}-{check.func.__name__}")
def test_each(check):
    check()


def test_each_has_its_own_file_and_class():
    for name, entry in BALANCING.items():
        assert entry.build.__module__ == f"bench.balancing.{name}"
