"""The board: fronts of any number of objectives, and runs that cannot be shown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from ledger_toys import GAINS

from bench.report.picture import picture
from bench.run.board import BoardPart, BoardRun, board_document


def run_of(view: Any, name: str = "first", dataset: str = "census") -> BoardRun:
    return BoardRun(name, "done", "quick", "today", (BoardPart(dataset, "60 completed", view),))


@pytest.mark.parametrize(("count", "served"), [(1, 0), (2, 0), (2, 1), (3, 0), (5, 1)])
def test_a_front_of_any_number_of_objectives_is_drawn(
    make_records: Any, make_objectives: Any, make_view: Any, count: int, served: int
) -> None:
    view = make_view(make_records(objectives=count), make_objectives(count), served=count * served if count > 1 else 0)
    page, (shown,) = board_document([run_of(view)], "home")
    assert shown.state == "done"
    assert page.count('class="thumbnail"') == (count > 1)
    assert page.count("<polyline") == (count == 2)
    assert ("The first two of" in page) == (count > 2)
    assert ("verdict model" in page) == bool(served and count > 1)


def test_equal_points_have_a_narrow_range(make_records: Any, make_objectives: Any, make_view: Any) -> None:
    view = make_view(make_records(objectives=2), make_objectives(2))
    cells = {key: own.copy() for key, own in view.front.cells.items()}
    for own in cells.values():
        own[..., GAINS] *= 0.0
    drawn = picture(view, replace(view.front, cells=cells))
    assert "−1.0 to +1.0 × 1000" in drawn


def test_a_run_that_cannot_be_drawn_leaves_the_others(view: Any) -> None:
    odd = replace(view, served=replace(view.served, table=view.served.table.drop(columns="on_front")))
    page, shown = board_document([run_of(odd, "odd", "other"), run_of(view)], "home")
    assert [(run.name, run.state) for run in shown] == [("odd", "broken"), ("first", "done")]
    assert page.count('class="thumbnail"') == 1
    assert "KeyError" in page


def test_architectures_look_the_same_in_every_front_and_in_the_legend(view: Any) -> None:
    """A run by itself would give the sixth look to whichever of its kinds is not among the first five."""
    served = view.served
    views = [replace(view, served=replace(served, table=served.table.assign(architecture=kind))) for kind in ("x", "y")]
    page, _ = board_document([run_of(each) for each in views], "home")
    legend = re.findall(r'<li><svg[^>]*><path d="[^"]*" fill="var\(--([\w-]+)\)"/></svg>(\w+)</li>', page)
    drawn = [set(re.findall(r'fill="var\(--(kind-\d)\)" opacity', part)) for part in page.split("<article")[1:]]
    assert len({role for role, _ in legend}) == 2
    assert drawn == [{role} for role, _ in legend]
