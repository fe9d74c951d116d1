"""Figures of the reference: how far each configuration of a data set is ahead of tuned equal
weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.app.reference.cells import ALONE, DEFAULT, EQUAL, PREDICTED, SEARCH, STATIC, TREES
from bench.app.report.markup import escaped, identifier
from bench.app.report.text import MINUS, dataset, label
from bench.core.objectives import in_thousandths
from reference.members import Data, Member

WIDTH, HEIGHT, EDGE = 320, 240, 20
MARKS = {
    STATIC: ("front", "static weights"),
    "gradient": ("kind-2", "gradient methods"),
    "loss": ("kind-3", "weights by the losses"),
    ALONE: ("kind-4", "models that share nothing"),
    TREES: ("kind-5", "boosted trees"),
    SEARCH: ("kind-1", "points of a search"),
}
"""Groups of a figure: colour and name."""


def scale(objective: str) -> float:
    """The factor by which a difference is printed: thousandths of what is read in them."""
    return 1e3 if in_thousandths(objective) else 1.0


def signed(value: float, digits: int) -> str:
    """A number with its sign, unless it prints as zero."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", MINUS) if text.strip("+-0.") else text.strip("+-")


def figures(datasets: Sequence[Data]) -> str:
    """A drawing for each data set, and one key."""
    key = "".join(
        f'<span><svg class="key" viewBox="-8 -8 16 16" aria-hidden="true"><circle r="6" fill="var(--{role})"/></svg> '
        f"{name}</span> "
        for role, name in MARKS.values()
    )
    return (
        f'<p class="note">{key}</p><div class="multiples">{"".join(map(_figure, datasets))}</div>'
    )


def _figure(data: Data) -> str:
    """Leads of all members over tuned equal weights in the first two objectives, with paired
    intervals.
    """
    if data.leads is None or len(data.objectives) < 2:
        return ""
    scales = [scale(objective.name) for objective in data.objectives[:2]]
    rows = [data.leads[1][member.id] for member in data.members]
    ends = (
        np.array([[[lead.low, lead.value, lead.high] for lead in row[:2]] for row in rows])
        * np.array(scales)[:, None]
    )
    reach = np.median(ends[:, :, 2] - ends[:, :, 1], axis=0)
    low = np.quantile(ends[:, :, 1], 0.1, axis=0) - 3 * reach
    high = ends[:, :, 1].max(axis=0) + 1.5 * reach

    def at(axis: int, value: float) -> float:
        share = (value - low[axis]) / ((high[axis] - low[axis]) or 1.0)
        across = EDGE + share * (WIDTH - EDGE - 8)
        return float(across if axis == 0 else HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE))

    marks, lines = [], []
    for sharing in dict.fromkeys(member.sharing for member in data.members):
        members_with_ends = [
            (member, end)
            for member, end in zip(data.members, ends, strict=True)
            if member.sharing == sharing
        ]
        static = sorted(
            (at(0, end[0, 1]), at(1, end[1, 1]))
            for member, end in members_with_ends
            if member.balancing == STATIC
        )
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in static)
        if len(data.objectives) == 2:
            lines.append(
                f'<polyline points="{line}" fill="none" stroke="var(--front)" opacity="0.6"/>'
            )
        for member, end in members_with_ends:
            x, y = at(0, end[0, 1]), at(1, end[1, 1])
            colour = f"var(--{MARKS[_group(member)][0]})"
            spans = f"M{at(0, end[0, 0]):.1f} {y:.1f}H{at(0, end[0, 2]):.1f}"
            spans += f"M{x:.1f} {at(1, end[1, 0]):.1f}V{at(1, end[1, 2]):.1f}"
            marks.append(
                f'<path d="{spans}" stroke="{colour}" opacity="0.35" fill="none"/><circle '
                f'cx="{x:.1f}" cy="{y:.1f}" r="3" '
                f'fill="{colour}"><title>{escaped(member.name)}</title></circle>'
            )
    right, up = (
        f"{escaped(label(objective.name))}, {signed(low[axis], 0)} to {signed(high[axis], 0)}"
        for axis, objective in enumerate(data.objectives[:2])
    )
    clip = f"c-{identifier(data.name)}"
    size = f'width="{WIDTH - EDGE - 8}" height="{HEIGHT - 2 * EDGE}"'
    words = (
        f"{right} to the right, {up} upwards: {len(marks)} configurations of {escaped(data.name)}"
    )
    zero = f"M{at(0, 0):.1f} {EDGE}V{HEIGHT - EDGE}M{EDGE} {at(1, 0):.1f}H{WIDTH - 8}"
    return (
        f'<figure data-of="{escaped(dataset(data.name))}"><figcaption>{escaped(dataset(data.name))}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-size="11" fill="var(--text)" '
        f'aria-label="{words}"><clipPath id="{clip}"><rect x="{EDGE}" y="{EDGE}" {size}/></clipPath>'
        f'<rect x="{EDGE}" y="{EDGE}" {size} fill="none" stroke="var(--line)"/>'
        f'<g clip-path="url(#{clip})"><path d="{zero}" stroke="var(--line)"/>{"".join(lines)}{"".join(marks)}</g>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 4}" text-anchor="end" fill="var(--muted)">{right} '
        f'\N{RIGHTWARDS ARROW}</text><text x="{EDGE}" y="{EDGE - 6}" fill="var(--muted)">\N{UPWARDS ARROW} {up}</text>'
        "</svg></figure>"
    )


def _group(member: Member) -> str:
    if member.balancing == TREES:
        return TREES
    if member.sharing in (ALONE, SEARCH):
        return member.sharing
    if member.of_gradients:
        return "gradient"
    return STATIC if member.balancing in (STATIC, EQUAL, DEFAULT, PREDICTED) else "loss"
