"""Hypervolume over a run."""

from __future__ import annotations

import plotly.graph_objects as go

from bench.report import theme
from bench.report.plots.base import frame
from bench.report.view import PageView


def hypervolume_figure(view: PageView) -> go.Figure:
    """Hypervolume after each finished trial, by what the search saw; by training samples in a search by rungs."""
    volumes = [volume for _, _, volume in view.history]
    steps = [i for i, volume in enumerate(volumes) if i in (0, len(volumes) - 1) or volume != volumes[i - 1]]
    corners = [(view.history[i][0], volumes[i]) for i in steps]
    unit = "samples" if view.by_rungs else "trials"
    figure = frame()
    figure.add_scatter(
        x=[finished for finished, _ in corners],
        y=[volume for _, volume in corners],
        mode="lines",
        line={"color": theme.light("accent"), "width": 2.2, "shape": "hv"},
        hovertemplate=f"after %{{x}} {unit}: %{{y:.5f}}<extra></extra>",
        name="hypervolume",
    )
    figure.update_xaxes(title_text="training samples" if view.by_rungs else "trials finished")
    figure.update_yaxes(title_text="hypervolume  \N{RIGHTWARDS ARROW} better")
    figure.update_layout(showlegend=False, margin={"t": 10})
    return figure
