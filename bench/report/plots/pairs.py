"""Three objectives and more: every pair in its plane."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bench.report.plots.base import MOST_BEHIND, axis_title, bars, frame, grouped, marks, near, shortened
from bench.report.plots.certainty import regions
from bench.report.plots.references import dashed, ring
from bench.report.view import PageView


def pairs_figure(view: PageView) -> go.Figure:
    """The lower triangle of a scatter matrix. A point of the front may lie behind others in a single plane."""
    size = len(view.axes) - 1
    figure = make_subplots(
        rows=size,
        cols=size,
        specs=[[{} if column <= row else None for column in range(size)] for row in range(size)],
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=0.03,
    )
    look = frame().layout
    figure.layout.template = look.template
    figure.update_layout({key: value for key, value in look.to_plotly_json().items() if not key.endswith("axis")})
    figure.update_xaxes(look.xaxis.to_plotly_json(), nticks=4)
    figure.update_yaxes(look.yaxis.to_plotly_json(), nticks=4)
    zooms: dict[str, Any] = {"near": {}, "all": {}, "panels": []}
    for row in range(size):
        for column in range(row + 1):
            panel = figure.get_subplot(row + 1, column + 1)
            names = panel.xaxis.plotly_name, panel.yaxis.plotly_name
            _panel(figure, view, (column, row + 1), names)
            zooms["panels"].append([*(name.replace("axis", "") for name in names), column, row + 1])
            for i, name in zip((column, row + 1), names, strict=True):
                zooms["near"][f"{name}.range"] = near(view.axes[i])
                zooms["all"][f"{name}.autorange"] = True
            if row == size - 1:
                panel.xaxis.title.text = axis_title(view.axes[column])
            if column == 0:
                panel.yaxis.title.text = axis_title(view.axes[row + 1])
    figure.update_layout(meta=zooms)
    return figure


def most_behind(view: PageView) -> int:
    """Trials behind the front that each plane draws: together about as many as two figures."""
    planes = len(view.axes) * (len(view.axes) - 1) // 2
    return max(2 * MOST_BEHIND // planes, 150)


def _panel(figure: go.Figure, view: PageView, objectives: tuple[int, int], names: tuple[str, str]) -> None:
    """Draws the plane of two objectives on the axes of those names."""
    x, y = (name.replace("axis", "") for name in names)
    on = {"xaxis": x, "yaxis": y}
    regions(figure, view, *objectives, on)
    for weight in ("behind", "confirmed", "front"):
        for kind, look, trials in grouped(view, weight, most_behind(view)):
            values = (shortened(trial.values[i] for trial in trials) for i in objectives)
            places = dict(zip("xy", values, strict=True)) | on
            style = marks(view, kind, look, trials, weight)
            style["marker"] |= {"size": 0.8 * style["marker"]["size"]}
            style["showlegend"] &= objectives == (0, 1)
            plain = weight == "behind" or view.regions_known
            error_x, error_y = (None if plain else bars(trials, i, look.colour) for i in objectives)
            figure.add_scatter(**places, error_x=error_x, error_y=error_y, **style)
    x_base, y_base = (view.axes[i].baseline for i in objectives)
    if x_base is not None:
        dashed(figure, "x", x_base.value, place={"xref": x, "yref": f"{y} domain"})
    if y_base is not None:
        dashed(figure, "y", y_base.value, place={"xref": f"{x} domain", "yref": y})
    if view.picked is not None:
        picked_x, picked_y = (view.trial(view.picked.id).values[i] for i in objectives)
        ring(figure, picked_x, picked_y, size=20, place=on)
    for name, i in zip(names, objectives, strict=True):
        figure.layout[name].range = near(view.axes[i])
