"""Values that are computed from stored runs are what they were: see `remake.py`."""

import json
import math
import re

import pytest
from options import MISTAKES, OPTIONS, commands, said
from remake import NAMES, SAID, SHORT, as_text, read_values, unpack, values_of
from searching import searched
from short_trainings import configurations, designed, jobs, trained

from bench.api import load_run
from bench.app.runs.run_page import next_step

ROUNDED = 1e-6, 1e-9
"""Relative and absolute, of values in seven digits: sums may be taken in another order, and another
processor's logarithm differs in its last bit."""
TRAINED = 2e-3, 2e-3
"""Of trained models, whose steps repeat such differences in single precision."""


LONG = ("three", "four", "five", "rungs")
"""Runs that take over a second."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def brief():
    """What short trainings gave."""
    return json.loads(SHORT.read_text())


@pytest.fixture(scope="module")
def told():
    """By command what it said, with its name and its exit code."""
    return {each.partition("\n")[0]: f"$ {each}" for each in SAID.read_text().split("$ ")[1:]}


def split(text):
    """Words, and between them numbers."""
    return re.split(r"(\d+(?:\.\d+)?)", text)


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def moved(was, now):
    """Values that differ, by name: what was written down, and what is computed now."""
    for name in sorted(was.keys() | now.keys()):
        before, after = was.get(name), now.get(name)
        if before is None or after is None or NUMBER.sub("", before) != NUMBER.sub("", after):
            yield f"{name}: {before}, now {after}"
            continue
        pairs = zip(NUMBER.findall(before), NUMBER.findall(after), strict=True)
        if not all(
            math.isclose(float(one), float(other), rel_tol=ROUNDED[0], abs_tol=ROUNDED[1])
            for one, other in pairs
        ):
            yield f"{name}: {before}, now {after}"


def apart(was, now, near=ROUNDED, at=""):
    """Where two documents differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        yield from (f"{at}: only one has {key}" for key in was.keys() ^ now.keys())
        for key in was.keys() & now.keys():
            yield from apart(was[key], now[key], near, f"{at}/{key}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for place, pair in enumerate(zip(was, now, strict=True)):
            yield from apart(*pair, near, f"{at}/{place}")
    elif isinstance(was, float) and isinstance(now, float | int):
        same = (math.isnan(was) and math.isnan(now)) or math.isclose(
            was, now, rel_tol=near[0], abs_tol=near[1]
        )
        yield from () if same else (f"{at}: {was!r}, now {now!r}",)
    elif was != now:
        yield f"{at}: {was!r}, now {now!r}"


@pytest.mark.parametrize(
    "run", [pytest.param(run, marks=[pytest.mark.slow] * (run in LONG)) for run in NAMES]
)
def test_nothing_that_is_computed_from_a_stored_run_changes(home, run):
    assert list(moved(read_values(run), values_of(home, run)))[:5] == []


@pytest.mark.parametrize("name", configurations())
def test_a_training_gives_what_it_gave(brief, name):
    assert (
        list(apart(brief["trainings"][name], trained(*configurations()[name]), TRAINED))[:5] == []
    )


def test_jobs_of_every_kind_measure_what_they_measured(brief, tmp_path):
    assert list(apart(brief["jobs"], jobs(tmp_path), TRAINED))[:5] == []


def test_a_design_has_the_rows_that_it_had(brief, tmp_path):
    assert (
        list(apart(brief["designed"], json.loads(json.dumps(designed(tmp_path))), TRAINED))[:5]
        == []
    )


def test_a_run_asks_for_the_jobs_it_asked_for_and_answers_as_it_did(brief, tmp_path, no_fsync):
    now = json.loads(json.dumps(searched(tmp_path)))
    assert list(apart(brief["searched"], now, ROUNDED))[:5] == []


@pytest.mark.parametrize("command", commands())
def test_a_command_says_what_it_said(home, told, command):
    was, now = (split(text) for text in (told[command], as_text({command: said(home, command)})))
    assert was[::2] == now[::2]
    for one, other in zip(
        was[1::2], now[1::2], strict=True
    ):  # a last digit may round the other way elsewhere
        step = 10.0 ** -len(one.partition(".")[2])
        assert abs(float(one) - float(other)) <= 1.01 * step, (one, other)


def test_a_mistake_is_one_sentence(told):
    for command in MISTAKES:
        _, code, *text = told[command].strip().splitlines()
        assert (code, text[-1].partition(" ")[0]) == ("[2]", "seesaw:"), command


def test_no_option_is_ignored(told):
    for command, options in OPTIONS.items():
        plain, *found = (
            told[f"{command} {each}".strip()].partition("\n")[2]
            for each in ("", *options.split("; "))
        )
        assert all(each.startswith("[0]") for each in (plain, *found))
        assert plain not in found, command


def test_a_moved_value_is_named_with_what_it_was_and_is():
    was = {"cells/test/click.auc": "0.5500085 0.4991131", "kind": '"model"', "gone": "1"}
    now = was | {"cells/test/click.auc": "0.5500086 0.4991231", "kind": '"keep"'}
    assert list(moved(was, was | {"cells/test/click.auc": "0.5500086 0.4991131"})) == []
    del now["gone"]
    assert list(moved(was, now)) == [
        "cells/test/click.auc: 0.5500085 0.4991131, now 0.5500086 0.4991231",
        "gone: 1, now None",
        'kind: "model", now "keep"',
    ]


def test_a_difference_is_found():
    was = {"a": [1.0, float("nan")], "b": "told"}
    assert list(apart(was, {"a": [1.0 + 1e-12, float("nan")], "b": "told"})) == []
    assert len(list(apart(was, {"a": [1.1, 0.0], "c": "told"}))) == 4


@pytest.mark.parametrize(("run", "step"), [("watched", "deploy"), ("two", "show")])
def test_what_comes_next_is_a_deployment_where_the_verdict_switches_to_the_pick(home, run, step):
    assert next_step([load_run(run, home).found]).startswith(f"seesaw {step} ")
