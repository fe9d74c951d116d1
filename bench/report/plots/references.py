"""What stands beside the trials: the best single-task trial as a dashed line, the picked trial in a ring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import plotly.graph_objects as go

from bench.report import text, theme
from bench.report.plots.base import BESIDE, near
from bench.report.view import Axis, Trial

Way = Literal["x", "y"]
NOWHERE: Mapping[str, str] = {}


def dashed(figure: go.Figure, way: Way, value: float, place: Mapping[str, str] = NOWHERE) -> None:
    """A dashed line across at a value of the x or the y axis."""
    line = {"color": theme.light("muted"), "width": 1.3, "dash": "4px,4px"}
    ends = {"x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "y domain"}
    if way == "y":
        ends = {"y0": value, "y1": value, "x0": 0, "x1": 1, "xref": "x domain"}
    figure.add_shape(type="line", layer="below", line=line, **(ends | dict(place)))


def baseline(figure: go.Figure, way: Way, axis: Axis) -> None:
    """The best single-task trial as a dashed line, with words at its end outside, where no trial is.

    They stand on that side of the line where there is more room.
    """
    if axis.baseline is None:
        return
    value = axis.baseline.value
    after = value < sum(near(axis) or (0.0, 1.0)) / 2
    dashed(figure, way, value)
    at = {"x": value, "y": 1, "yref": "y domain", "yanchor": "bottom", "xanchor": "left" if after else "right"}
    if way == "y":
        at = {"y": value, "x": 1, "xref": "x domain", "xanchor": "left", "yanchor": "bottom" if after else "top"}
        figure.update_layout(margin_r=26)
    figure.add_annotation(
        text=f"best single task {text.number(value)}",
        textangle=-90 if way == "y" else 0,
        font={"size": 11, "color": theme.light("muted")},
        showarrow=False,
        **at,
    )


def ring(
    figure: go.Figure, x: float | None, y: float | None, size: int = 24, place: Mapping[str, str] = NOWHERE
) -> None:
    """A ring around the picked point."""
    marker = {"symbol": "circle-open", "size": size, "color": theme.light("accent"), "line": {"width": 2.4}}
    figure.add_scatter(x=[x], y=[y], mode="markers", marker=marker, hoverinfo="skip", name="picked", **place)


def ring_words(figure: go.Figure, picked: Trial, x: float | None, y: float | None, right: bool, above: bool) -> None:
    """The picked trial's number, written beside its ring."""
    figure.add_annotation(
        x=x,
        y=y,
        text=f"<b>trial {picked.number}</b>",
        font={"color": theme.light("accent"), "size": 13},
        xanchor="left" if right else "right",
        yanchor="bottom" if above else "top",
        xshift=12 if right else -12,
        yshift=11 if above else -11,
        **BESIDE,
    )
