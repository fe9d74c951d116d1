"""From the values of a page to plotly figures, in light colours, each complete on its own.

A marker's `customdata` is its trial's number, its `legendgroup` the sharing kind; `layout.meta` holds the ranges
between which the page lets a reader switch. Text that comes from data is escaped: plotly reads some markup in it.
"""

from bench.report.plots.course import course_figure
from bench.report.plots.history import hypervolume_figure
from bench.report.plots.kinds import By, kinds_figure, ranked
from bench.report.plots.pairs import pairs_figure
from bench.report.plots.plane import plane_figure

__all__ = ["By", "course_figure", "hypervolume_figure", "kinds_figure", "pairs_figure", "plane_figure", "ranked"]
