"""How sure the front is, in its plane: attainment bands, regions of confirmed points, what baselines dominate."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import plotly.graph_objects as go

from bench.report import theme
from bench.report.geometry import ellipse
from bench.report.plots.base import BESIDE, near, shortened
from bench.report.view import PageView

NOWHERE: Mapping[str, str] = {}
MOST_REGIONS = 12
DASHES = ("2px,2px", "8px,3px", "8px,3px,2px,3px", "12px,4px", "5px,2px")
SYMBOLS = ("hexagon-open", "pentagon-open", "star-open", "hourglass-open", "hexagram-open")
RETUNED = "static weights, retuned"
SINGLE_TASK = "single_task"


def attainment(figure: go.Figure, view: PageView) -> None:
    """The band between the outer attainment surfaces, and the middle one as a dotted line."""
    if len(view.surfaces) < 2:
        return
    few, most = view.surfaces[0], view.surfaces[-1]
    x, y = zip(*few.corners, *reversed(most.corners), strict=True)
    style = {"mode": "lines", "hoverinfo": "skip", "line": {"width": 0}}
    name = f"attained by {few.percent} to {most.percent}% of seeds"
    figure.add_scatter(x=x, y=y, fill="toself", fillcolor=theme.light("accent"), opacity=0.14, name=name, **style)
    for surface in view.surfaces[1:-1]:
        x, y = zip(*surface.corners, strict=True)
        line = {"color": theme.light("accent"), "width": 1.4, "dash": "2px,3px"}
        name = f"attained by {surface.percent}% of seeds"
        figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name=name)


def regions(figure: go.Figure, view: PageView, i: int, j: int, place: Mapping[str, str] = NOWHERE) -> None:
    """Ellipses of confirmed points, a trace for each sharing kind: filled on the front, and outlined for the others,
    which are left out where many were confirmed."""
    known = [trial for trial in view.trials if trial.confirmed]
    for on_front in (False, True) if len(known) <= MOST_REGIONS else (True,):
        for kind, look in theme.looks(view.sharing_kinds).items():
            own = [trial for trial in known if trial.sharing == kind and trial.on_front == on_front]
            edges = [[*edge, (None, None)] for trial in own if (edge := ellipse(trial, i, j))]
            if edges:
                figure.add_scatter(
                    x=shortened(x for edge in edges for x, _ in edge),
                    y=shortened(y for edge in edges for _, y in edge),
                    mode="lines",
                    line={"color": look.colour, "width": 1.2 if on_front else 0.8},
                    fill="toself" if on_front else "none",
                    fillcolor=look.colour if on_front else None,
                    opacity=0.2 if on_front else 0.4,
                    legendgroup=kind,
                    hoverinfo="skip",
                    name=f"{escape(kind)}: 90% region",
                    **place,
                )


def standards(figure: go.Figure, view: PageView, i: int, j: int) -> None:
    """Of each baseline the edge of what it dominates, its name at the corner; of the composite of single-task models
    a mark alone, as dashed lines have its edge; retuned static weights as one thin line."""
    x_axis, y_axis = view.axes[i], view.axes[j]
    x_end, y_end = (axis.near[0] if axis.near else None for axis in (x_axis, y_axis))
    _retuned(figure, view, i, j)
    for place, each in enumerate(each for each in view.standards if not each.retuned):
        x, y = each.values[i], each.values[j]
        if x is None or y is None or x_end is None or y_end is None:
            continue
        name, turn = escape(each.words), place % len(DASHES)
        edge = each.name != SINGLE_TASK
        figure.add_scatter(
            x=[x, x, min(x_end, x) if x_axis.maximize else max(x_end, x)] if edge else [x],
            y=[min(y_end, y) if y_axis.maximize else max(y_end, y), y, y] if edge else [y],
            mode="lines+markers" if edge else "markers",
            line={"color": theme.light("muted"), "width": 1.3, "dash": DASHES[turn]},
            marker={"symbol": SYMBOLS[turn], "size": [0, 11, 0] if edge else 11, "color": theme.light("text")},
            hovertemplate=f"{name}<br>%{{x:.5g}}, %{{y:.5g}}<extra></extra>",
            name=name,
        )
        ends = near(x_axis), near(y_axis)
        inside = all(end and end[0] <= value <= end[1] for end, value in zip(ends, (x, y), strict=True))
        if inside:
            words = {"font": {"size": 11, "color": theme.light("muted")}, "xanchor": "right", "yanchor": "top"}
            figure.add_annotation(x=x, y=y, text=name, xshift=-6, yshift=-3, **words, **BESIDE)


def _retuned(figure: go.Figure, view: PageView, i: int, j: int) -> None:
    """Retuned static weights in order of weights, as small marks on a thin line."""
    found = [each for each in view.standards if each.retuned and None not in (each.values[i], each.values[j])]
    if found:
        figure.add_scatter(
            x=[each.values[i] for each in found],
            y=[each.values[j] for each in found],
            mode="lines+markers",
            line={"color": theme.light("muted"), "width": 0.9},
            marker={"symbol": "diamond", "size": 5, "color": theme.light("muted")},
            text=[escape(each.words) for each in found],
            hovertemplate="%{text}<br>%{x:.5g}, %{y:.5g}<extra></extra>",
            name=RETUNED,
        )
