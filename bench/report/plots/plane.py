"""Two objectives: the front in their plane, with every trial behind it."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from bench.report import theme
from bench.report.plots.base import axis_title, cloud, error_bars, frame, grouped, marks, near, shortened
from bench.report.plots.references import baseline, ring, ring_words
from bench.report.view import PageView, Trial


def plane_figure(view: PageView) -> go.Figure:
    """The front as a step line, baselines dashed, replicate means with error bars, the picked point in a ring."""
    x_axis, y_axis = view.axes
    figure = frame()
    for kind, look, trials in grouped(view, "behind"):
        figure.add_trace(cloud(view, **_places(trials), **marks(view, kind, look, trials, "behind")))
    if view.step:
        x, y = zip(*view.step, strict=True)
        line = {"color": theme.light("front"), "width": 1.6}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name="front")
    for weight in ("confirmed", "front"):
        for kind, look, trials in grouped(view, weight):
            bars = [error_bars([trial.valid[i] for trial in trials], look.colour) for i in (0, 1)]
            figure.add_scatter(
                **_places(trials), error_x=bars[0], error_y=bars[1], **marks(view, kind, look, trials, weight)
            )
    baseline(figure, "x", x_axis)
    baseline(figure, "y", y_axis)
    if view.picked is not None:
        picked = view.trial(view.picked.id)
        at, height = picked.values
        low, high = near(x_axis) or (0.0, 1.0)
        right = at is None or at < low + (0.85 if x_axis.maximize else 0.15) * (high - low)
        ring(figure, at, height)
        ring_words(figure, picked, at, height, right=right, above=y_axis.maximize)
    figure.update_xaxes(title_text=axis_title(x_axis), range=near(x_axis))
    figure.update_yaxes(title_text=axis_title(y_axis), range=near(y_axis))
    figure.update_layout(
        meta={
            "near": {"xaxis.range": near(x_axis), "yaxis.range": near(y_axis)},
            "all": {"xaxis.autorange": True, "yaxis.autorange": True},
        }
    )
    return figure


def _places(trials: list[Trial]) -> dict[str, Any]:
    return {way: shortened(trial.values[i] for trial in trials) for i, way in enumerate("xy")}
