"""What every engine must do, see `bench.testing.engines`."""

from __future__ import annotations

import pytest

from bench.production.engines import ENGINES
from bench.testing import Check, checks

EVERY = [pytest.param(check, id=f"{name}-{check}") for name in ENGINES for check in checks("engine", name)]


@pytest.mark.slow  # the model is written as ONNX
@pytest.mark.parametrize("check", EVERY)
def test_an_engine(check: Check) -> None:
    check()
