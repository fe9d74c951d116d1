"""Values that are computed from stored runs are what they were: see `remake.py`."""

import json
import math
from typing import Any

import pytest
from remake import MADE, read_values, unpack, values

RELATIVE = 1e-9
"""Sums may be taken in another order, and another processor's logarithm differs in its last bit."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    home = tmp_path_factory.mktemp("golden")
    unpack(home)
    now: dict[str, Any] = json.loads(json.dumps(values(home), sort_keys=True))
    return now


def apart(was, now, at=""):
    """Where two documents differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        yield from (f"{at}: only one has {key}" for key in was.keys() ^ now.keys())
        for key in was.keys() & now.keys():
            yield from apart(was[key], now[key], f"{at}/{key}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for place, pair in enumerate(zip(was, now, strict=True)):
            yield from apart(*pair, f"{at}/{place}")
    elif isinstance(was, float) and isinstance(now, float | int):
        same = (math.isnan(was) and math.isnan(now)) or math.isclose(was, now, rel_tol=RELATIVE, abs_tol=1e-12)
        yield from () if same else (f"{at}: {was!r}, now {now!r}",)
    elif was != now:
        yield f"{at}: {was!r}, now {now!r}"


@pytest.mark.slow
@pytest.mark.parametrize("run", [*MADE, "packaged and two"])
def test_nothing_that_is_computed_from_a_stored_run_changes(found, run):
    assert list(apart(read_values()[run], found[run]))[:5] == []


def test_a_difference_is_found():
    was = {"a": [1.0, float("nan")], "b": "told"}
    assert list(apart(was, {"a": [1.0 + 1e-12, float("nan")], "b": "told"})) == []
    assert len(list(apart(was, {"a": [1.1, 0.0], "c": "told"}))) == 4
