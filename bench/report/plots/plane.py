"""Two objectives in their plane: the front, with every trial behind it."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from bench.report import theme
from bench.report.plots.base import axis_title, bars, frame, grouped, marks, near, shortened
from bench.report.plots.certainty import attainment, regions, standards
from bench.report.plots.references import baseline, ring, ring_words
from bench.report.view import PageView, Trial


def plane_figure(view: PageView, i: int = 0, j: int = 1) -> go.Figure:
    """Objective i to the right, j upwards: the front as a step line over attainment bands where there are two
    objectives in all, baselines as lines, confirmed points in their regions, the picked point in a ring.
    """
    x_axis, y_axis = view.axes[i], view.axes[j]
    figure = frame()
    whole = len(view.axes) == 2
    for kind, look, trials in grouped(view, "behind"):
        figure.add_scatter(**_places(trials, i, j), **marks(view, kind, look, trials, "behind"))
    if whole:
        attainment(figure, view)
    if whole and view.step:
        x, y = zip(*view.step, strict=True)
        line = {"color": theme.light("front"), "width": 1.6}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name="front")
    regions(figure, view, i, j)
    standards(figure, view, i, j)
    for weight in ("confirmed", "front"):
        for kind, look, trials in grouped(view, weight):
            error_x, error_y = (None if view.regions_known else bars(trials, at, look.colour) for at in (i, j))
            places = _places(trials, i, j)
            figure.add_scatter(**places, error_x=error_x, error_y=error_y, **marks(view, kind, look, trials, weight))
    baseline(figure, "x", x_axis)
    baseline(figure, "y", y_axis)
    if view.picked is not None:
        picked = view.trial(view.picked.id)
        at, height = picked.values[i], picked.values[j]
        low, high = near(x_axis) or (0.0, 1.0)
        right = at is None or at < low + (0.85 if x_axis.maximize else 0.15) * (high - low)
        ring(figure, at, height)
        ring_words(figure, picked, at, height, right=right, above=y_axis.maximize)
    figure.update_xaxes(title_text=axis_title(x_axis, view.split), range=near(x_axis))
    figure.update_yaxes(title_text=axis_title(y_axis, view.split), range=near(y_axis))
    figure.update_layout(
        meta={
            "near": {"xaxis.range": near(x_axis), "yaxis.range": near(y_axis)},
            "all": {"xaxis.autorange": True, "yaxis.autorange": True},
            "panels": [["x", "y", i, j]],
        }
    )
    return figure


def _places(trials: list[Trial], i: int, j: int) -> dict[str, Any]:
    return {way: shortened(trial.values[at] for trial in trials) for way, at in (("x", i), ("y", j))}
