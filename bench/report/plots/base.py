"""What all figures share: the frame and the marks of trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go

from bench.report import theme
from bench.report.view import Axis, PageView, Spread, Trial

GL_FROM = 1500
"""From this many trials on, clouds of them are drawn by the graphics card."""
NO_COLOUR = "rgba(0,0,0,0)"

BESIDE = {"showarrow": False, "bgcolor": theme.light("surface"), "borderpad": 1}
"""Properties of words beside marks: lines do not run through them."""

Tier = Literal["behind", "confirmed", "front"]
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
        "legendgroup": kind,
        "showlegend": weight == "front",
        "customdata": [trial.id for trial in trials],
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
