"""Values, keys and comments as TOML that a person reads."""

from __future__ import annotations

import json
import string
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WIDTH = 118
_BARE = frozenset(string.ascii_letters + string.digits + "_-")


def toml(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return repr(value)


def key(name: str) -> str:
    """A key in TOML, quoted where it must be."""
    return name if name and set(name) <= _BARE else toml(name)


def comment(text: str, indent: str = "") -> Iterator[str]:
    """Comment lines; what cannot stand in a comment is escaped."""
    clean = "".join(letter if letter.isprintable() else toml(letter)[1:-1] for letter in text)
    return (f"# {line}" for line in textwrap.wrap(clean, WIDTH - 2, subsequent_indent=indent, break_on_hyphens=False))


def packed(names: Iterable[str]) -> Iterator[str]:
    """Items of an array of texts, as many on a line as fit."""
    line = " "
    for name in map(toml, names):
        if len(line) + len(name) + 2 > WIDTH and line.strip():
            yield line
            line = " "
        line += f" {name},"
    yield line
