"""What an explanation shows: what the order owes to inputs and heads, in words, as tables, and as
bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.app.report import text
from bench.app.report.markup import KIND_COLOURS, escaped
from bench.core.errors import listed

Explanation = Mapping[str, Any]
"""The document of `bench.serve.explanation.explain`; numbers that are not finite may be None."""
BAR, LINE, ROOM = 14, 19, 68
"""Heights of a bar and of a line of words, and the part of the width in which bars are, in per
cent.
"""


def sentence(facts: Explanation) -> str:
    """What the order owes most to, and how much."""
    sure = [each for each in facts["inputs"] if any(map(_way, each["measures"].values()))][:2]
    told = "No input changes an outcome beyond chance on these rows"
    if sure:
        names, owed, parts = [each["name"] for each in sure], sure[0]["measures"], list[str]()
        for way in ("loses", "gains"):
            if of := [each for each in owed if _way(owed[each]) == way]:
                most = max(of, key=lambda each: abs(owed[each]["value"] or 0))
                parts.append(f"{way} {per_cent(owed[most], way == 'gains')} of {most}")
        told = f"The order owes most to {listed(names)}: shuffling {names[0]} {listed(parts)}"
    first = max(facts["heads"], key=lambda each: each["measures"]["share"]["value"] or 0)
    return f"{told}; {first['name']} makes {per_cent(first['measures']['share'])} of the order."


def _way(lost: Mapping[str, float | None]) -> str:
    """Whether it surely `loses` or `gains`; else empty."""
    return "loses" if (lost["low"] or 0) > 0 else "gains" if (lost["high"] or 0) < 0 else ""


def meaning(facts: Explanation) -> str:
    """What the numbers mean."""
    within = (
        "What is the same for a whole group is swapped between groups. "
        if facts["by_group"]
        else ""
    )
    return (
        f"Inputs are shuffled {facts['shuffles']} times among {facts['rows']:,} rows, with all "
        f"that they correlate with (above .9). {within}A head's share is the covariance of its "
        "term in the score with the score, over the score's "
        f"variance{', within groups' if within else ''}. Without a head, its mean is in its place. "
        f"Intervals are 90%, from {facts['units']:,} units and the shuffles. This is no proof of "
        "cause."
    )


def per_cent(of: Mapping[str, float | None], gained: bool = False) -> str:
    """A part with its interval: `34% (30 to 38)`; with the other sign if `gained`."""
    known = [100 * each for each in of.values() if each is not None]
    if len(known) < 3:
        return "-"
    value, *ends = [-each for each in known] if gained else known
    digits = 1 if abs(value) < 9.95 else 0
    told = [f"{round(each, digits) + 0.0:.{digits}f}" for each in (value, *sorted(ends))]
    return f"{told[0]}% ({told[1]} to {told[2]})"


def owed(lost: Mapping[str, float | None]) -> str:
    """What an outcome loses or gains, with the interval: `loses 34% (30 to 38)`."""
    if lost["value"] is None:
        return per_cent(lost)
    gained = lost["value"] < 0
    return f"{'gains' if gained else 'loses'} {per_cent(lost, gained)}"


def table(facts: Explanation, of: str) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of all `inputs` or `heads`."""
    measures = list(facts[of][0]["measures"])
    headers = [name if name == "share" else f"without it {name}" for name in measures]
    rows = []
    for part in facts[of]:
        cells = [
            per_cent(lost) if name == "share" else owed(lost)
            for name, lost in part["measures"].items()
        ]
        rows.append([", ".join(part.get("of", [part["name"]])), *cells])
    return [of, *headers], rows


def charted(facts: Explanation) -> list[Mapping[str, Any]]:
    """The inputs that a chart shows: the worthiest ones, with all numbers."""
    return [
        each
        for each in facts.get("inputs", ())
        if "-" not in map(per_cent, each["measures"].values())
    ][:10]


def chart(facts: Explanation) -> str:
    """Losses of outcomes by input, the worthiest inputs, as bars with intervals. It is as wide as
    its room.
    """
    shown = charted(facts)
    if not shown:
        return ""
    ends: list[float] = [
        0.0,
        *(end for each in shown for own in each["measures"].values() for end in own.values()),
    ]
    least, most = min(ends), max(ends)

    def across(value: float) -> float:
        return ROOM * (value - least) / ((most - least) or 1.0)

    marks, y, colours = list[str](), 0, KIND_COLOURS[1:] * len(shown[0]["measures"])
    for outcome, colour in zip(shown[0]["measures"], colours, strict=False):
        marks.append(f'<rect y="{y + 4}" width="10" height="10" fill="var(--{colour})"/>')
        marks.append(_words(0, y + 13, text.label(outcome), 16, "text"))
        y += LINE
    for each in shown:
        y += LINE + 8
        marks.append(_words(0, y - 5, each["name"], 0, "text"))
        end = y + BAR * len(each["measures"]) - 2
        marks.append(
            f'<line x1="{across(0):.2f}%" x2="{across(0):.2f}%" y1="{y}" y2="{end}" '
            'stroke="var(--line)"/>'
        )
        for colour, own in zip(colours, each["measures"].values(), strict=False):
            zero, value, low, high = (
                across(each) for each in (0.0, own["value"], own["low"], own["high"])
            )
            place = (
                f'x="{min(zero, value):.2f}%" width="{abs(value - zero):.2f}%" y="{y}" '
                f'height="{BAR - 3}"'
            )
            whisker = (
                f'x1="{low:.2f}%" x2="{high:.2f}%" y1="{y + 5.5}" y2="{y + 5.5}" '
                'stroke="var(--text)"'
            )
            marks.append(f'<rect {place} fill="var(--{colour})"/><line {whisker}/>')
            marks.append(_words(max(zero, high), y + 10, owed(own), 6, "muted"))
            y += BAR
    size = f'style="display:block;width:100%;max-width:900px;height:{y + 4}px"'
    return f'<svg role="img" aria-label="{escaped(sentence(facts))}" {size}>{"".join(marks)}</svg>'


def _words(x: float, y: int, words: str, right: int, colour: str) -> str:
    place = f'x="{x:.2f}%" dx="{right}" y="{y}" fill="var(--{colour})" font-size="12"'
    return f"<text {place}>{escaped(words)}</text>"
