"""What the search spent by sharing kind and stage, and which parameters made a difference."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from bench.report import text, theme
from bench.report.effort import REPLICATES
from bench.report.plots.base import frame
from bench.report.view import PageView

MOST_INFLUENCES = 12
HATCHES = ("", "x", "-", ".", "|", "+", "\\", "x", "-", ".", "|", "+")
"""Of stages, from full length down."""


def budget_figure(view: PageView) -> go.Figure:
    """Training samples: a bar for each sharing kind, in parts by stage: solid is full length, slanted replicates."""
    kinds = [each.kind for each in reversed(view.spent)]
    stages = list(dict.fromkeys(stage for each in view.spent for stage, _ in each.samples))
    ladder = sorted((stage for stage in stages if stage != REPLICATES), key=_length)
    figure, ink = frame(), theme.light("accent")
    for place, stage in enumerate([*ladder, *(stage for stage in stages if stage == REPLICATES)]):
        amounts = [dict(each.samples).get(stage, 0) for each in reversed(view.spent)]
        shape = "/" if stage == REPLICATES else HATCHES[(len(ladder) - 1 - place) % len(HATCHES)]
        pattern = {"shape": shape, "size": 6, "solidity": 0.45, "fgcolor": ink, "bgcolor": theme.light("surface")}
        figure.add_bar(
            y=[escape(text.clipped(kind)) for kind in kinds],
            x=amounts,
            orientation="h",
            name=stage,
            marker={"color": ink, "pattern": pattern, "line": {"color": ink, "width": 1}},
            hovertemplate=f"%{{y}}, {stage}: %{{x:,}} samples<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35, margin={"t": 6}, meta={"legend": True})
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"})
    figure.update_xaxes(title_text="training samples")
    figure.update_yaxes(showgrid=False, ticks="", tickfont={"color": theme.light("text")})
    return figure


def influence_figure(view: PageView) -> go.Figure:
    """Shares of variance as bars with their intervals, the largest on top."""
    shown = list(reversed(view.influences[:MOST_INFLUENCES]))
    figure = frame()
    figure.add_bar(
        y=[escape(text.clipped(each.name, 34)) for each in shown],
        x=[each.share for each in shown],
        orientation="h",
        marker={"color": theme.light("accent"), "opacity": 0.75},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.share for each in shown],
            "arrayminus": [each.share - each.low for each in shown],
            "color": theme.light("front"),
            "thickness": 1.4,
            "width": 4,
        },
        customdata=None,
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        name="share of variance",
    )
    figure.update_layout(showlegend=False, bargap=0.4, margin={"t": 6})
    figure.update_xaxes(title_text="share of variance", tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(showgrid=False, ticks="", tickfont={"color": theme.light("text")})
    return figure


def _length(stage: str) -> int:
    """Stages by length; full length is the last."""
    digits = "".join(filter(str.isdigit, stage))
    return int(digits) if digits else 10**18
