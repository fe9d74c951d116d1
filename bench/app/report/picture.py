"""Plots that need no script: for the page, notebooks and MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.app.report import text
from bench.app.report.explained import chart
from bench.app.report.markup import COLOURS, FONT, BarScale, escaped, looks_of
from bench.app.report.section import Axis, PageSection, axes_of, splits_of
from bench.core.arrays import Floats, Mask
from bench.ledger.ledger import Ledger

WIDTH, HEIGHT, EDGE, FOOT = 300, 208, 18, 18
MOST_BEHIND = 300
"""Points behind the front that are drawn."""
MANY = 40
"""The number of points from which on marks are small."""
LINE, ROOM = 19, 45
"""In a picture of days the height of a line, and the part of the width in which its words are, in
per cent."""
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
        on, behind: rows on the front, and those behind it that are drawn.
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
        """Rows on the front that no other row dominates, the best in the first measure first."""
        across, up = (self.values[self.on] * _signs(self.axes, self.part)).T
        line = list[int]()
        highest = -np.inf
        for place in np.lexsort((up, -across)):
            if up[place] > highest:
                line.append(int(self.on[place]))
                highest = up[place]
        return line


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
    part, low, high = "value", "low", "high"
    if np.isfinite(ledger.at(split, "gain")[ledger.front, 0]).any():
        part, low, high = "gain", "gain_low", "gain_high"
    values = ledger.at(split, part)[:, :2]
    placed = np.isfinite(values).all(axis=1)
    on = np.flatnonzero(placed & ledger.front)
    behind = np.flatnonzero(placed & ~ledger.front)
    if not len(on):
        return None
    spans = []
    for column, sign in enumerate(_signs(axes, part)):
        unit = 0.0 if part == "value" else 1 / axes[column].scale
        spans.append(_span(values[placed, column], ledger.front[placed], sign, unit))
    names = ledger.table["name"].astype(str).tolist()
    kinds = ledger.table["architecture"].where(ledger.table["role"] != "current", "current")
    return Plane(
        axes=axes,
        split=split,
        part=part,
        values=values,
        low=ledger.at(split, low)[:, :2],
        high=ledger.at(split, high)[:, :2],
        on=on,
        behind=behind[:: 1 + len(behind) // MOST_BEHIND],
        kinds=kinds.tolist(),
        names=names,
        against="" if ledger.current is None else names[ledger.current],
        spans=spans,
        picked=_picked(section, ledger),
        advised=section.decision.verdict.row if ledger.served else None,
    )


def _picked(section: PageSection, ledger: Ledger) -> int | None:
    """The pick's row; of a front of heads that of its point."""
    pick = section.decision.pick
    if pick is None:
        return None
    if ledger.served:
        return pick.row
    rows = np.flatnonzero(ledger.table["point"] == pick.point).tolist()
    return rows[0] if rows else None


def _span(values: Floats, front: Mask, sign: float, unit: float) -> tuple[float, float]:
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
    right, up = [_title(plane, axis) for axis in (0, 1)]
    places = {row: _place(plane, plane.values[row].tolist()) for row in plane.placed}
    words = (
        f"The front, {len(plane.on)} of {len(places)} points: {right} to the right, {up} upwards."
    )
    frame = f'x="{EDGE}" y="{EDGE}" width="{WIDTH - 2 * EDGE}" height="{HEIGHT - 2 * EDGE}"'
    return (
        f'<svg class="thumbnail" viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" role="img" '
        f'aria-label="{escaped(words)}">'
        f'<rect {frame} fill="none" stroke="var(--line)"/>'
        f"{_lines_at_zero(plane)}{_front_line(plane, places)}{_marks(plane, places)}"
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT + 10}" text-anchor="end" fill="var(--muted)">'
        f"{escaped(right)} \N{RIGHTWARDS ARROW}</text>"
        f'<text x="{EDGE}" y="{EDGE - 6}" fill="var(--muted)">'
        f"\N{UPWARDS ARROW} {escaped(up)}</text></svg>"
    )


Places = Mapping[int, tuple[float, float]]
"""By row of a plane x and y in the picture."""


def _place(plane: Plane, values: Sequence[float]) -> tuple[float, float]:
    parts = []
    for value, (worst, best) in zip(values, plane.spans, strict=True):
        parts.append((value - worst) / ((best - worst) or 1.0))
    across, up = parts
    return EDGE + across * (WIDTH - 2 * EDGE), HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)


def _lines_at_zero(plane: Plane) -> str:
    if plane.part != "gain":
        return ""
    x, y = _place(plane, [0.0, 0.0])
    lines = ""
    if EDGE < x < WIDTH - EDGE:
        lines += f"M{x:.1f} {EDGE}V{HEIGHT - EDGE}"
    if EDGE < y < HEIGHT - EDGE:
        lines += f"M{EDGE} {y:.1f}H{WIDTH - EDGE}"
    return f'<path d="{lines}" stroke="var(--line)"/>' if lines else ""


def _front_line(plane: Plane, places: Places) -> str:
    if len(plane.axes) != 2:
        return ""
    points = " ".join("{:.1f},{:.1f}".format(*places[row]) for row in plane.front_line)
    return f'<polyline points="{points}" fill="none" stroke="var(--front)" stroke-width="1.2"/>'


def _marks(plane: Plane, places: Places) -> str:
    """Points behind the front, then those on it, and a ring around the pick."""
    looks = looks_of(plane.kinds)
    small = 0.6 if len(places) > MANY else 1.0
    marks = []
    for rows, size, opacity in ((plane.behind, 0.55 * small, 0.45), (plane.on, 0.8 * small, 1)):
        for row in rows.tolist():
            x, y = places[row]
            if EDGE <= x <= WIDTH - EDGE and EDGE <= y <= HEIGHT - EDGE:
                role, mark = looks[plane.kinds[row]]
                marks.append(
                    f'<path transform="translate({x:.1f} {y:.1f}) scale({size:.2f})" d="{mark}" '
                    f'fill="var(--{role})" opacity="{opacity}"/>'
                )
    if plane.picked is not None and plane.picked in places:
        x, y = places[plane.picked]
        marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="var(--accent)" '
            'stroke-width="2.5"/>'
        )
    return "".join(marks)


def _title(plane: Plane, number: int) -> str:
    axis, span = plane.axes[number], plane.spans[number]
    if plane.part == "value":
        low, high = [text.number(end) for end in span]
        return f"{axis.label} {low} to {high}"
    low, high = [text.signed(axis.scale * end, axis.scale) for end in span]
    unit = "%" if axis.relative else " \N{MULTIPLICATION SIGN} 1000"
    return f"{axis.label} {low} to {high}{unit}"


PLOTS: dict[str, Callable[[PageSection], str]] = {
    "front": picture,
    "heads": lambda section: picture(section, section.decision.frontier),
    "inputs": lambda section: chart(section.explained),
}
"""Plots of a section by name, as SVG for a page, empty where there is nothing to draw: the page has
them where scripts are off, `Result.figure` gives them, and MLflow gets `<name>.svg`. A new one is a
function, and a line here and in `bench.app.report.editable`."""


def picture_of_days(document: Mapping[str, Any], point: str) -> str:
    """A bar for each cut's gain of U, in their order; a band is the interval of the average one."""
    facts, cuts = document["points"][point], document["cuts"]
    gains = 100 * np.array(facts["by_cut"], np.float64)
    average, low, high = 100 * np.array([*facts["average"].values()], np.float64)
    ends = [*gains, average, low, high, 0.0]
    scale = BarScale(float(np.nanmin(ends)), float(np.nanmax(ends)), ROOM, 100)
    height = LINE * len(cuts)

    marks = []
    if low < high:  # both are known
        look = f'y="0" height="{height}" fill="var(--accent)" opacity=".18"'
        marks.append(scale.bar(low, high, look))
    for place, (gain, cut) in enumerate(zip(gains.tolist(), cuts, strict=True)):
        change = f"{text.signed(gain, 100)}%" if gain == gain else "unknown"
        marks.append(
            f'<text y="{LINE * place + 13}" font-size="12" fill="var(--muted)">'
            f"{escaped(cut['name'])}: {change}<title>{cut['rows']:,} rows</title></text>"
        )
        if abs(gain) > 0:  # it is known
            role = "good" if gain > 0 else "loss"
            look = f'y="{LINE * place + 3}" height="{LINE - 6}" fill="var(--{role})"'
            marks.append(scale.bar(0.0, gain, look))
    words = (
        f"Gains on {len(cuts)} cuts, in their order; the band is the interval of the average one."
    )
    size = f'style="display:block;width:100%;max-width:600px;height:{height}px"'
    return f'<svg role="img" aria-label="{escaped(words)}" {size}>{"".join(marks)}</svg>'
