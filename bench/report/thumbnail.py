"""A front as a small drawing that needs no script: as many as one likes on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.report import text, theme
from bench.report.markup import escaped
from bench.report.view import Axis, PageView, Trial
from bench.rows import SHORT

WIDTH, HEIGHT, EDGE = 300, 190, 8
MOST_BEHIND = 300
"""Points behind the front that are drawn."""

Range = tuple[float, float]


def ranges(views: Sequence[PageView]) -> tuple[Range, ...]:
    """From worst to best in each objective, what any of these views of the same objectives opens with."""
    found = []
    for axes in zip(*(view.axes for view in views), strict=True):
        sign = axes[0].sign
        ends = [sign * end for axis in axes for end in axis.near or ()]
        found.append((sign * min(ends), sign * max(ends)) if ends else (0.0, 1.0))
    return tuple(found)


def thumbnail(view: PageView, spans: Sequence[Range], looks: Mapping[str, theme.Look]) -> str:
    """The plane of the first two objectives over these ranges, better to the right and up, with the front's line.

    With more than two objectives there is no line, and points of the front may lie anywhere in the plane. Nothing with
    one objective, or where nothing was measured. Points outside are left out.

    Args:
        looks: of each sharing kind.
    """
    if len(view.axes) < 2 or not view.front:
        return ""
    behind = [trial for trial in view.trials if not trial.on_front]
    shown = [*behind[:: 1 + len(behind) // MOST_BEHIND], *(trial for trial in view.trials if trial.on_front)]
    marks = "".join(_mark(trial, spans, looks[trial.sharing]) for trial in shown)
    corners = " ".join("{:.1f},{:.1f}".format(*_place(corner, spans)) for corner in view.step)
    line = f'<polyline points="{corners}" fill="none" stroke="var(--front)" stroke-width="1.5"/>' if corners else ""
    x, y = (_title(axis, span) for axis, span in zip(view.axes[:2], spans[:2], strict=True))
    points = f"{len(view.front)} of {len(view.trials)} points"
    words = f"The front of {points}, {SHORT[view.split]}: {x} to the right, {y} upwards."
    inner = f'x="{EDGE}" y="{EDGE}" width="{WIDTH - 2 * EDGE}" height="{HEIGHT - 2 * EDGE}"'
    return (
        f'<svg class="thumbnail" viewBox="0 0 {WIDTH} {HEIGHT + 18}" role="img" aria-label="{escaped(words)}">'
        f'<rect {inner} fill="none" stroke="var(--line)"/>{line}{marks}'
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT + 10}" text-anchor="end">{escaped(x)} \N{RIGHTWARDS ARROW}</text>'
        f'<text x="{EDGE + 6}" y="{EDGE + 16}">\N{UPWARDS ARROW} {escaped(y)}</text></svg>'
    )


def _title(axis: Axis, span: Range) -> str:
    return f"{axis.label} {text.number(span[0])} to {text.number(span[1])}"


def _shares(place: Sequence[float | None], spans: Sequence[Range]) -> list[float]:
    """Of the way from worst to best; below 0 where nothing was measured."""
    return [
        -1.0 if value is None else (value - worst) / ((best - worst) or 1.0)
        for value, (worst, best) in zip(place, spans[:2], strict=False)
    ]


def _place(place: Sequence[float | None], spans: Sequence[Range]) -> tuple[float, float]:
    """Where a point is drawn, at the edge where it lies beyond."""
    across, up = (min(1.0, max(0.0, share)) for share in _shares(place, spans))
    return EDGE + across * (WIDTH - 2 * EDGE), HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)


def _mark(trial: Trial, spans: Sequence[Range], look: theme.Look) -> str:
    if not all(0 <= share <= 1 for share in _shares(trial.values, spans)):
        return ""
    x, y = _place(trial.values, spans)
    size, opacity = (0.95, 1) if trial.on_front else (0.55, 0.45)
    shape = f'd="{theme.SYMBOLS[look.symbol]}" fill="var(--{look.role})" opacity="{opacity}"'
    return f'<path transform="translate({x:.1f} {y:.1f}) scale({size})" {shape}/>'
