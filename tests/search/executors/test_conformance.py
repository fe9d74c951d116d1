"""What every executor must do, see `bench.testing.executors`; `test_ray.py` has Ray's cluster."""

from __future__ import annotations

import pytest

from bench.search.executors import EXECUTORS, RAY
from bench.testing import Check, checks

EVERY = [
    pytest.param(check, id=f"{name}-{check}") for name in EXECUTORS if name != RAY for check in checks("executor", name)
]


@pytest.mark.parametrize("check", EVERY)
def test_an_executor(check: Check) -> None:
    check()
