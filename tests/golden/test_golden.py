"""Values that are computed from stored runs are what they were: see `remake.py`."""

import json
import math

import pytest
from options import OPTIONS, said
from remake import MADE, read_values, unpack, values_of

RELATIVE = 1e-9
"""Sums may be taken in another order, and another processor's logarithm differs in its last bit."""


LONG = ("three", "four", "five", "rungs")
"""Runs that take over a second."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def kept():
    return read_values()


@pytest.fixture(scope="module")
def plain():
    """What commands say without options."""
    return {}


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


@pytest.mark.parametrize(
    "run", [pytest.param(run, marks=[pytest.mark.slow] * (run in LONG)) for run in (*MADE, "packaged and two")]
)
def test_nothing_that_is_computed_from_a_stored_run_changes(home, kept, run):
    now = json.loads(json.dumps(values_of(home, run), sort_keys=True))
    assert list(apart(kept[run], now))[:5] == []


@pytest.mark.parametrize(
    ("command", "option"), [(to, each) for to, options in OPTIONS.items() for each in options.split("; ")]
)
def test_no_option_is_ignored(home, plain, command, option):
    if command not in plain:
        plain[command] = said(home, command)
    found = said(home, f"{command} {option}")
    assert (plain[command][0], found[0]) == (0, 0), found
    assert found != plain[command]


def test_a_difference_is_found():
    was = {"a": [1.0, float("nan")], "b": "told"}
    assert list(apart(was, {"a": [1.0 + 1e-12, float("nan")], "b": "told"})) == []
    assert len(list(apart(was, {"a": [1.1, 0.0], "c": "told"}))) == 4
