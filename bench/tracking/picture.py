"""A front as a small picture (SVG) for the description of a run in MLflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT, EDGE = 640, 400, 64
_STYLE = {
    "front": ("#1f77b4", 4),
    "baseline": ("#888888", 5),
    "current": ("#000000", 6),
    "picked": ("#d62728", 8),
    "other": ("#c6d5e3", 3),
}


class Mark(NamedTuple):
    """A point of the picture; `role` is a key of the colours, `name` is written beside it where it is not empty."""

    x: float
    y: float
    role: str
    name: str = ""


def picture(marks: Sequence[Mark], x: str, y: str, title: str) -> str:
    """The picture; marks that are not finite are left out."""
    shown = [mark for mark in marks if math.isfinite(mark.x) and math.isfinite(mark.y)]
    order = ("other", "front", "baseline", "current", "picked")
    shown.sort(key=lambda mark: order.index(mark.role))  # what matters is drawn last
    across = _scale([mark.x for mark in shown], EDGE, WIDTH - EDGE)
    up = _scale([mark.y for mark in shown], HEIGHT - EDGE, EDGE)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{EDGE}" y="24" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{EDGE} {EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}" fill="none" stroke="#444444"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x)}</text>',
        f'<text x="{EDGE}" y="{EDGE - 14}">{escape(y)}</text>',
    ]
    for at in across.ticks:
        lines.append(f'<text x="{across(at):.1f}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{at:.4g}</text>')
    for at in up.ticks:
        lines.append(f'<text x="{EDGE - 6}" y="{up(at) + 4:.1f}" text-anchor="end">{at:.4g}</text>')
    for mark in shown:
        colour, size = _STYLE[mark.role]
        where = f'cx="{across(mark.x):.1f}" cy="{up(mark.y):.1f}" r="{size}"'
        lines.append(f'<circle {where} fill="{colour}"><title>{escape(mark.name)}</title></circle>')
        if mark.name:
            right = across(mark.x) > WIDTH * 0.7  # so that no name leaves the picture
            side = f'x="{across(mark.x) + (-10 if right else 10):.1f}" text-anchor="{"end" if right else "start"}"'
            lines.append(f'<text {side} y="{up(mark.y) - 8:.1f}" fill="{colour}">{escape(mark.name)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


class _Scale(NamedTuple):
    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Its ends, and 0 where it lies well between them."""
        middle = (0.0,) if 0.1 < -self.low / (self.high - self.low) < 0.9 else ()
        return (self.low, *middle, self.high)


def _scale(values: Sequence[float], begin: float, end: float) -> _Scale:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return _Scale(low, high, begin, end) if high > low else _Scale(low - 0.5, low + 0.5, begin, end)
