"""Hypervolume over a run."""

from __future__ import annotations

import plotly.graph_objects as go

from bench.report import theme
from bench.report.plots.base import frame, on_rows
from bench.report.view import PageView
from bench.rows import CONFIRM, SEARCH, SHORT


def hypervolume_figure(view: PageView) -> go.Figure:
    """Hypervolume after each finished trial, by what the search saw; by training samples in a search by rungs."""
    volumes = [volume for _, _, volume in view.history]
    steps = [i for i, volume in enumerate(volumes) if i in (0, len(volumes) - 1) or volume != volumes[i - 1]]
    corners = [(view.history[i][0], volumes[i]) for i in steps]
    ink = theme.light("front")
    unit = "samples" if view.by_samples else "trials"
    figure = frame()
    figure.add_scatter(
        x=[finished for finished, _ in corners],
        y=[volume for _, volume in corners],
        mode="lines",
        line={"color": theme.light("accent"), "width": 2.2, "shape": "hv"},
        hovertemplate=f"after %{{x}} {unit}: %{{y:.5f}}<extra></extra>",
        name="hypervolume",
    )
    if view.hypervolume_interval is not None and corners:
        low, high = view.hypervolume_interval
        figure.add_scatter(
            x=[corners[-1][0]],
            y=[view.hypervolume],
            error_y={"type": "data", "symmetric": False, "array": [high - view.hypervolume], "color": ink}
            | {"arrayminus": [view.hypervolume - low], "thickness": 1.6, "width": 5},
            mode="markers",
            marker={"color": ink, "symbol": "diamond", "size": 9},
            cliponaxis=False,
            hovertemplate=f"{SHORT[CONFIRM]}: %{{y:.5f}}, 90% interval {low:.5f} to {high:.5f}<extra></extra>",
            name="confirmed, 90% interval",
        )
    figure.update_xaxes(title_text="training samples" if view.by_samples else "trials finished")
    figure.update_yaxes(title_text=on_rows("hypervolume  \N{RIGHTWARDS ARROW} better", SEARCH), tickformat="~g")
    figure.update_layout(showlegend=False, margin={"t": 10})
    return figure
