"""Small pieces of HTML, and the colours and marks of the page and its figures. Every text goes
through `escaped`.

Figures name colours as CSS variables; saved ones have the light colours. Architectures differ in
colour and in shape. The first five colours stay apart under all three kinds of colour blindness.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from zlib import crc32

COLOURS: dict[str, tuple[str, str]] = {
    # role: light, dark
    "surface": ("#ffffff", "#14181d"),
    "raised": ("#f6f7f9", "#1b2027"),
    "text": ("#1c2126", "#e7eaee"),
    "muted": ("#5d6873", "#9ba6b2"),
    "grid": ("#e6e9ed", "#2a3139"),
    "line": ("#c9cfd6", "#3d4650"),
    "accent": ("#0b5fa5", "#7db9f5"),
    "front": ("#39434e", "#c5cdd6"),
    "loss": ("#b84a0c", "#f0894a"),
    "good": ("#12734f", "#58c79a"),
    "kind-0": ("#4b5560", "#aab4bf"),
    "kind-1": ("#0a6fb8", "#4aa3f0"),
    "kind-2": ("#d9641a", "#f08a3c"),
    "kind-3": ("#1a9d78", "#7ff0c0"),
    "kind-4": ("#5c1a78", "#9a5fe8"),
    "kind-5": ("#8a1f12", "#d0423a"),
    "kind-6": ("#7fa8d8", "#ffe9a0"),
}
KIND_COLOURS = tuple(role for role in COLOURS if role.startswith("kind-"))
FONT = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', "
    "'Liberation Sans', sans-serif"
)

SYMBOLS: dict[str, str] = {
    # name: SVG path in a box from -8 to 8
    "x": "M-6-3-3-6 0-3 3-6 6-3 3 0 6 3 3 6 0 3-3 6-6 3-3 0Z",
    "square": "M-5-5H5V5H-5Z",
    "circle": "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0Z",
    "diamond": "M0-7 7 0 0 7-7 0Z",
    "triangle-up": "M0-6 6.5 5H-6.5Z",
    "triangle-down": "M0 6 6.5-5H-6.5Z",
    "cross": "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    "pentagon": "M0-6.5 6.2-2 3.8 5.3H-3.8L-6.2-2Z",
    "star": "M0-7 1.9-2.3 6.8-2.2 2.9.9 4.3 5.7 0 2.9-4.3 5.7-2.9.9-6.8-2.2-1.9-2.3Z",
}
KINDS = (
    "single_task",
    "shared_bottom",
    "mmoe",
    "ple",
    "shared_embeddings",
    "trees",
    "ensemble",
    "current",
    "esmm",
    "equal_weights",
    "random_weights",
    "static_weights",
    "cgc",
    "omoe",
    "snr",
    "cross_stitch",
    "adatt",
    "stem",
    "home",
    "pepnet",
    "star",
    "mlora",
    "escm2",
    "escm2_dr",
    "aitm",
    "logged score",
    "today's score",
    "composite",
    "blend",
)
"""Kinds of models that differ in colour or shape on any page, in the order of pages. One that is
gone keeps its place. Others, new ones among them, have a look by their name."""


def looks_of(kinds: Iterable[str]) -> dict[str, tuple[str, str]]:
    """For each architecture, in the order of pages, the role of its colour and its mark's path, all
    different up to 63 kinds; of kinds that are not in `KINDS` by a hash."""
    symbols = tuple(SYMBOLS.values())
    places = _places_of(set(kinds), len(KIND_COLOURS) * len(symbols))
    looks = {}
    for kind, place in places.items():
        colour = KIND_COLOURS[place % len(KIND_COLOURS)]
        looks[kind] = colour, symbols[place % len(symbols)]
    return looks


def _places_of(kinds: set[str], total: int) -> dict[str, int]:
    places = {kind: KINDS.index(kind) for kind in KINDS if kind in kinds}
    free = list(range(len(KINDS), total))
    for kind in sorted(kinds - {*KINDS}):
        places[kind] = 0
        if free:  # the nearest free place after that of its hash
            nearest = bisect(free, crc32(kind.encode()) % 63) % len(free)
            places[kind] = free.pop(nearest)
    return places


escaped = escape


def sentence(text: str) -> str:
    """A sentence in which commands stand between backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escaped(text))


def identifier(text: str) -> str:
    """Any text as a part of an HTML id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "run"


def embedded(id: str, value: object) -> str:
    """Plain values as JSON for scripts to read. No `<` is left in it, so nothing can end the
    element early.
    """
    text = _json(value).replace("<", "\\u003c")
    return f'<script type="application/json" id="{id}">{text}</script>'


def packed(id: str, value: object) -> str:
    """Plain values as JSON, gzipped, in base64, for scripts to inflate: a quarter of its size for
    many trials.
    """
    compressed = gzip.compress(_json(value).encode(), compresslevel=6, mtime=0)
    data = base64.b64encode(compressed).decode()
    return f'<script type="text/plain" data-packed id="{id}">{data}</script>'


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class BarScale:
    """Places of values from `lowest` to `highest`, in per cent of a picture's width from `start` to
    `end`.
    """

    lowest: float
    highest: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """The place of a value."""
        width = (self.highest - self.lowest) or 1.0
        return self.start + (self.end - self.start) * (value - self.lowest) / width

    def bar(self, first: float, last: float, look: str) -> str:
        """A bar between two values, in any order."""
        x, end = sorted([self.place(first), self.place(last)])
        return f'<rect x="{x:.2f}%" width="{end - x:.2f}%" {look}/>'


def pairs(rows: Iterable[tuple[str, str]], style: str) -> str:
    """Names and values as a description list."""
    items = [f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in rows]
    return f'<dl class="{style}">{"".join(items)}</dl>'


def items(sentences: Iterable[str]) -> str:
    """Sentences as items of a list."""
    return "".join(f"<li>{sentence(text)}</li>" for text in sentences)


def fold(summary: str, content: str, name: str = "") -> str:
    """Content that is shown on demand; `name` lets scripts find it."""
    part = f' data-part="{name}"' if name else ""
    return f'<details class="fold"{part}><summary>{summary}</summary>{content}</details>'


def table(
    heads: Sequence[str],
    rows: list[list[str]],
    name: str,
    numbers: int,
    struck: Sequence[bool] = (),
    caption: str = "",
) -> str:
    """A table of texts; columns from `numbers` on are numbers. `struck`: rows whose name is struck
    through.
    """
    styles = [""] * numbers + ['class="number"'] * (len(heads) - numbers)
    head = ""
    for title, style in zip(heads, styles, strict=True):
        head += f'<th scope="col" {style}>{escaped(title)}</th>'
    body = ""
    for place, row in enumerate(rows):
        mark = " class=struck" if place < len(struck) and struck[place] else ""
        body += f'<tr data-of="{escaped(row[0])}"{mark}>'
        for title, cell, style in zip(heads, row, styles, strict=True):
            text = escaped(cell).replace(" to ", "&nbsp;to&nbsp;")
            body += f'<td data-label="{escaped(title)}" {style}>{text}</td>'
    above = f"<caption>{escaped(caption)}</caption>" if caption else ""
    # in a box of its own, so that the page itself never scrolls sideways
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(name)}">'
        f'<table class="texts">{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def joined(parts: Sequence[str]) -> str:
    """Pieces one below the other."""
    return "\n".join(part for part in parts if part)
