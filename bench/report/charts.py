"""Figures in the page: the box around them, the legend of sharing kinds, and the key to marks and lines."""

from __future__ import annotations

import plotly.graph_objects as go

from bench.report import text, theme
from bench.report.markup import escaped, glyph, packed
from bench.report.plots import plane_figure
from bench.report.plots.certainty import RETUNED
from bench.report.view import Axis, PageView
from bench.rows import CONFIRM, SEARCH, SHORT

SAVED_AS = ("svg", "png", "csv")


def chart(
    figure: go.Figure, id: str, name: str, height: str, *, caption: bool = False, beside: str = "", least: int = 0
) -> str:
    """A figure with its data.

    Args:
        name: what it shows, for readers who do not see it; written above it as well with `caption`.
        height: in CSS.
        beside: markup that stands beside the caption.
        least: pixels of width that it keeps, in a scrolling box, on a narrow screen.
    """
    plot = f'<div class="plot waiting" data-figure="{id}" style="--height:{height}">Drawing</div>'
    if least:
        plot = (
            '<div class="scroll plain" tabindex="0" role="region" aria-label="Figure in a scrolling box">'
            f'<div style="min-width:{least}px">{plot}</div></div>'
        )
    title = f"<figcaption>{escaped(name)}</figcaption>" if caption else ""
    header = f"<header>{title}{beside}</header>" if title or beside else ""
    return f'<figure aria-label="{escaped(name)}">{header}{plot}{SAVE}</figure>{packed(id, figure.to_json())}'


SAVE = (
    '<div class="save" role="group" aria-label="Save this figure">'
    + "".join(f'<button type="button" data-action="save" data-as="{way}">{way.upper()}</button>' for way in SAVED_AS)
    + "</div>"
)


def projection(view: PageView, id: str, height: str) -> str:
    """A plane of two objectives that the reader chooses, among those of all ordered pairs."""
    count = range(len(view.axes))
    planes = "".join(
        packed(f"{id}-{i}-{j}", plane_figure(view, i, j).to_json()) for i in count for j in count if i != j
    )
    choices = "".join(
        f'<label>{way} <select data-action="project" data-way="{way}">{_options(view, i)}</select></label>'
        for i, way in enumerate(("across", "upwards"))
    )
    plot = (
        f'<div class="plot waiting" data-figure="{id}-0-1" data-family="{id}" style="--height:{height}">Drawing</div>'
    )
    header = (
        f'<header><figcaption>Two objectives of your choice</figcaption><div class="choice">{choices}</div></header>'
    )
    return f'<figure aria-label="Two objectives of your choice">{header}{plot}{SAVE}</figure>{planes}'


def _options(view: PageView, chosen: int) -> str:
    return "".join(
        f'<option value="{i}"{" selected" if i == chosen else ""}>{escaped(axis.label)}</option>'
        for i, axis in enumerate(view.axes)
    )


def legend(view: PageView) -> str:
    """The sharing kinds, each a button that hides it in all figures of the section."""
    keys = "".join(
        f'<button type="button" data-action="press" aria-pressed="true" data-kind="{escaped(kind)}">'
        f"{glyph(look)}{escaped(kind)}</button>"
        for kind, look in theme.looks(view.sharing_kinds).items()
    )
    return f'<div class="legend" role="group" aria-label="Sharing kinds: press one to hide or show it">{keys}</div>'


def notation(view: PageView) -> str:
    """What marks and lines of the front's figure mean; only those that are in it."""
    signs = [
        _dot(5.5) + ("on the front" if len(view.axes) > 1 else "the best"),
        _dot(3.5, 0.45) + f"trained once, on {SHORT[SEARCH]}",
    ]
    if runs := sorted({spread.runs for trial in view.trials for spread in trial.confirm if spread}):
        repeats = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
        noun = "replicate" if repeats == "1" else "replicates"
        bar = '<path d="M3 8H23M3 5V11M23 5V11" stroke="var(--front)" fill="none"/><circle cx="13" cy="8" r="4.5"/>'
        error = "and its 90% interval"
        if view.regions_known and len(view.axes) > 1:
            bar = '<ellipse cx="13" cy="8" rx="12" ry="6.5" fill="var(--front)" opacity=".25"/>'
            bar += '<circle cx="13" cy="8" r="4"/>'
            error = "and the 90% region of the true values"
        signs.append(_sign(bar) + f"mean of {repeats} {noun} on {SHORT[CONFIRM]} {error}")
    if len(view.axes) < 3:
        corner, words = ("M2 4H14V13H24", "front") if len(view.axes) == 2 else ("M2 12H9V8H17V4H24", "best so far")
        signs.append(_sign(f'<path d="{corner}" stroke="var(--front)" stroke-width="1.6" fill="none"/>') + words)
    if len(view.surfaces) > 1:
        few, most = view.surfaces[0].percent, view.surfaces[-1].percent
        band = '<path d="M1 3H15V13H25V16H8V9H1Z" style="fill:var(--accent)" opacity=".25"/>'
        signs.append(_sign(band) + f"attained by {few} to {most}% of seeds; dotted: by half")
    if any(each.retuned for each in view.standards):
        line = '<path d="M1 12L13 9L25 3" stroke="var(--muted)" stroke-width="1" fill="none"/>'
        line += '<path d="M13 6L16 9L13 12L10 9Z" style="fill:var(--muted)"/>'
        signs.append(_sign(line) + RETUNED)
    if names := ", ".join(escaped(each.words) for each in view.standards if not each.retuned):
        line = '<path d="M2 5H16V15" stroke="var(--muted)" stroke-width="1.5" stroke-dasharray="6 2" fill="none"/>'
        signs.append(_sign(line) + f"what {names} alone would have")
    if any(axis.baseline for axis in view.axes):
        line = '<path d="M1 8H25" stroke="var(--muted)" stroke-width="1.5" stroke-dasharray="4 3"/>'
        signs.append(_sign(line) + "best single-task trial of a task")
    if view.picked:
        ring = '<circle cx="13" cy="8" r="6.5" style="fill:none;stroke:var(--accent)" stroke-width="2.2"/>'
        signs.append(_sign(ring) + "picked")
    return f'<ul class="notation">{"".join(f"<li>{sign}</li>" for sign in signs)}</ul>'


def _sign(shape: str) -> str:
    return f'<svg class="sign" viewBox="0 0 26 16" aria-hidden="true">{shape}</svg>'


def _dot(radius: float, opacity: float = 1.0) -> str:
    return _sign(f'<circle cx="13" cy="8" r="{radius}" opacity="{opacity}"/>')


def zoom(view: PageView) -> str:
    """A button between the range near the front and all trials, where any lies outside."""
    outside = sum(
        any(_beyond(axis, value) for axis, value in zip(view.axes, trial.values, strict=True)) for trial in view.trials
    )
    if not outside:
        return ""
    words = text.count(outside, "trial") + (" lies" if outside == 1 else " lie")
    data = 'data-action="zoom" data-more="Show all" data-back="Back to the front"'
    return f'<span class="zoom">{words} outside this range <button type="button" {data}>Show all</button></span>'


def _beyond(axis: Axis, value: float | None) -> bool:
    return value is not None and axis.near is not None and axis.sign * value < axis.sign * axis.near[0]
