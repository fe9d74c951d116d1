"""Every trial as a line across its objectives and parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from bench.records import Scalar
from bench.report import text, theme
from bench.report.findings import Id
from bench.report.plots.base import frame, grouped, marks
from bench.report.view import PageView

MOST_LINES = 300
"""Behind the front and its confirmed trials."""
MOST_PARAMETERS = 6
MOST_LABELS = 9
BACKED = {"bgcolor": theme.light("surface"), "opacity": 0.85, "borderpad": 0}
LOGARITHMIC = 30.0
"""From this ratio of largest to smallest on, positive numbers stand on a logarithmic scale."""


@dataclass(frozen=True)
class Scale:
    """An upright axis: where values stand, from 0 to 1, and what is written at some of these places."""

    title: str
    places: dict[Scalar, float]
    labels: tuple[tuple[float, str], ...]


def parallel_figure(view: PageView) -> go.Figure:
    """Objectives, better upwards, then what was searched: the parameters that made most of a difference.

    `layout.meta.lines` has all trials, of which the figure draws some of those behind the front.
    """
    names = _names(view)
    scales = _scales(view, names)
    lines: dict[Id, list[float | None]] = {}
    for trial in view.trials:
        params = dict(trial.params)
        values = (*trial.values, *(params.get(name) for name in names))
        lines[trial.id] = [_place(scale, value) for scale, value in zip(scales, values, strict=True)]
    figure = frame()
    for weight in ("behind", "confirmed", "front"):
        for kind, look, trials in grouped(view, weight, MOST_LINES):
            style = marks(view, kind, look, trials, weight)
            width = {"behind": 0.8, "confirmed": 1.2, "front": 2.2}[weight]
            style |= {
                "mode": "lines+markers",
                "line": {"color": look.colour, "width": width},
                "opacity": {"behind": 0.28, "confirmed": 0.7, "front": 1.0}[weight],
                "marker": {"color": look.colour, "symbol": look.symbol, "size": 7 if weight == "front" else 4},
                "customdata": [id for trial in trials for id in [*[trial.id] * len(scales), None]],
                "hovertemplate": "%{fullData.name}, trial %{customdata}<extra></extra>",
            }
            places = [[*lines[trial.id], None] for trial in trials]
            across = [*range(len(scales)), None] * len(trials)
            figure.add_scatter(x=across, y=[place for line in places for place in line], **style)
    upright = {"type": "line", "y0": 0, "y1": 1, "line": {"color": theme.light("line"), "width": 1}, "layer": "below"}
    figure.update_layout(  # all at once: plotly checks every annotation again for each that is added
        shapes=[upright | {"x0": i, "x1": i} for i in range(len(scales))],
        annotations=[words for i, scale in enumerate(scales) for words in _words(i, scale)],
    )
    figure.update_xaxes(range=[-0.5, len(scales) - 0.3], visible=False, fixedrange=True)
    figure.update_yaxes(range=[-0.06, 1.14], visible=False, fixedrange=True)
    figure.update_layout(meta={"lines": lines}, margin={"t": 6, "b": 6, "l": 8, "r": 8}, dragmode="select")
    return figure


def dimensions(view: PageView) -> int:
    """How many upright axes there are."""
    return len(view.axes) + len(_names(view))


def _names(view: PageView) -> list[str]:
    """Of parameters: by influence, else by how many trials have them, in their order."""
    if view.influences:
        return [each.name for each in view.influences[:MOST_PARAMETERS]]
    counts: dict[str, int] = {}
    distinct: dict[str, set[Scalar]] = {}
    for trial in view.trials:
        for name, value in trial.params:
            counts[name] = counts.get(name, 0) + 1
            distinct.setdefault(name, set()).add(value)
    varied = [name for name in counts if len(distinct[name]) > 1]
    return sorted(varied, key=lambda name: -counts[name])[:MOST_PARAMETERS]


def _scales(view: PageView, names: Sequence[str]) -> list[Scale]:
    found = []
    for i, axis in enumerate(view.axes):
        values = [value for trial in view.trials if (value := trial.values[i]) is not None]
        low, high = axis.near or (0.0, 1.0)
        outside = [value for value in values if axis.sign * value < axis.sign * low]
        places: dict[Scalar, float] = {value: max(0.0, (value - low) / (high - low)) for value in values}
        at = [(0.0, ("\N{LESS-THAN OR EQUAL TO} " if outside else "") + text.number(low)), (1.0, text.number(high))]
        if outside and not axis.maximize:
            at[0] = (0.0, "\N{GREATER-THAN OR EQUAL TO} " + text.number(low))
        found.append(Scale(f"{axis.label}\N{NO-BREAK SPACE}\N{UPWARDS ARROW}", places, tuple(at)))
    given = [dict(trial.params) for trial in view.trials]
    found += [_parameter(name, [params[name] for params in given if name in params]) for name in names]
    return found


def _parameter(name: str, values: Sequence[Scalar]) -> Scale:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values) and _continuous(set(numbers)) and all(map(math.isfinite, numbers)):
        low, high = min(numbers), max(numbers)
        bend = math.log if low > 0 and high / low >= LOGARITHMIC else float
        places: dict[Scalar, float] = {v: (bend(v) - bend(low)) / (bend(high) - bend(low)) for v in set(numbers)}
        return Scale(name, places, ((0.0, text.scalar(low)), (1.0, text.scalar(high))))
    levels = sorted(set(values), key=lambda value: (0, value, "") if value in numbers else (1, 0, str(value)))
    spots = {value: i / max(len(levels) - 1, 1) for i, value in enumerate(levels)}
    step = math.ceil(len(levels) / MOST_LABELS)
    labels = tuple((spots[value], text.clipped(text.scalar(value), 14)) for value in levels[::step])
    return Scale(name, spots, labels)


def _continuous(numbers: set[int | float]) -> bool:
    """Whether values are too many to be written one by one, or drawn from a range."""
    return len(numbers) > (
        4 if any(number != int(number) for number in numbers if math.isfinite(number)) else MOST_LABELS
    )


def _place(scale: Scale, value: Scalar) -> float | None:
    place = scale.places.get(value)
    return None if place is None else round(place, 3)


def _words(i: int, scale: Scale) -> list[dict[str, Any]]:
    """What is written at an upright axis: values beside it, its name above."""
    words: dict[str, Any] = {"x": i, "showarrow": False, "font": {"size": 11, "color": theme.light("muted")}}
    beside = words | {"xanchor": "right", "xshift": -5, **BACKED}
    title = "<br>".join(escape(part) for part in _folded(scale.title))
    above = words | {"font": {"size": 11.5, "color": theme.light("text")}, "yanchor": "bottom"}
    labels = [beside | {"y": place, "text": escape(label)} for place, label in scale.labels]
    return [*labels, above | {"y": 1.03, "text": title}]


def _folded(name: str, most: int = 12) -> list[str]:
    """A name in lines, broken after a dot or a blank."""
    lines = [""]
    for part in name.replace(".", ".\0").replace(" ", " \0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part) > most:
            lines.append("")
        lines[-1] += part
    return [text.clipped(line, most + 4) for line in lines]
