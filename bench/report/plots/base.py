"""What all figures share: the frame and the marks of trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go

from bench.report import theme
from bench.report.geometry import reach
from bench.report.view import Axis, PageView, Trial
from bench.rows import SHORT

MOST_BEHIND = 1200
"""Trials behind the front and its confirmed ones that a figure draws; of more, evenly many of each sharing kind."""
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


def grouped(view: PageView, weight: Tier, most: int = MOST_BEHIND) -> list[tuple[str, theme.Look, list[Trial]]]:
    """Trials of one weight by sharing kind; kinds without any are left out.

    Of those behind, at most about `most` in all: every so many-th of each kind, in their order of merit.
    """
    groups: dict[str, list[Trial]] = {kind: [] for kind in theme.looks(view.sharing_kinds)}
    for id in view.order:
        trial = view.trial(id)
        if tier(trial) == weight:
            groups[trial.sharing].append(trial)
    step = math.ceil(sum(map(len, groups.values())) / most) if weight == "behind" else 1
    looks = theme.looks(view.sharing_kinds)
    return [(kind, looks[kind], found[:: max(step, 1)]) for kind, found in groups.items() if found]


def drawn_of(view: PageView, most: int = MOST_BEHIND) -> tuple[int, int]:
    """How many of the trials behind the front a figure draws, and how many there are."""
    behind = sum(tier(trial) == "behind" for trial in view.trials)
    return sum(len(trials) for _, _, trials in grouped(view, "behind", most)), behind


def shortened(values: Iterable[float | None]) -> list[float | None]:
    """Values to seven digits: no screen shows more, and thousands of them weigh less."""
    return [None if value is None else float(f"{value:.7g}") for value in values]


def bars(trials: Sequence[Trial], i: int, colour: str) -> dict[str, Any] | None:
    """Error bars in an objective; None where nothing was repeated."""
    if not any(trial.confirmed for trial in trials):
        return None
    widths = [reach(trial, i) or 0.0 for trial in trials]
    return {"type": "data", "array": widths, "color": colour, "thickness": 1.2, "width": 3}


def axis_title(axis: Axis, split: str | None = None) -> str:
    """The objective and which way is better; on a vertical axis, whose title reads upwards, the arrow turns along.

    Args:
        split: whose rows the values are on, to be named, unless the objective is a cost.
    """
    name = escape(axis.label)
    way = f"{name}  \N{RIGHTWARDS ARROW} better" if axis.maximize else f"better \N{LEFTWARDS ARROW}  {name}"
    return way if split is None or axis.name.startswith("cost/") else on_rows(way, split)


def on_rows(title: str, split: str) -> str:
    """The title of an axis, with the rows that its values are on in smaller letters below."""
    return f'{title}<br><span style="font-size:11px">{SHORT[split]}</span>'


def near(axis: Axis) -> list[float] | None:
    """The range around the front, from left to right."""
    return None if axis.near is None else sorted(axis.near)
