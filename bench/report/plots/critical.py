"""Critical-difference diagram: mean ranks over data sets, and which of them cannot be told apart."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from bench.frontier.comparison.ranks import Ranking
from bench.report import theme
from bench.report.plots.base import frame


def critical_figure(ranking: Ranking) -> go.Figure:
    """Methods from the best mean rank on top, with the critical difference, and a bar for each clique.

    Demšar, JMLR 2006, has the names around one axis; a row for each is read more easily, on a phone, too.
    """
    figure = frame()
    rows = list(range(len(ranking.names)))
    for first, last in ranking.cliques:
        lane = ranking.ranks[last] + 0.06 * (1 + ranking.cliques.index((first, last)))
        bar = {"color": theme.light("line"), "width": 5}
        figure.add_scatter(x=[lane, lane], y=[first, last], mode="lines", line=bar, hoverinfo="skip", name="clique")
    figure.add_scatter(
        x=ranking.ranks,
        y=rows,
        mode="markers+text",
        text=[f"  {escape(name)} {rank:.2f}" for name, rank in zip(ranking.names, ranking.ranks, strict=True)],
        textposition="middle right",
        marker={"size": 10, "color": theme.light("accent")},
        hoverinfo="skip",
        name="mean rank",
    )
    scale = {"color": theme.light("text"), "width": 2}
    figure.add_scatter(
        x=[1, 1 + ranking.critical], y=[-1, -1], mode="lines", line=scale, hoverinfo="skip", name="scale"
    )
    figure.add_annotation(
        x=1, y=-1, text=f"critical difference {ranking.critical:.2f}", yshift=12, xanchor="left", showarrow=False
    )
    figure.update_xaxes(title_text="mean rank, 1 is best", range=[0.8, max(len(rows), 1 + ranking.critical) + 1.2])
    figure.update_yaxes(range=[len(rows) - 0.5, -1.7], visible=False)
    figure.update_layout(showlegend=False)
    return figure
