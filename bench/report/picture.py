"""A front as a drawing that needs no script: for the board, notebooks and MLflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.report import text
from bench.report.markup import COLOURS, FONT, SYMBOLS, Look, escaped, looks_of
from bench.report.view import Plane, View

WIDTH, HEIGHT, EDGE, FOOT = 300, 208, 18, 18
MOST_BEHIND = 300
"""Points behind the front that are drawn."""
MANY = 40
"""The number of points from which on marks are small."""
STANDALONE = (
    f'xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{2 * (HEIGHT + FOOT)}" '
    f'font-family="{escaped(FONT)}" font-size="11"'
)


class Picture:
    """An SVG that a notebook shows and that can be written to a file."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_svg_(self) -> str:
        return self.svg


def standalone(view: View, plane: Plane | None = None) -> Picture:
    """The picture in light colours, right by itself."""
    svg = picture(view, plane)
    for role, (colour, _) in COLOURS.items():
        svg = svg.replace(f"var(--{role})", colour)
    return Picture(svg.replace("<svg ", f"<svg {STANDALONE} ", 1))


def picture(view: View, plane: Plane | None = None, looks: dict[str, Look] | None = None) -> str:
    """The plane of the first two axes, better to the right and upwards; by itself each view has its own range.

    Values are differences from the current point where it is known, with lines at zero, else absolute; the pick has a
    ring. With two axes a line joins what no point of the front dominates on the rows drawn. With more than two, points
    of the front may lie anywhere. Nothing with one axis, or without a front.

    Args:
        plane: of the view; the first one where None.
        looks: of each architecture, where several pictures share them.
    """
    plane = plane or view.planes[0]
    front = plane.front
    if len(plane.axes) < 2 or front.empty:
        return ""
    split = plane.splits[0]
    part = ".gain" if front[f"{split}/{plane.axes[0].name}.gain"].notna().any() else ""
    columns = [f"{split}/{axis.name}{part}" for axis in plane.axes[:2]]
    placed = plane.table[plane.table[columns].notna().all(axis=1)]
    on, behind = placed[placed["on_front"].astype(bool)], placed[~placed["on_front"].astype(bool)]
    behind = behind.iloc[:: 1 + len(behind) // MOST_BEHIND]
    if on.empty:
        return ""
    looks = looks or looks_of(plane.table["architecture"])
    spans = [_span(plane, placed, column, i, part) for i, column in enumerate(columns)]

    def place(row: pd.Series[float]) -> tuple[float, float]:
        across, up = (
            (float(row[column]) - worst) / ((best - worst) or 1.0)
            for column, (worst, best) in zip(columns, spans, strict=True)
        )
        return EDGE + across * (WIDTH - 2 * EDGE), HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)

    marks = []
    small = 0.6 if len(placed) > MANY else 1.0
    for rows, size, opacity in ((behind, 0.55 * small, 0.45), (on, 0.8 * small, 1)):
        for _, row in rows.iterrows():
            x, y = place(row)
            if EDGE <= x <= WIDTH - EDGE and EDGE <= y <= HEIGHT - EDGE:
                look = looks[row["architecture"]]
                shape = f'd="{SYMBOLS[look.symbol]}" fill="var(--{look.role})" opacity="{opacity}"'
                marks.append(f'<path transform="translate({x:.1f} {y:.1f}) scale({size:.2f})" {shape}/>')
    for x, y in (place(row) for _, row in _picked(view, plane, placed).iterrows()):
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="var(--accent)" stroke-width="2.5"/>')
    line = ""
    if part:
        x, y = place(pd.Series(dict.fromkeys(columns, 0.0)))
        across = f"M{x:.1f} {EDGE}V{HEIGHT - EDGE}" if EDGE < x < WIDTH - EDGE else ""
        line = across + (f"M{EDGE} {y:.1f}H{WIDTH - EDGE}" if EDGE < y < HEIGHT - EDGE else "")
        line = f'<path d="{line}" stroke="var(--line)"/>' if line else ""
    if len(plane.axes) == 2:
        corners = sorted((place(row) for _, row in on.iterrows()), reverse=True)
        highest = np.minimum.accumulate([y for _, y in corners])
        ahead = [corners[0], *(c for c, before in zip(corners[1:], highest, strict=False) if c[1] < before)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in ahead)
        line += f'<polyline points="{points}" fill="none" stroke="var(--front)" stroke-width="1.2"/>'
    names = [_title(plane, i, part, spans[i]) for i in (0, 1)]
    words = f"The front, {len(on)} of {len(placed)} points: {names[0]} to the right, {names[1]} upwards."
    inner = f'x="{EDGE}" y="{EDGE}" width="{WIDTH - 2 * EDGE}" height="{HEIGHT - 2 * EDGE}"'
    return (
        f'<svg class="thumbnail" viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" role="img" aria-label="{escaped(words)}">'
        f'<rect {inner} fill="none" stroke="var(--line)"/>{line}{"".join(marks)}'
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT + 10}" text-anchor="end" fill="var(--muted)">'
        f"{escaped(names[0])} \N{RIGHTWARDS ARROW}</text>"
        f'<text x="{EDGE}" y="{EDGE - 6}" fill="var(--muted)">\N{UPWARDS ARROW} {escaped(names[1])}</text></svg>'
    )


def _picked(view: View, plane: Plane, placed: pd.DataFrame) -> pd.DataFrame:
    """The pick's row, where it is drawn."""
    rows = placed[placed["point"] == (view.pick.point if view.pick else None)]
    if plane.kind == "heads" or view.decision is None or view.decision.pick is None:
        return rows.iloc[:1]
    weights = view.decision.table["weights"].iloc[view.decision.pick]
    return rows[[each == weights for each in rows["weights"]]].iloc[:1]


def _span(plane: Plane, placed: pd.DataFrame, column: str, i: int, part: str) -> tuple[float, float]:
    """From worst to best: the front, and the better three quarters of the rest, at most as far again below it."""
    sign = plane.axes[i].sign if not part else 1.0
    values = sign * placed[column].to_numpy(dtype=float)
    front = values[placed["on_front"].to_numpy(dtype=bool)]
    low, high = float(front.min()), float(values.max())
    low = min(low, max(float(np.quantile(values, 0.25)), low - (high - low)))
    alone = 1 / plane.axes[i].scale if part else 0.01 * abs(high) or 1.0  # of equal values: a thousandth, or 1%
    pad = 0.05 * (high - low) or alone
    return sign * (low - pad), sign * (high + pad)


def _title(plane: Plane, i: int, part: str, span: Sequence[float]) -> str:
    axis = plane.axes[i]
    if not part:
        return f"{axis.label} {text.number(span[0])} to {text.number(span[1])}"
    low, high = (text.signed(axis.scale * end, axis.scale) for end in span)
    return f"{axis.label} {low} to {high}" + ("%" if axis.relative else " \N{MULTIPLICATION SIGN} 1000")
