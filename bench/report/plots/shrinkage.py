"""The winner's curse: what the search saw of a trial, then its fresh seeds on three kinds of rows."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from bench.report import theme
from bench.report.plots.base import axis_title, frame, shortened
from bench.report.view import PageView

STAGES = ("search", "validation,<br>fresh seeds", "confirmation<br>rows", "test")


def shrinkage_figure(view: PageView, i: int) -> go.Figure:
    """A line for each confirmed trial in one objective."""
    figure = frame()
    for kind, look in theme.looks(view.sharing_kinds).items():
        own = [each for each in view.shrinkage if each.objective == i and each.sharing == kind]
        if not own:
            continue
        figure.add_scatter(
            x=[place for _ in own for place in (0, 1, 2, 3, None)],
            y=shortened(value for each in own for value in (each.search, each.valid, each.confirm, each.test, None)),
            mode="lines+markers",
            line={"color": look.colour, "width": 1.4},
            marker={"color": look.colour, "symbol": look.symbol, "size": 8},
            customdata=[number for each in own for number in (*[each.id] * 4, None)],
            legendgroup=kind,
            name=escape(kind),
            hovertemplate="trial %{customdata}: %{y:.5g}<extra></extra>",
        )
    figure.update_xaxes(tickvals=[0, 1, 2, 3], ticktext=list(STAGES), range=[-0.2, 3.2], showgrid=False)
    figure.update_yaxes(title_text=axis_title(view.axes[i]))
    figure.update_layout(showlegend=False, margin={"t": 8})
    return figure
