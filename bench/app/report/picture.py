"""Plots that need no script: for the page, notebooks and MLflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.app.report import text
from bench.app.report.explained import chart
from bench.app.report.markup import COLOURS, FONT, escaped, looks_of
from bench.app.report.section import Axis, PageSection, axes_of, splits_of
from bench.core.arrays import Floats
from bench.ledger.ledger import Ledger

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


def standalone(svg: str) -> Picture:
    """A plot in light colours, right by itself."""
    for role, (colour, _) in COLOURS.items():
        svg = svg.replace(f"var(--{role})", colour)
    return Picture(svg.replace("<svg ", f"<svg {STANDALONE} ", 1))


@dataclass(frozen=True)
class Plane:
    """What a plot of a front shows: S points in the first two measures.

    Attributes:
        axes: of all measures.
        split: whose rows it is of.
        part: `gain`, over the current point, or `value` where no gain is known.
        values, low, high: (S, 2), with intervals; NaN where unknown.
        on, behind: rows on the front, and those of others that are drawn.
        kinds: by row, what has a look of its own: the architecture, or current.
        names: of the points, by row.
        against: the name of the point that gains are over; empty where there is none.
        spans: by axis from worst to best.
        picked: the pick's row; None without one.
        advised: the row that the verdict says to serve; None of heads, and where it keeps what
            there is.
    """

    axes: tuple[Axis, ...]
    split: str
    part: str
    values: Floats
    low: Floats
    high: Floats
    on: NDArray[np.intp]
    behind: NDArray[np.intp]
    kinds: list[str]
    names: list[str]
    against: str
    spans: list[tuple[float, float]]
    picked: int | None
    advised: int | None

    @property
    def placed(self) -> list[int]:
        """Rows with both values."""
        return np.flatnonzero(np.isfinite(self.values).all(axis=1)).tolist()

    @property
    def front_line(self) -> list[int]:
        """Rows on the front that no other one dominates, the best in the first measure first."""
        signs = _signs(self.axes, self.part)
        places = {row: (self.values[row] * signs).tolist() for row in self.on.tolist()}
        ahead = list[int]()
        for row in sorted(places, key=lambda row: (-places[row][0], places[row][1])):
            if not ahead or places[row][1] > max(places[other][1] for other in ahead):
                ahead.append(row)
        return ahead


def _signs(axes: Sequence[Axis], part: str) -> list[float]:
    """By axis 1 where more is better, else -1; more of a gain always is."""
    return [axis.objective.sign if part == "value" else 1.0 for axis in axes[:2]]


def plane_of(section: PageSection, ledger: Ledger | None = None) -> Plane | None:
    """What the plot of a front shows, the first one where None; None with one axis, or without a
    front.
    """
    ledger = ledger or section.fronts[0]
    axes, split = axes_of(ledger), splits_of(ledger)[0]
    if len(axes) < 2 or not ledger.front.any():
        return None
    part = "gain" if np.isfinite(ledger.at(split, "gain")[ledger.front, 0]).any() else "value"
    low, high = ("gain_low", "gain_high") if part == "gain" else ("low", "high")
    values = ledger.at(split, part)[:, :2]
    placed = np.isfinite(values).all(axis=1)
    on, behind = (np.flatnonzero(placed & of) for of in (ledger.front, ~ledger.front))
    if not len(on):
        return None
    signs = _signs(axes, part)
    spans = [
        _span(
            values[placed, i],
            ledger.front[placed],
            signs[i],
            0.0 if part == "value" else 1 / axes[i].scale,
        )
        for i in (0, 1)
    ]
    names = ledger.table["name"].astype(str).tolist()
    return Plane(
        axes=axes,
        split=split,
        part=part,
        values=values,
        low=ledger.at(split, low)[:, :2],
        high=ledger.at(split, high)[:, :2],
        on=on,
        behind=behind[:: 1 + len(behind) // MOST_BEHIND],
        kinds=ledger.table["architecture"]
        .where(ledger.table["role"] != "current", "current")
        .tolist(),
        names=names,
        against="" if ledger.current is None else names[ledger.current],
        spans=spans,
        picked=_picked(section, ledger),
        advised=section.decision.verdict.row if ledger.served else None,
    )


def picture(section: PageSection, ledger: Ledger | None = None) -> str:
    """The plane of the first two axes, better to the right and upwards; by itself each section has
    its own range.

    Values are differences from the current point, or what stands for it, with lines at zero, else
    absolute; the pick has a ring. With two axes a line joins what no point of the front dominates
    on the rows drawn. With more than two, points of the front may lie anywhere. Nothing with one
    axis, or without a front.

    Args:
        ledger: a front of the section; the first one where None.
    """
    plane = plane_of(section, ledger)
    if plane is None:
        return ""
    axes, part, spans, on = plane.axes, plane.part, plane.spans, plane.on
    looks = looks_of(plane.kinds)

    def place(row: Sequence[float]) -> tuple[float, float]:
        across, up = (
            (value - worst) / ((best - worst) or 1.0)
            for value, (worst, best) in zip(row, spans, strict=True)
        )
        return EDGE + across * (WIDTH - 2 * EDGE), HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)

    places = {row: place(plane.values[row].tolist()) for row in plane.placed}
    marks = []
    small = 0.6 if len(places) > MANY else 1.0
    for rows, size, opacity in ((plane.behind, 0.55 * small, 0.45), (on, 0.8 * small, 1)):
        for row in rows.tolist():
            x, y = places[row]
            if EDGE <= x <= WIDTH - EDGE and EDGE <= y <= HEIGHT - EDGE:
                role, mark = looks[plane.kinds[row]]
                shape = f'd="{mark}" fill="var(--{role})" opacity="{opacity}"'
                marks.append(
                    f'<path transform="translate({x:.1f} {y:.1f}) scale({size:.2f})" {shape}/>'
                )
    if plane.picked in places:
        x, y = places[plane.picked]
        marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="var(--accent)" '
            'stroke-width="2.5"/>'
        )
    line = ""
    if part == "gain":
        x, y = place([0.0, 0.0])
        across = f"M{x:.1f} {EDGE}V{HEIGHT - EDGE}" if EDGE < x < WIDTH - EDGE else ""
        line = across + (f"M{EDGE} {y:.1f}H{WIDTH - EDGE}" if EDGE < y < HEIGHT - EDGE else "")
        line = f'<path d="{line}" stroke="var(--line)"/>' if line else ""
    if len(axes) == 2:
        points = " ".join("{:.1f},{:.1f}".format(*places[row]) for row in plane.front_line)
        line += (
            f'<polyline points="{points}" fill="none" stroke="var(--front)" stroke-width="1.2"/>'
        )
    names = [_title(axes[i], part, spans[i]) for i in (0, 1)]
    words = (
        f"The front, {len(on)} of {len(places)} points: {names[0]} to the right, {names[1]} "
        "upwards."
    )
    inner = f'x="{EDGE}" y="{EDGE}" width="{WIDTH - 2 * EDGE}" height="{HEIGHT - 2 * EDGE}"'
    return (
        f'<svg class="thumbnail" viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" role="img" '
        f'aria-label="{escaped(words)}">'
        f'<rect {inner} fill="none" stroke="var(--line)"/>{line}{"".join(marks)}'
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT + 10}" text-anchor="end" fill="var(--muted)">'
        f"{escaped(names[0])} \N{RIGHTWARDS ARROW}</text>"
        f'<text x="{EDGE}" y="{EDGE - 6}" fill="var(--muted)">'
        f"\N{UPWARDS ARROW} {escaped(names[1])}</text></svg>"
    )


def _picked(section: PageSection, ledger: Ledger) -> int | None:
    """The pick's row; of a front of heads that of its point."""
    if section.decision.pick is None or ledger.served:
        return section.decision.pick.row if section.decision.pick else None
    return next(
        iter(np.flatnonzero(ledger.table["point"] == section.decision.pick.point).tolist()), None
    )


def _span(
    values: Floats, front: NDArray[np.bool_], sign: float, unit: float
) -> tuple[float, float]:
    """From worst to best: the front, and the better three quarters of the rest, at most as far
    again below it.

    Args:
        unit: room beside values that are all equal; where 0, 1% of them.
    """
    values = sign * values
    low, high = float(values[front].min()), float(values.max())
    low = min(low, max(float(np.quantile(values, 0.25)), low - (high - low)))
    pad = 0.05 * (high - low) or unit or 0.01 * abs(high) or 1.0
    return sign * (low - pad), sign * (high + pad)


def _title(axis: Axis, part: str, span: Sequence[float]) -> str:
    if part == "value":
        return f"{axis.label} {text.number(span[0])} to {text.number(span[1])}"
    low, high = (text.signed(axis.scale * end, axis.scale) for end in span)
    return f"{axis.label} {low} to {high}" + (
        "%" if axis.relative else " \N{MULTIPLICATION SIGN} 1000"
    )


PLOTS: dict[str, Callable[[PageSection], str]] = {
    "front": picture,
    "heads": lambda section: picture(section, section.decision.frontier),
    "inputs": lambda section: chart(section.explained),
}
"""Plots of a section by name, as SVG for a page, empty where there is nothing to draw: the page has
them where scripts are off, `Result.figure` gives them, and MLflow gets `<name>.svg`. A new one is a
function, and a line here and in `bench.app.report.editable`."""
