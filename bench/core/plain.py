"""Parses TOML and JSON that a user may have written: any error is one sentence. Writes TOML.

The one module that calls a TOML parser. Tables are nested, or flat with dotted names: {"sharing":
{"kind": "ple"}} <-> {"sharing.kind": "ple"}.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import UserError


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parses a TOML document; raises UserError, with its line, if it is not TOML.

    Args:
        where: a file's path, or an option, which precedes the message.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid TOML: {error}") from None


def toml(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(assigned_lines(value)) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return repr(value).lower()
    return repr(float(value) if isinstance(value, float) else value)


def toml_key(name: str) -> str:
    """A key in TOML, quoted where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)


def assigned_lines(values: Mapping[str, Any]) -> list[str]:
    """A line of TOML for each value: its key, quoted where it must be, and the value."""
    return [f"{toml_key(name)} = {toml(value)}" for name, value in values.items()]


def parse_value(text: str) -> Any:
    """Parses one TOML value (1e-3, true, [64, 32]), None if it is none."""
    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return None
    if len(values) > 1:  # more than a line
        return None
    return values["value"]


def read_json(path: Path) -> Any:
    """Parses a JSON file; raises UserError if it is not JSON, or not UTF-8."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None


def nest(flat: Mapping[str, Any], where: str = "configuration") -> dict[str, Any]:
    """Returns the nested form; raises UserError if a name is both a value and a table."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *tables, last = name.split(".")
        inner = nested
        for table in tables:
            inner = inner.setdefault(table, {})
            if not isinstance(inner, dict):
                raise UserError(
                    f"{where}: '{name}' needs '{table}' to be a table, but it has the value "
                    f"{inner!r}"
                )
        if isinstance(inner.get(last), dict):
            raise UserError(f"{where}: '{name}' is a table, but got the value {value!r}")
        inner[last] = value
    return nested


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the dotted form."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def assignments(
    pairs: Sequence[str] | Mapping[str, Any],
    option: str = "--set",
    example: str = "sharing.kind=mmoe",
) -> dict[str, Any]:
    """Dotted values of a table, or of NAME=VALUE pairs.

    A pair's value is read as TOML (1e-3, true, [64, 32]) and, where it is none, as text.

    Raises:
        UserError: no `=`, no name, or a name given twice.
    """
    if isinstance(pairs, Mapping):
        return flatten(pairs)
    values: dict[str, Any] = {}
    for text in pairs:
        name, equals, value = map(str.strip, text.partition("="))
        if not equals or not name:
            raise UserError(f"{option}: expected NAME=VALUE as in {example}, found '{text}'")
        if name in values:
            raise UserError(f"{option}: '{name}' is given twice")
        parsed = parse_value(value)
        values[name] = value if parsed is None else parsed
    return flatten(values)


def names(listed: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names of a list, or of a text that commas separate."""
    if isinstance(listed, str):
        listed = listed.split(",")
    stripped = [name.strip() for name in listed or ()]
    return tuple(name for name in stripped if name)


def jsonable(value: Any) -> Any:
    """Converts values to JSON: NumPy scalars to Python's, and numbers that are not finite to
    None.
    """
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    to_python = getattr(value, "item", None)
    if callable(to_python):
        value = to_python()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
