"""Small pieces of HTML. Every text goes through `escaped`, so that data cannot become markup."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from bench.report import theme

escaped = escape


def sentence(text: str) -> str:
    """A sentence in which commands stand between backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escaped(text))


def identifier(text: str) -> str:
    """Any text as a part of an HTML id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "run"


def embedded(id: str, value: Any) -> str:
    """Plain values as JSON for scripts to read. No `<` is left in it, so nothing can end the element early."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{id}">{text}</script>'


def packed(id: str, value: Any) -> str:
    """Plain values as JSON, gzipped, in base64, for scripts to inflate: a quarter of its size for many trials."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), allow_nan=False)
    data = base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()
    return f'<script type="text/plain" data-packed id="{id}">{data}</script>'


def glyph(look: theme.Look) -> str:
    """The mark of an architecture, as in figures."""
    shape = f'<path d="{theme.SYMBOLS[look.symbol]}" fill="var(--{look.role})"/>'
    return f'<svg class="key" viewBox="-8 -8 16 16" aria-hidden="true">{shape}</svg>'


def pairs(rows: Iterable[tuple[str, str]], style: str) -> str:
    """Names and values as a description list."""
    return f'<dl class="{style}">' + "".join(f"<dt>{escaped(n)}</dt><dd>{escaped(v)}</dd>" for n, v in rows) + "</dl>"


def scrolling(table: str, name: str) -> str:
    """A table in a box of its own, so that the page itself never scrolls sideways."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(name)}">{table}</div>'


def joined(parts: Sequence[str]) -> str:
    """Pieces one below the other."""
    return "\n".join(part for part in parts if part)
