"""The board: fronts of any number of objectives, and runs that cannot be shown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from bench.report.board import BoardPart, BoardRun, board_document


def run_of(view: Any, name: str = "first", dataset: str = "census") -> BoardRun:
    return BoardRun(name, "done", "quick", "today", (BoardPart(dataset, "b3", "60 completed", view),))


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_a_front_of_any_number_of_objectives_is_drawn(make_records, make_objectives, make_view, objectives: int):
    view = make_view(make_records(objectives=objectives), make_objectives(objectives))
    page, (shown,) = board_document([run_of(view)], "home")
    assert shown.state == "done"
    assert page.count('class="thumbnail"') == (objectives > 1)
    assert page.count("<polyline") == (objectives == 2)  # with three a line would join what lies behind
    assert page.count("best income AUC") == page.count("60 completed") == 1
    assert ("The first two of 3 objectives." in page) == (objectives == 3)
    if objectives > 1:
        assert len(re.findall("scale\\(0.95\\)", page)) == len(view.front)
        assert "income AUC 0.9" in page


def test_a_run_that_cannot_be_drawn_leaves_the_others(view):
    odd = replace(view, step=(("odd", 0.0),))
    page, shown = board_document([run_of(odd, "odd", "other"), run_of(view)], "home")
    assert [(run.name, run.state) for run in shown] == [("odd", "broken"), ("first", "done")]
    assert page.count('class="thumbnail"') == 1
    assert "TypeError" in page


def test_kinds_look_the_same_in_every_front_and_in_the_legend(view):
    """A run by itself would give the sixth look to whichever of its kinds is not among the first five."""
    views = [replace(view, sharing_kinds=(kind,), trials=tuple(replace(t, sharing=kind) for t in view.trials))
             for kind in ("adatt", "snr")]  # fmt: skip
    page, _ = board_document([run_of(each, each.sharing_kinds[0]) for each in views], "home")
    legend = re.findall(r'<li><svg[^>]*><path d="[^"]*" fill="var\(--([\w-]+)\)"/></svg>(\w+)</li>', page)
    drawn = [set(re.findall(r'fill="var\(--(kind-\d)\)" opacity', part)) for part in page.split("<article")[1:]]
    assert len({role for role, _ in legend}) == 2
    assert drawn == [{role} for role, _ in legend]
