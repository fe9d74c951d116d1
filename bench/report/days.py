"""What a back-test shows on a page: a point's gain on each day, the average day, and the sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.report import text
from bench.report.markup import escaped, sentence

WIDTH, HEIGHT, EDGE, LEFT = 600, 170, 22, 46


def section_of_days(found: Mapping[str, Any]) -> str:
    """The section of a back-test, see `bench.backtest.days.document`."""
    parts = []
    for point, told in found["sentences"].items():
        items = "".join(f"<li>{sentence(each)}</li>" for each in told)
        parts.append(f'<ul class="why">{items}</ul>{picture_of_days(found, point)}')
    unit = found["unit"]
    return f"<h3>{'Day by day' if unit == 'day' else f'By {escaped(unit)}'}</h3>{''.join(parts)}" if parts else ""


def picture_of_days(found: Mapping[str, Any], point: str) -> str:
    """Gains of U, in per cent, a mark for each cut in its order; a band is the interval of the average one."""
    own, cuts = found["points"][point], found["cuts"]
    gains = [_per_cent(each) for each in own["by_cut"]]
    low, high = (_per_cent(own["average"][end]) for end in ("low", "high"))
    ends = [each for each in (*gains, low, high, 0.0) if each == each]
    least, most = min(ends), max(ends)
    pad = 0.08 * (most - least) or 1.0
    least, most = least - pad, most + pad

    def across(at: float) -> float:
        return LEFT + (at + 0.5) * (WIDTH - LEFT - EDGE) / len(gains)

    def up(value: float) -> float:
        return HEIGHT - EDGE - (value - least) / (most - least) * (HEIGHT - 2 * EDGE)

    inside = f'x="{LEFT}" width="{WIDTH - LEFT - EDGE}"'
    band = f'<rect {inside} y="{up(high):.1f}" height="{up(low) - up(high):.1f}" fill="var(--accent)" opacity=".18"/>'
    marks = [band if low == low else ""]
    for value, colour in ((0.0, "line"), (_per_cent(own["average"]["value"]), "accent")):
        place = f'x1="{LEFT}" x2="{WIDTH - EDGE}" y1="{up(value):.1f}" y2="{up(value):.1f}"'
        marks.append(f'<line {place} stroke="var(--{colour})"/>')
    for at, (gain, cut) in enumerate(zip(gains, cuts, strict=True)):
        if gain == gain:
            colour = "good" if gain > 0 else "loss"
            name = f"{_name(cut)}: {text.signed(gain, 100)}%, {cut['rows']:,} rows"
            marks.append(
                f'<circle cx="{across(at):.1f}" cy="{up(gain):.1f}" r="4" fill="var(--{colour})">'
                f"<title>{escaped(name)}</title></circle>"
            )
    labels = [(0, "start"), (len(cuts) - 1, "end")]
    for at, anchor in labels:
        x = LEFT if anchor == "start" else WIDTH - EDGE
        marks.append(_text(x, HEIGHT - 5, _name(cuts[at]), anchor))
    for value in (least + pad, most - pad):
        marks.append(_text(LEFT - 5, up(value) + 4, f"{text.signed(value, 100)}%", "end"))
    words = f"Gains on {len(cuts)} cuts, in their order; the band is the interval of the average one."
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(words)}" '
        f'style="max-width:{WIDTH}px;width:100%">{"".join(marks)}</svg>'
    )


def _per_cent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _text(x: float, y: float, words: str, anchor: str) -> str:
    at = f'x="{x}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {at} font-size="11" fill="var(--muted)">{escaped(words)}</text>'


def _name(cut: Mapping[str, Any]) -> str:
    both = cut["first"], cut["last"]
    ends = [f"{each:.15g}" if isinstance(each, float) else str(each) for each in both]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
