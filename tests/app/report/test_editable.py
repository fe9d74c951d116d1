"""Figures of matplotlib: they show what the page's plots show, with intervals."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import objectives_of, records_of, section_of, with_decision

import bench
from bench.app.report.picture import PLOTS, plane_of
from bench.core.errors import UserError

editable = pytest.importorskip("bench.app.report.editable", reason="no matplotlib")


def explained():
    def owed(value):
        return {"value": value, "low": value - 0.1, "high": value + 0.2}

    inputs = [
        {"name": name, "measures": {"click": owed(value), "buy": owed(-value)}}
        for name, value in (("age", 0.3), ("day", 0.1))
    ]
    return {"inputs": inputs}


def points_of(figure):
    """The places of all marks that are no rings."""
    places = [
        marks.get_offsets() for marks in figure.axes[0].collections if hasattr(marks, "get_sizes")
    ]
    return {
        tuple(np.round(place, 9))
        for offsets in places
        for place in np.asarray(offsets)
        if len(place) == 2
    }


def legend_of(figure):
    return [words.get_text() for words in figure.axes[0].get_legend().get_texts()]


def test_each_plot_of_the_page_has_its_figure():
    assert list(editable.FIGURES) == list(PLOTS)


@pytest.mark.parametrize(("name", "scale"), [("front", 100), ("heads", 1000)])
def test_a_front_has_the_points_and_intervals_of_the_page(name, scale):
    section = section_of(records_of(), objectives_of(), 2)
    ledger = section.decision.serving.served if name == "front" else section.decision.frontier
    plane = plane_of(section, ledger)
    figure = editable.FIGURES[name](section)
    drawn = points_of(figure)
    assert plane.part == "gain"
    assert {tuple(np.round(scale * plane.values[row], 9)) for row in plane.on} <= drawn
    (across, upwards) = [
        lines.get_segments()
        for lines in figure.axes[0].collections
        if hasattr(lines, "get_segments")
    ]
    for axis, segments in ((0, across), (1, upwards)):
        ends = {(round(float(low[axis]), 6), round(float(high[axis]), 6)) for low, high in segments}
        expected = {
            (scale * plane.low[row, axis], scale * plane.high[row, axis]) for row in plane.on
        }
        assert ends == {(round(float(low), 6), round(float(high), 6)) for low, high in expected}
    assert f"pick: {plane.names[plane.picked]}" in legend_of(figure)
    assert plane.against in figure.axes[0].get_xlabel()
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_what_is_better_lies_to_the_right_and_upwards_where_less_is_better():
    section = section_of(records_of(), objectives_of())
    # values, no gains
    cells = {
        key: np.where(np.arange(7) < 3, values, np.nan)
        for key, values in section.decision.frontier.cells.items()
    }
    costs = tuple(
        type(measure)(measure.name, "minimize") for measure in section.decision.frontier.measures
    )
    figure = editable.plane_figure(
        section, plane_of(section, replace(section.decision.frontier, cells=cells, measures=costs))
    )
    left, right = figure.axes[0].get_xlim()
    bottom, top = figure.axes[0].get_ylim()
    assert left > right
    assert bottom > top
    assert "gain" not in figure.axes[0].get_xlabel()


def test_the_verdict_has_a_ring_where_it_is_not_the_pick():
    section = section_of(records_of(), objectives_of(), 2)
    assert not [
        words for words in legend_of(editable.front_figure(section)) if words.startswith("verdict")
    ]
    other_row = next(
        row for row in plane_of(section).on.tolist() if row != section.decision.pick.row
    )
    advised = with_decision(section, verdict=replace(section.decision.verdict, row=other_row))
    assert f"verdict: {plane_of(section).names[other_row]}" in legend_of(
        editable.front_figure(advised)
    )


def test_bars_of_inputs_have_their_values_and_intervals():
    figure = editable.inputs_figure(
        section_of(records_of(), objectives_of(), explained=explained())
    )
    widths = [round(bar.get_width(), 6) for bar in figure.axes[0].patches]
    assert widths == [30, 10, -30, -10]
    (first, _) = [lines.get_segments() for lines in figure.axes[0].collections]
    assert [segment[:, 0].round(6).tolist() for segment in first] == [[20, 50], [0, 30]]
    assert [words.get_text() for words in figure.axes[0].get_yticklabels()] == ["age", "day"]


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((400, 4)), columns=["p", "q", "r", "s"])
    table["click"], table["buy"] = table["p"] > 0.5, table["q"] > 0.5
    table = table.assign(click=table["click"].astype(int), buy=table["buy"].astype(int))
    return bench.decide(
        table, labels=["click", "buy"], models={"a": ["p", "q"], "b": ["r", "s"]}, unseen=True
    )


def test_a_result_gives_figures_to_edit(found, tmp_path):
    figure = found.figure("front", backend="matplotlib")
    figure.axes[0].set_title("mine")
    figure.savefig(tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 5_000
    assert found.figure().svg == found.figure("front", backend="svg").svg
    with pytest.raises(
        UserError,
        match=r"^figure 'inputs': expected something to draw, found nothing; `seesaw explain`",
    ):
        found.figure("inputs", backend="matplotlib")
    with pytest.raises(UserError, match=r"^unknown backend 'altair'.*known are matplotlib, svg"):
        found.figure(backend="altair")


def test_without_matplotlib_a_sentence_says_what_to_install(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        UserError, match=r"expected matplotlib to be installed, found none; pip install matplotlib$"
    ):
        found.figure(backend="matplotlib")
    assert found.figure().svg
