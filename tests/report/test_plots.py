from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html import escape

import numpy as np
import plotly.graph_objects as go
import pytest

from bench.report import plots, theme
from bench.report.charts import notation
from bench.report.findings import Picked, Spent, Standard, Surface
from bench.report.plots.base import MOST_BEHIND
from bench.report.plots.kinds import thinned
from bench.report.tables import standard_table
from bench.report.view import PageView

Make = Callable[..., PageView]


def marked(figure: go.Figure) -> list[int]:
    """Trial numbers of all marks."""
    return [number for trace in figure.data if trace.customdata is not None for number in trace.customdata]


@pytest.fixture(scope="module")
def views(make_view: Make, make_records: Make, make_objectives: Make) -> dict[int, PageView]:
    return {n: make_view(make_records(objectives=n), make_objectives(n)) for n in (1, 2, 3)}


def test_the_plane_shows_every_trial_once(views: dict[int, PageView]) -> None:
    assert sorted(marked(plots.plane_figure(views[2]))) == [trial.number for trial in views[2].trials]


def test_marks_stand_at_the_values_of_their_trials(views: dict[int, PageView]) -> None:
    for trace in plots.plane_figure(views[2]).data:
        for x, y, number in zip(trace.x, trace.y, trace.customdata or (), strict=False):
            values = views[2].trial(number).values
            assert (x, y) == (
                values[0] if values[0] is None else pytest.approx(values[0], rel=1e-6),
                pytest.approx(values[1], rel=1e-6),
            )


def test_without_regions_error_bars_are_of_confirmed_trials_and_as_wide_as_the_view_says(
    views: dict[int, PageView],
) -> None:
    confirmed = []
    bare = replace(views[2], trials=tuple(replace(trial, region=None) for trial in views[2].trials))
    for trace in plots.plane_figure(bare).data:
        if trace.error_x.array is None:
            continue
        for number, x, y in zip(trace.customdata, trace.error_x.array, trace.error_y.array, strict=True):
            trial = views[2].trial(number)
            assert (x, y) == tuple(spread.half_width for spread in trial.confirm if spread)
            confirmed.append(number)
    assert sorted(confirmed) == [trial.number for trial in views[2].trials if trial.confirmed]


def test_kinds_differ_in_colour_and_shape(views: dict[int, PageView]) -> None:
    looks = {
        trace.legendgroup: (trace.marker.color, trace.marker.symbol)
        for trace in plots.plane_figure(views[2]).data
        if trace.customdata is not None
    }
    assert set(looks) == set(views[2].sharing_kinds)
    assert len({colour for colour, _ in looks.values()}) == len({symbol for _, symbol in looks.values()}) == len(looks)


def test_the_front_is_a_line_and_the_picked_point_has_a_ring(views: dict[int, PageView]) -> None:
    view, figure = views[2], plots.plane_figure(views[2])
    line = next(trace for trace in figure.data if trace.name == "front")
    assert tuple(zip(line.x, line.y, strict=True)) == view.step
    ring = next(trace for trace in figure.data if trace.name == "picked")
    assert view.picked is not None
    assert (ring.x[0], ring.y[0]) == view.trial(view.picked.trial).values
    assert any(f"trial {view.picked.trial}" in words.text for words in figure.layout.annotations)


def test_each_task_has_its_baseline_dashed(views: dict[int, PageView]) -> None:
    across = {
        (line.x0, line.x1) if line.x0 == line.x1 else (line.y0, line.y1)
        for line in plots.plane_figure(views[2]).layout.shapes
    }
    assert across == {(axis.baseline.value,) * 2 for axis in views[2].axes if axis.baseline}


def test_the_reader_can_switch_between_the_front_and_all_trials(views: dict[int, PageView]) -> None:
    for figure in (plots.plane_figure(views[2]), plots.course_figure(views[1]), plots.pairs_figure(views[3])):
        for changes in (figure.layout.meta["near"], figure.layout.meta["all"]):
            for path in changes:
                assert path.split(".")[0] in figure.layout
    assert list(plots.plane_figure(views[2]).layout.xaxis.range) == sorted(views[2].axes[0].near or ())


def test_three_objectives_give_the_three_planes(views: dict[int, PageView]) -> None:
    figure, trials = plots.pairs_figure(views[3]), views[3].trials
    assert sorted(marked(figure)) == sorted([trial.number for trial in trials] * 3)
    titles = {axis.title.text for axis in [*figure.select_xaxes(), *figure.select_yaxes()]} - {None}
    assert {title.split("  ")[0] for title in titles} == {"income AUC", "never_married AUC", "education AUC"}
    planes = {(trace.xaxis, trace.yaxis) for trace in figure.data}
    assert len(planes) == 3


def test_one_objective_is_drawn_over_the_trials_with_the_best_so_far(views: dict[int, PageView]) -> None:
    figure = plots.course_figure(views[1])
    assert sorted(marked(figure)) == [trial.number for trial in views[1].trials]
    line = next(trace for trace in figure.data if trace.mode == "lines")
    assert list(line.y) == sorted(line.y)
    assert line.y[-1] == max(trial.seen[0] for trial in views[1].trials if trial.seen[0] is not None)


def test_hypervolume_is_drawn_at_its_steps(views: dict[int, PageView]) -> None:
    line, confirmed = plots.hypervolume_figure(views[2]).data
    interval = views[2].hypervolume_interval
    assert interval is not None
    assert confirmed.y[0] + confirmed.error_y.array[0] == pytest.approx(interval[1])
    assert confirmed.y[0] - confirmed.error_y.arrayminus[0] == pytest.approx(interval[0])
    history = {finished: volume for finished, _, volume in views[2].history}
    assert all(history[x] == y for x, y in zip(line.x, line.y, strict=True))
    assert set(line.y) == set(history.values())
    assert line.x[-1] == len(history)


@pytest.mark.parametrize("by", ["sharing", "balancing"])
def test_kinds_are_ranked_by_their_best_trial(views: dict[int, PageView], by: str) -> None:
    view, figure = views[2], plots.kinds_figure(views[2], by, 0)  # type: ignore[arg-type]
    best: dict[str, float] = {}
    for trial in view.trials:
        if trial.seen[0] is not None:
            kind = getattr(trial, by)
            best[kind] = max(best.get(kind, 0.0), trial.seen[0])
    from_the_top = list(reversed(figure.layout.yaxis.ticktext))
    assert from_the_top == sorted(best, key=lambda kind: -best[kind])
    assert [words.text.split()[-1] for words in reversed(figure.layout.annotations)] == [
        f"{best[kind]:.4f}" for kind in from_the_top
    ]
    assert sorted(marked(figure)) == [trial.number for trial in view.trials if trial.seen[0] is not None]


def test_dots_stay_in_the_row_of_their_kind(views: dict[int, PageView]) -> None:
    figure = plots.kinds_figure(views[2], "balancing", 1)
    for trace in figure.data:
        for row, number in zip(trace.y, trace.customdata, strict=True):
            assert figure.layout.yaxis.ticktext[round(row)] == views[2].trial(number).balancing


def test_a_kind_off_the_scale_has_its_value_at_the_edge(views: dict[int, PageView]) -> None:
    view = views[2]
    poor = replace(view.trials[-1], number=999, sharing="poor", seen=(0.6, 0.6), values=(0.6, 0.6), on_front=False)
    figure = plots.kinds_figure(
        replace(view, trials=(*view.trials, poor), sharing_kinds=(*view.sharing_kinds, "poor")), "sharing", 0
    )
    (words,) = [words for words in figure.layout.annotations if words.name == "poor"]
    assert words.text == "\N{BLACK LEFT-POINTING SMALL TRIANGLE} 0.6000"
    assert figure.layout.xaxis.range[0] <= words.x <= figure.layout.xaxis.range[1]


def test_thinning_keeps_the_best_the_worst_and_the_order(views: dict[int, PageView]) -> None:
    trials = [replace(views[2].trials[0], number=i) for i in range(1000)]
    kept = [trial.number for trial in thinned(trials, most=90)]
    assert (kept[0], kept[-1], len(kept)) == (0, 999, 90)
    assert kept == sorted(set(kept))
    assert thinned(trials[:90], most=90) == trials[:90]


def test_of_thousands_some_are_drawn_but_all_of_the_front_and_the_confirmed(views: dict[int, PageView]) -> None:
    view = views[2]
    plain = [trial for trial in view.trials if not trial.confirmed]
    many = tuple(replace(plain[i % len(plain)], number=1000 + i) for i in range(4 * MOST_BEHIND))
    more = replace(view, trials=(*view.trials, *many), order=(*view.order, *(trial.id for trial in many)))
    drawn, behind = plots.drawn_of(more)
    shown = marked(plots.plane_figure(more))
    assert {trial.id for trial in view.trials if trial.confirmed} <= set(shown)
    assert behind == len(plain) + len(many)
    assert drawn == len(shown) - len(view.trials) + len(plain)
    assert MOST_BEHIND / 2 < drawn <= MOST_BEHIND + len(view.sharing_kinds)
    lines = plots.parallel_figure(more)
    assert len(set(marked(lines)) - {None}) < plots.MOST_LINES + 20
    assert len(lines.layout.meta["lines"]) == len(more.trials)


def test_names_from_data_cannot_be_markup(views: dict[int, PageView]) -> None:
    evil = "<a href='//a.b'>x</a>"
    view = views[2]
    axes = tuple(replace(axis, label=evil) for axis in view.axes)
    trials = tuple(replace(trial, sharing=evil, balancing=evil) for trial in view.trials)
    view = replace(
        view, axes=axes, trials=trials, sharing_kinds=(evil,), picked=Picked(view.front[0], evil, evil, (), evil)
    )
    for figure in (
        plots.plane_figure(view),
        plots.kinds_figure(view, "sharing", 0),
        plots.kinds_figure(view, "balancing", 1),
    ):
        shown = [axis.title.text for axis in (figure.layout.xaxis, figure.layout.yaxis)]
        shown += [*(figure.layout.yaxis.ticktext or ()), *(words.text for words in figure.layout.annotations)]
        shown += [trace.name for trace in figure.data]
        assert any(escape(evil) in text for text in shown if text)
        assert not any("<a" in text for text in shown if text)


def test_every_colour_of_a_figure_has_a_dark_twin(views: dict[int, PageView]) -> None:
    known = set(theme.dark_twins())
    figures = [plots.plane_figure(views[2]), plots.pairs_figure(views[3]), plots.course_figure(views[1])]
    figures += [plots.kinds_figure(views[2], "sharing", 0), plots.hypervolume_figure(views[2])]
    figures += [plots.parallel_figure(views[2]), plots.shrinkage_figure(views[2], 0), plots.influence_figure(views[2])]
    figures += [plots.budget_figure(replace(views[2], spent=(Spent("mmoe", (("full length", 9), ("replicates", 3))),)))]

    def colours(value: object) -> set[str]:
        if isinstance(value, dict):
            return set().union(*map(colours, value.values()))
        if isinstance(value, list):
            return set().union(*map(colours, value))
        return {value} if isinstance(value, str) and value.startswith("#") else set()

    for figure in figures:
        found = colours(json.loads(figure.to_json()))
        assert found
        assert found <= known


def test_regions_are_where_the_view_says(views: dict[int, PageView]) -> None:
    view = views[2]
    edges = [trace for trace in plots.plane_figure(view).data if trace.name and trace.name.endswith("90% region")]
    seen = 0
    for trace in edges:
        own = [trial for trial in view.trials if trial.confirmed and trial.sharing == trace.legendgroup]
        shapes = np.array([trial.region for trial in own])
        middles = np.array([trial.values for trial in own])
        for x, y in zip(trace.x, trace.y, strict=True):
            if x is None:
                seen += 1
                continue
            away = np.array([x, y]) - middles
            sizes = np.einsum("ni,nij,nj->n", away, np.linalg.inv(shapes), away)
            assert np.abs(sizes - 1).min() < 1e-3  # on the edge of one of them
    assert seen == sum(trial.confirmed for trial in view.trials)


def test_a_chosen_projection_has_its_objectives_to_the_right_and_upwards(views: dict[int, PageView]) -> None:
    view = views[3]
    figure = plots.plane_figure(view, 2, 0)
    assert figure.layout.xaxis.title.text.startswith("education AUC")
    assert figure.layout.meta["panels"] == [["x", "y", 2, 0]]
    for trace in figure.data:
        for x, y, id in zip(trace.x, trace.y, trace.customdata or (), strict=False):
            values = view.trial(id).values
            assert [x, y] == [None if at is None else pytest.approx(at, rel=1e-6) for at in (values[2], values[0])]


def test_bands_lie_between_their_surfaces_and_baselines_are_the_edge_of_what_they_dominate(
    views: dict[int, PageView],
) -> None:
    low, middle, high = (tuple((x + at, y + at) for x, y in views[2].step) for at in (0.001, 0.0, -0.001))
    surfaces = tuple(Surface(percent, corners) for percent, corners in ((25, low), (50, middle), (75, high)))
    corner = views[2].trial(views[2].front[0]).values
    trees = Standard("trees", corner, (None, None))
    figure = plots.plane_figure(replace(views[2], surfaces=surfaces, standards=(trees,)))
    traces = {trace.name: trace for trace in figure.data}
    band = traces["attained by 25 to 75% of seeds"]
    assert set(zip(band.x, band.y, strict=True)) == {*low, *high}
    half = traces["attained by 50% of seeds"]
    assert tuple(zip(half.x, half.y, strict=True)) == middle
    edge = traces["trees"]
    assert (edge.x[1], edge.y[1]) == corner
    assert edge.x[0] == edge.x[1] > edge.x[2]
    assert edge.y[1] == edge.y[2] > edge.y[0]
    assert any(words.text == "trees" for words in figure.layout.annotations)


def test_static_weights_are_one_line_and_the_composite_a_mark(views: dict[int, PageView]) -> None:
    x, y = views[2].trial(views[2].front[0]).values
    names = (
        "single_task",
        "equal_weights",
        "trees",
        "ensemble",
        *(f"static_weights {r}" for r in ("4:1", "1:1", "1:4")),
    )
    standards = tuple(Standard(name, (x - at * 1e-3, y), (None, None), 2) for at, name in enumerate(names))
    view = replace(views[2], standards=standards)
    figure = plots.plane_figure(view)
    traces = {trace.name: trace for trace in figure.data}
    line = traces["static weights, retuned"]
    assert list(zip(line.x, line.y, strict=True)) == [standard.values for standard in standards[4:]]
    assert list(line.text) == ["static weights 4:1", "static weights 1:1", "static weights 1:4"]
    assert not [words.text for words in figure.layout.annotations if "static weights" in words.text]
    assert [traces[name].mode for name in ("single task", "trees")] == ["markers", "lines+markers"]
    assert "static weights, retuned" in notation(view)
    table = standard_table(view)
    assert [name.replace("_", " ") in table for name in names] == [True] * 7


def test_lines_cross_the_axes_where_the_trials_values_are(views: dict[int, PageView]) -> None:
    view = views[2]
    figure = plots.parallel_figure(view)
    lines = figure.layout.meta["lines"]
    assert set(marked(figure)) - {None} == set(lines)
    for i, axis in enumerate(view.axes):
        low, high = axis.near or (0.0, 1.0)
        for trial in view.trials:
            value, place = trial.values[i], lines[trial.id][i]
            if value is None:
                assert place is None
            else:
                assert place == pytest.approx(max(0.0, (value - low) / (high - low)), abs=6e-4)
    for trace in figure.data:
        for y, id in zip(trace.y, trace.customdata, strict=True):
            assert (y is None) or y in lines[id]
    names = [name for name, _ in view.trials[0].params]
    shown = [words.text.replace("<br>", "").strip() for words in figure.layout.annotations]
    assert any(name in shown for name in names)


def test_the_budget_is_stacked_by_stage_and_bars_of_influence_have_their_intervals(views: dict[int, PageView]) -> None:
    spent = (
        Spent("mmoe", (("to 100", 300), ("full length", 800), ("replicates", 50))),
        Spent("ple", (("to 100", 70),)),
    )
    figure = plots.budget_figure(replace(views[2], spent=spent))
    assert {bar.name: list(bar.x) for bar in figure.data} == {
        "to 100": [70, 300],
        "full length": [0, 800],
        "replicates": [0, 50],
    }
    assert len({bar.marker.pattern.shape for bar in figure.data}) == 3
    (bars,) = plots.influence_figure(views[2]).data
    for name, share, up, down in zip(bars.y, bars.x, bars.error_x.array, bars.error_x.arrayminus, strict=True):
        known = next(each for each in views[2].influences if each.name == name)
        assert (share, share + up, share - down) == pytest.approx((known.share, known.high, known.low))


def test_shrinkage_has_a_line_for_each_confirmed_trial(views: dict[int, PageView]) -> None:
    view = views[2]
    found = plots.shrinkage_figure(view, 1)
    ids = [id for id in marked(found) if id is not None]
    assert sorted(set(ids)) == sorted(trial.id for trial in view.trials if trial.confirmed)
    for trace in found.data:
        for at in range(0, len(trace.x), 5):
            trial = view.trial(trace.customdata[at])
            assert trial.confirm[1] is not None
            assert trial.test[1] is not None
            again = next(each.valid for each in view.shrinkage if (each.id, each.objective) == (trial.id, 1))
            expected = (trial.seen[1], again, trial.confirm[1].mean, trial.test[1].mean)
            assert tuple(trace.y[at : at + 4]) == pytest.approx(expected, rel=1e-6)
