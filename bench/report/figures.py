"""The page's figures one by one, by name: for notebooks."""

from __future__ import annotations

from collections.abc import Callable

from plotly.graph_objects import Figure

from bench.report import plots
from bench.report.view import PageView

__all__ = ["FIGURES", "Figure", "front_figure"]


def front_figure(view: PageView) -> Figure:
    """The front: of one objective its course, of two their plane, of more every pair."""
    figure = {1: plots.course_figure, 2: plots.plane_figure}.get(len(view.axes), plots.pairs_figure)
    return figure(view)


FIGURES: dict[str, Callable[[PageView, int], Figure]] = {
    "front": lambda view, objective: front_figure(view),
    "hypervolume": lambda view, objective: plots.hypervolume_figure(view),
    "sharing": lambda view, objective: plots.kinds_figure(view, "sharing", objective),
    "balancing": lambda view, objective: plots.kinds_figure(view, "balancing", objective),
}
"""A figure of a view, by name; those of kinds are of one objective, by its place."""
