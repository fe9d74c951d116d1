"""From the values of a page to plotly figures, in light colours, each complete on its own.

A marker's `customdata` is its trial's id, its `legendgroup` the sharing kind. `layout.meta` holds the ranges between
which the page lets a reader switch, and where selected trials go. Text that comes from data is escaped: plotly reads
some markup in it.
"""

from bench.report.plots.base import drawn_of
from bench.report.plots.course import course_figure
from bench.report.plots.effort import MOST_INFLUENCES, budget_figure, influence_figure
from bench.report.plots.history import hypervolume_figure
from bench.report.plots.kinds import By, kinds_figure, ranked
from bench.report.plots.pairs import most_behind, pairs_figure
from bench.report.plots.parallel import MOST_LINES, dimensions, parallel_figure
from bench.report.plots.plane import plane_figure
from bench.report.plots.shrinkage import shrinkage_figure

__all__ = [
    "MOST_INFLUENCES",
    "MOST_LINES",
    "By",
    "budget_figure",
    "course_figure",
    "dimensions",
    "drawn_of",
    "hypervolume_figure",
    "influence_figure",
    "kinds_figure",
    "most_behind",
    "pairs_figure",
    "parallel_figure",
    "plane_figure",
    "ranked",
    "shrinkage_figure",
]
