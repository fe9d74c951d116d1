"""What all figures share: the frame, the marks of trials, dashed references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go

from bench.report import text, theme
from bench.report.view import Axis, PageView, Spread, Trial

GL_FROM = 1500
"""From this many trials on, clouds of them are drawn by the graphics card."""
NO_COLOUR = "rgba(0,0,0,0)"

BESIDE = {"showarrow": False, "bgcolor": theme.light("surface"), "borderpad": 1}
"""Properties of words beside marks: lines do not run through them."""

Tier = Literal["behind", "confirmed", "front"]
Way = Literal["x", "y"]
NOWHERE: Mapping[str, str] = {}
MARKS: dict[Tier, dict[str, Any]] = {
    "behind": {"size": 7, "opacity": 0.42},
    "confirmed": {"size": 9, "opacity": 0.8},
    "front": {"size": 12, "opacity": 1.0, "line": {"color": theme.light("surface"), "width": 1.2}},
}
CROWD = 500
"""From this many trials on, those behind the front are drawn smaller and fainter."""
CROWDED = {"size": 5, "opacity": 0.3}


def frame() -> go.Figure:
    """An empty figure: no background of its own, hairline grid, margins that follow the labels."""
    axis = {
        "gridcolor": theme.light("grid"),
        "linecolor": theme.light("line"),
        "showline": True,
        "zeroline": False,
        "automargin": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": theme.light("line"),
        "tickfont": {"color": theme.light("muted")},
        "title": {"standoff": 10, "font": {"size": 13}},
    }
    return go.Figure(
        layout=go.Layout(
            template=go.layout.Template(),
            font={"family": theme.FONT, "size": 12, "color": theme.light("text")},
            paper_bgcolor=NO_COLOUR,
            plot_bgcolor=NO_COLOUR,
            margin={"l": 8, "r": 16, "t": 28, "b": 8},
            xaxis=axis,
            yaxis=axis,
            hovermode="closest",
            hoverlabel={"font": {"family": theme.FONT}},
            modebar={"bgcolor": NO_COLOUR, "color": theme.light("line"), "activecolor": theme.light("muted")},
        )
    )


def tier(trial: Trial) -> Tier:
    """How much weight a trial gets."""
    if trial.on_front:
        return "front"
    return "confirmed" if trial.compared and trial.confirmed else "behind"


def marks(view: PageView, kind: str, look: theme.Look, trials: Sequence[Trial], weight: Tier) -> dict[str, Any]:
    """Properties of a trace of trials of one sharing kind, without their places."""
    style = CROWDED if weight == "behind" and len(view.trials) > CROWD else MARKS[weight]
    return {
        "mode": "markers",
        "name": escape(kind) + (" on the front" if weight == "front" else ""),
        "legendgroup": escape(kind),
        "showlegend": weight == "front",
        "customdata": [trial.number for trial in trials],
        "hovertemplate": "%{fullData.name}, trial %{customdata}<br>%{x:.5g}, %{y:.5g}<extra></extra>",
        "marker": {"color": look.colour, "symbol": look.symbol, **style},
    }


def cloud(view: PageView, **trace: Any) -> go.Scatter | go.Scattergl:
    """A trace of trials, drawn by the graphics card where a run has many."""
    kind = go.Scattergl if len(view.trials) > GL_FROM else go.Scatter
    return kind(**trace)


def grouped(view: PageView, weight: Tier) -> list[tuple[str, theme.Look, list[Trial]]]:
    """Trials of one weight by sharing kind; kinds without any are left out."""
    groups = [
        (kind, look, [trial for trial in view.trials if trial.sharing == kind and tier(trial) == weight])
        for kind, look in theme.looks(view.sharing_kinds).items()
    ]
    return [group for group in groups if group[2]]


def shortened(values: Iterable[float | None]) -> list[float | None]:
    """Values to seven digits: no screen shows more, and thousands of them weigh less."""
    return [None if value is None else float(f"{value:.7g}") for value in values]


def error_bars(spreads: Sequence[Spread | None], colour: str) -> dict[str, Any] | None:
    """1.96 standard errors either way; None where nothing was repeated."""
    if not any(spreads):
        return None
    widths = [(spread.half_width or 0.0) if spread else 0.0 for spread in spreads]
    return {"type": "data", "array": widths, "color": colour, "thickness": 1.2, "width": 3}


def axis_title(axis: Axis) -> str:
    """The objective and which way is better; on a vertical axis, whose title reads upwards, the arrow turns along."""
    name = escape(axis.label)
    return f"{name}  \N{RIGHTWARDS ARROW} better" if axis.maximize else f"better \N{LEFTWARDS ARROW}  {name}"


def near(axis: Axis) -> list[float] | None:
    """The range around the front, from left to right."""
    return None if axis.near is None else sorted(axis.near)


def dashed(
    figure: go.Figure,
    way: Way,
    value: float,
    words: str = "",
    *,
    right: bool = True,
    place: Mapping[str, str] = NOWHERE,
) -> None:
    """A dashed line across at a value of the x or the y axis; its words stand outside, above or at the right end."""
    line = {"color": theme.light("muted"), "width": 1.3, "dash": "4px,4px"}
    ends = {"x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "y domain"}
    if way == "y":
        ends = {"y0": value, "y1": value, "x0": 0, "x1": 1, "xref": "x domain"}
    figure.add_shape(type="line", layer="below", line=line, **(ends | dict(place)))
    if words:
        at = {"x": value, "y": 1, "yref": "y domain", "xanchor": "left" if right else "right", "yanchor": "bottom"}
        if way == "y":
            at = {"y": value, "x": 1, "xref": "x domain", "xanchor": "right", "yanchor": "bottom", "yshift": 2}
        font = {"size": 11, "color": theme.light("muted")}
        figure.add_annotation(text=words, font=font, **BESIDE, **(at | dict(place)))


def baseline_words(axis: Axis) -> str:
    """What stands at the line of the best single-task trial."""
    return "" if axis.baseline is None else f"best single task {text.number(axis.baseline.value)}"


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
