"""What an explanation shows: what the order owes to inputs and heads, in words, as tables, and as
bars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.app.report import text
from bench.app.report.markup import KIND_COLOURS, escaped
from bench.core.errors import listed

Explanation = Mapping[str, Any]
"""The document of `bench.serve.explanation.explain`; numbers that are not finite may be None."""
Loss = Mapping[str, float | None]
"""What an outcome loses without an input or a head: `value`, `low` and `high`."""
MOST_SHOWN = 10
"""Inputs in a chart."""
BAR = 14
"""The height of a bar."""
LINE = 19
"""The height of a line of words."""
ROOM = 68
"""The part of the width in which bars are, in per cent."""


def sentence(facts: Explanation) -> str:
    """What the order owes most to, and how much."""
    first = max(facts["heads"], key=lambda head: head["measures"]["share"]["value"] or 0)
    return (
        f"{_owed_to_inputs(facts)}; {first['name']} makes "
        f"{per_cent(first['measures']['share'])} of the order."
    )


def _owed_to_inputs(facts: Explanation) -> str:
    sure = [shuffled for shuffled in facts["inputs"] if any(_ways(shuffled).values())][:2]
    if not sure:
        return "No input changes an outcome beyond chance on these rows"
    losses, ways, effects = sure[0]["measures"], _ways(sure[0]), list[str]()
    for way in ("loses", "gains"):
        outcomes = [outcome for outcome in losses if ways[outcome] == way]
        if outcomes:
            largest = max(outcomes, key=lambda outcome: abs(losses[outcome]["value"] or 0))
            effects.append(f"{way} {per_cent(losses[largest], way == 'gains')} of {largest}")
    names = [shuffled["name"] for shuffled in sure]
    return f"The order owes most to {listed(names)}: shuffling {names[0]} {listed(effects)}"


def _ways(shuffled: Mapping[str, Any]) -> dict[str, str]:
    """By outcome whether it surely `loses` or `gains`; else empty."""
    ways = {}
    for outcome, loss in shuffled["measures"].items():
        gains = "gains" if (loss["high"] or 0) < 0 else ""
        ways[outcome] = "loses" if (loss["low"] or 0) > 0 else gains
    return ways


def meaning(facts: Explanation) -> str:
    """What the numbers mean."""
    swapped = in_groups = ""
    if facts["by_group"]:
        swapped = "What is the same for a whole group is swapped between groups. "
        in_groups = ", within groups"
    return (
        f"Inputs are shuffled {facts['shuffles']} times among {facts['rows']:,} rows, with all "
        f"that they correlate with (above .9). {swapped}A head's share is the covariance of its "
        f"term in the score with the score, over the score's variance{in_groups}. Without a head, "
        f"its mean is in its place. Intervals are 90%, from {facts['units']:,} units and the "
        "shuffles. This is no proof of cause."
    )


def per_cent(loss: Loss, gained: bool = False) -> str:
    """A part with its interval: `34% (30 to 38)`; with the other sign if `gained`."""
    numbers = [100 * number for number in loss.values() if number is not None]
    if len(numbers) < 3:
        return "-"
    if gained:
        numbers = [-number for number in numbers]
    value, *ends = numbers
    digits = 1 if abs(value) < 9.95 else 0
    rounded = [round(number, digits) + 0.0 for number in (value, *sorted(ends))]
    middle, low, high = [f"{number:.{digits}f}" for number in rounded]
    return f"{middle}% ({low} to {high})"


def owed(loss: Loss) -> str:
    """What an outcome loses or gains, with the interval: `loses 34% (30 to 38)`."""
    if loss["value"] is None:
        return per_cent(loss)
    gained = loss["value"] < 0
    return f"{'gains' if gained else 'loses'} {per_cent(loss, gained)}"


def table(facts: Explanation, part: str) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of all `inputs` or `heads`."""
    measures = list(facts[part][0]["measures"])
    headers = [name if name == "share" else f"without it {name}" for name in measures]
    return [part, *headers], [_row(line) for line in facts[part]]


def _row(line: Mapping[str, Any]) -> list[str]:
    row = [", ".join(line.get("of", [line["name"]]))]
    for name, loss in line["measures"].items():
        row.append(per_cent(loss) if name == "share" else owed(loss))
    return row


def charted(facts: Explanation) -> list[Mapping[str, Any]]:
    """The inputs that a chart shows: the worthiest ones, with all numbers."""
    inputs = facts.get("inputs", ())
    whole = [shuffled for shuffled in inputs if "-" not in map(per_cent, _losses(shuffled))]
    return whole[:MOST_SHOWN]


def _losses(shuffled: Mapping[str, Any]) -> list[Mapping[str, float]]:
    return list(shuffled["measures"].values())


class _Across:
    """The places of losses in a chart, in per cent of its width."""

    def __init__(self, inputs: list[Mapping[str, Any]]) -> None:
        losses = [loss for shuffled in inputs for loss in _losses(shuffled)]
        ends = [end for loss in losses for end in loss.values()]
        self._least = min(0.0, *ends)
        self._width = (max(0.0, *ends) - self._least) or 1.0

    def at(self, value: float) -> float:
        return ROOM * (value - self._least) / self._width


def chart(facts: Explanation) -> str:
    """Losses of outcomes by input, the worthiest inputs, as bars with intervals. It is as wide as
    its room.
    """
    inputs = charted(facts)
    if not inputs:
        return ""
    across = _Across(inputs)
    outcomes = list(inputs[0]["measures"])
    colours = (KIND_COLOURS[1:] * len(outcomes))[: len(outcomes)]
    y = 0
    marks = []
    for outcome, colour in zip(outcomes, colours, strict=True):
        marks.append(f'<rect y="{y + 4}" width="10" height="10" fill="var(--{colour})"/>')
        marks.append(_words(0, y + 13, text.label(outcome), 16, "text"))
        y += LINE
    for shuffled in inputs:
        y += LINE + 8
        marks.append(_words(0, y - 5, shuffled["name"], 0, "text"))
        zero = f"{across.at(0):.2f}%"
        end = y + BAR * len(outcomes) - 2
        marks.append(f'<line x1="{zero}" x2="{zero}" y1="{y}" y2="{end}" stroke="var(--line)"/>')
        for loss, colour in zip(_losses(shuffled), colours, strict=False):
            marks += _bar(across, loss, y, colour)
            y += BAR
    size = f'style="display:block;width:100%;max-width:900px;height:{y + 4}px"'
    return f'<svg role="img" aria-label="{escaped(sentence(facts))}" {size}>{"".join(marks)}</svg>'


def _bar(across: _Across, loss: Mapping[str, float], y: int, colour: str) -> Iterator[str]:
    zero, value = across.at(0.0), across.at(loss["value"])
    low, high = across.at(loss["low"]), across.at(loss["high"])
    width = abs(value - zero)
    middle = y + 5.5
    yield (
        f'<rect x="{min(zero, value):.2f}%" width="{width:.2f}%" y="{y}" height="{BAR - 3}" '
        f'fill="var(--{colour})"/>'
    )
    yield (
        f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="{middle}" y2="{middle}" stroke="var(--text)"/>'
    )
    yield _words(max(zero, high), y + 10, owed(loss), 6, "muted")


def _words(x: float, y: int, words: str, right: int, colour: str) -> str:
    place = f'x="{x:.2f}%" dx="{right}" y="{y}" fill="var(--{colour})" font-size="12"'
    return f"<text {place}>{escaped(words)}</text>"
