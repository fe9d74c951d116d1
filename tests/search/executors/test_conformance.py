"""What every executor must do, see `executor_checks`; `test_ray.py` has Ray's cluster."""

import pytest
from executor_checks import OF_ALL

from bench.search.executors import EXECUTORS, RAY
from bench.search.executors.base import Options


@pytest.mark.parametrize("check", OF_ALL)
@pytest.mark.parametrize("name", [name for name in EXECUTORS if name != RAY])
def test_an_executor(name, check, tmp_path):
    check(name, Options(), tmp_path)
