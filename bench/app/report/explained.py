"""What an explanation shows: what the order owes to inputs and heads, in words, as tables, and as
bars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.app.report import text
from bench.app.report.markup import KIND_COLOURS, BarScale, escaped
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
    effects_by_input = {}
    for shuffled in facts["inputs"]:
        effects = _sure_effects(shuffled)
        if effects:
            effects_by_input[shuffled["name"]] = effects
    if not effects_by_input:
        return "No input changes an outcome beyond chance on these rows"
    names = list(effects_by_input)
    changes = listed(effects_by_input[names[0]])
    return f"The order owes most to {listed(names[:2])}: shuffling {names[0]} {changes}"


def _sure_effects(shuffled: Mapping[str, Any]) -> list[str]:
    """The outcome that surely loses most without an input, and the one that surely gains most."""
    losses = shuffled["measures"]
    sizes: dict[str, dict[str, float]] = {"loses": {}, "gains": {}}
    for outcome, loss in losses.items():
        size = abs(loss["value"] or 0)
        if (loss["low"] or 0) > 0:
            sizes["loses"][outcome] = size
        elif (loss["high"] or 0) < 0:
            sizes["gains"][outcome] = size
    effects = []
    for way, outcomes in sizes.items():
        if outcomes:
            largest = max(outcomes, key=outcomes.__getitem__)
            effects.append(f"{way} {per_cent(losses[largest], way == 'gains')} of {largest}")
    return effects


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
    texts = []
    for number in (value, *sorted(ends)):
        rounded = round(number, digits) + 0.0  # no -0
        texts.append(f"{rounded:.{digits}f}")
    middle, low, high = texts
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
    whole = []
    for shuffled in facts.get("inputs", ()):
        if "-" not in map(per_cent, _losses(shuffled)):
            whole.append(shuffled)
    return whole[:MOST_SHOWN]


def _losses(shuffled: Mapping[str, Any]) -> list[Mapping[str, float]]:
    return list(shuffled["measures"].values())


def chart(facts: Explanation) -> str:
    """Losses of outcomes by input, the worthiest inputs, as bars with intervals. It is as wide as
    its room.
    """
    inputs = charted(facts)
    if not inputs:
        return ""
    ends = [0.0]
    for shuffled in inputs:
        for loss in _losses(shuffled):
            ends += loss.values()
    scale = BarScale(min(ends), max(ends), 0, ROOM)
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
        zero = f"{scale.place(0):.2f}%"
        end = y + BAR * len(outcomes) - 2
        marks.append(f'<line x1="{zero}" x2="{zero}" y1="{y}" y2="{end}" stroke="var(--line)"/>')
        for loss, colour in zip(_losses(shuffled), colours, strict=False):
            marks += _bar(scale, loss, y, colour)
            y += BAR
    size = f'style="display:block;width:100%;max-width:900px;height:{y + 4}px"'
    return f'<svg role="img" aria-label="{escaped(sentence(facts))}" {size}>{"".join(marks)}</svg>'


def _bar(scale: BarScale, loss: Mapping[str, float], y: int, colour: str) -> Iterator[str]:
    low, high = scale.place(loss["low"]), scale.place(loss["high"])
    middle = y + 5.5
    yield scale.bar(0.0, loss["value"], f'y="{y}" height="{BAR - 3}" fill="var(--{colour})"')
    yield (
        f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="{middle}" y2="{middle}" stroke="var(--text)"/>'
    )
    yield _words(max(scale.place(0.0), high), y + 10, owed(loss), 6, "muted")


def _words(x: float, y: int, words: str, right: int, colour: str) -> str:
    place = f'x="{x:.2f}%" dx="{right}" y="{y}" fill="var(--{colour})" font-size="12"'
    return f"<text {place}>{escaped(words)}</text>"
