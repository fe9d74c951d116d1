"""What every engine must do, see `engine_checks`."""

import pytest
from engine_checks import OF_ALL

from bench.production.engines import ENGINES


@pytest.mark.slow  # the model is written as ONNX
@pytest.mark.parametrize("check", OF_ALL)
@pytest.mark.parametrize("name", ENGINES)
def test_an_engine(name, check):
    check(name)
