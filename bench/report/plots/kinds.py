"""Which kinds did well: every trial on one objective, a row for each sharing or balancing kind."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go

from bench.report import text, theme
from bench.report.plots.base import BESIDE, axis_title, frame, marks, shortened
from bench.report.plots.references import dashed
from bench.report.view import Axis, PageView, Trial
from bench.rows import SEARCH

By = Literal["sharing", "balancing"]

MOST_DOTS = 250
"""In a row; of more trials, evenly spaced ranks are shown."""
MOST_BELOW = 2.5
"""The scale goes at most this many times below what the range near the front spans."""
GOLDEN = (5**0.5 - 1) / 2


def kinds_figure(view: PageView, by: By, i: int) -> go.Figure:
    """Trials by what the search saw, the best kind on top; each kind's best is marked and its value written."""
    axis, looks = view.axes[i], theme.looks(view.sharing_kinds)
    rows = list(reversed(ranked(view, by, i)))
    low, high = _reach(axis, [value for _, found in rows if (value := found[0].seen[i]) is not None])
    dots = [(row, trial) for row, (_, found) in enumerate(rows) for trial in thinned(found[1:])]
    leaders = [(row, found[0]) for row, (_, found) in enumerate(rows)]
    figure = frame()
    for kind, look in looks.items():
        own = [(row, trial) for row, trial in dots if trial.sharing == kind]
        if own:
            figure.add_scatter(
                x=shortened(trial.seen[i] for _, trial in own),
                y=shortened(row + 0.5 * (trial.number * GOLDEN % 1 - 0.5) for row, trial in own),
                **marks(view, kind, look, [trial for _, trial in own], "behind"),
            )
        own = [(row, trial) for row, trial in leaders if trial.sharing == kind]
        if own:
            figure.add_scatter(
                x=shortened(trial.seen[i] for _, trial in own),
                y=[row for row, _ in own],
                **marks(view, kind, look, [trial for _, trial in own], "front"),
            )
    labels = [_label(axis, row, trial, value, low) for row, trial in leaders if (value := trial.seen[i]) is not None]
    figure.update_layout(annotations=labels)
    if axis.search_baseline is not None:
        dashed(figure, "x", axis.search_baseline.value)
    figure.update_xaxes(title_text=axis_title(axis, SEARCH), range=sorted((low, high)), nticks=6)
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[escape(text.clipped(kind)) for kind, _ in rows],
        range=[-0.6, len(rows) - 0.4],
        showgrid=False,
        ticks="",
        tickfont={"color": theme.light("text")},
    )
    figure.update_layout(showlegend=False, margin={"t": 6})
    return figure


def ranked(view: PageView, by: By, i: int) -> list[tuple[str, list[Trial]]]:
    """Kinds with their trials, both best first."""
    groups: dict[str, list[tuple[float, int, Trial]]] = {}
    for trial in view.trials:
        if (value := trial.seen[i]) is not None:
            groups.setdefault(getattr(trial, by), []).append((-view.axes[i].sign * value, trial.number, trial))
    for found in groups.values():
        found.sort(key=lambda each: each[:2])
    best_first = sorted(groups.items(), key=lambda group: (group[1][0][0], group[0]))
    return [(kind, [trial for _, _, trial in found]) for kind, found in best_first]


def thinned(found: Sequence[Trial], most: int = MOST_DOTS) -> Sequence[Trial]:
    """At most that many of ranked trials: the first, the last, and evenly spaced ranks between."""
    if len(found) <= most:
        return found
    return [found[round(i * (len(found) - 1) / (most - 1))] for i in range(most)]


def _reach(axis: Axis, leaders: Sequence[float]) -> tuple[float, float]:
    """From worst to best: the range near the front, widened for the best of each kind, and for its label."""
    sign, values = axis.sign, [axis.sign * value for value in leaders]
    bottom, top = (sign * end for end in axis.near or (0.0, sign))
    top = max([top, *values])
    low = min(bottom, max(min(values, default=bottom), top - MOST_BELOW * (top - bottom)))
    return sign * (low - 0.04 * (top - low)), sign * (top + 0.16 * (top - low))


def _label(axis: Axis, row: int, trial: Trial, value: float, low: float) -> dict[str, Any]:
    """A best value beside its mark, or at the edge where it is off the scale; named for what hides with it."""
    off = axis.sign * value < axis.sign * low
    words = text.number(value)
    if off:
        words = (
            f"\N{BLACK LEFT-POINTING SMALL TRIANGLE} {words}"
            if axis.maximize
            else f"{words} \N{BLACK RIGHT-POINTING SMALL TRIANGLE}"
        )
    return {
        "x": low if off else value,
        "y": row,
        "text": words,
        "name": trial.sharing,
        "font": {"size": 12},
        "xanchor": "left" if axis.maximize else "right",
        "xshift": (4 if off else 9) * (1 if axis.maximize else -1),
        **BESIDE,
    }
