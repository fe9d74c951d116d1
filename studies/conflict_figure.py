"""The ways of `conflict.py` as an SVG: where they begin, where they end, and where each task is
solved.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WIDTH, HEIGHT, MARGIN = 640, 400, 40
X, Y = (-3.5, 3.0), (-4.0, 8.0)
COLOURS = ("#7a7a7a", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
EVERY = 100  # steps between the points of a line


def svg(paths: Mapping[str, Array]) -> str:
    """A picture of ways (steps, 2), one line for each."""
    y = np.linspace(*Y, 200)
    solved = {"first task solved": -2 * np.tanh(y), "second task solved": 2 * np.tanh(y) - 4}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<clipPath id="a"><rect x="{MARGIN}" y="{MARGIN}" width="{WIDTH - 2 * MARGIN}" '
        f'height="{HEIGHT - 2 * MARGIN}"/></clipPath>',
        '<g clip-path="url(#a)" fill="none">',
    ]
    parts += [_line(np.stack([x, y], 1), "#bbbbbb", dash=True) for x in solved.values()]
    parts += [
        _line(path[::EVERY], colour) for path, colour in zip(paths.values(), COLOURS, strict=True)
    ]
    parts.append("</g>")
    for colour, (name, path) in zip(COLOURS, paths.items(), strict=True):
        (x, y_) = _place(path[-1:])[0]
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y_:.1f}" r="4" '
            f'fill="{colour}"><title>{name}</title></circle>'
        )
    for number, (colour, name) in enumerate(zip(COLOURS, paths, strict=True)):
        parts.append(f'<text x="{MARGIN + 90 * number}" y="20" fill="{colour}">{name}</text>')
    legend = f"x from {X[0]:g} to {X[1]:g}, y upwards from {Y[0]:g} to {Y[1]:g}; "
    legend += "dashed: where one task is solved; dots: where each way ends"
    parts.append(f'<text x="{MARGIN}" y="{HEIGHT - 12}" fill="#555555">{legend}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _place(points: Array) -> Array:
    """Points (N, 2) in the picture's units."""
    scale = np.array([(WIDTH - 2 * MARGIN) / (X[1] - X[0]), (HEIGHT - 2 * MARGIN) / (Y[1] - Y[0])])
    inside = (points - np.array([X[0], Y[0]])) * scale
    return np.stack([MARGIN + inside[:, 0], HEIGHT - MARGIN - inside[:, 1]], 1)


def _line(points: Array, colour: str, dash: bool = False) -> str:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in _place(points))
    dashes = ' stroke-dasharray="4 4"' if dash else ""
    return f'<polyline points="{text}" stroke="{colour}" stroke-width="1.5"{dashes}/>'
