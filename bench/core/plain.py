"""Parses TOML and JSON that a user may have written: any error is one sentence.

The one module that calls a TOML parser. It refuses numbers beyond 64 bits, as TOML allows, and nesting so deep that
walking it would exhaust Python's stack. Tables are nested, or flat with dotted names: {"sharing": {"kind": "ple"}} <->
{"sharing.kind": "ple"}.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import UserError

DEEPEST = 32
"""Largest depth of nested tables and arrays."""
_LONG = re.compile(r"[0-9](?:_?[0-9]){99,}")
_BITS = "expected integers of at most 64 bits, up to 9,223,372,036,854,775,807"


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parses a TOML document; `where` (a file's path, or an option) precedes the message of an error.

    Raises UserError if it is not TOML, with its line; nested more than `DEEPEST` deep; or has an integer beyond 64
    bits.
    """
    try:
        return dict(_checked(lambda: tomllib.loads(text), text, where))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: not valid TOML: {error}") from None


def parse_value(text: str, where: str) -> Any:
    """Parses one TOML value (1e-3, true, [64, 32]), None if it is none; UserError if too deep or beyond 64 bits."""
    try:
        values = _checked(lambda: tomllib.loads(f"value = {text}"), text, where, "value")
    except tomllib.TOMLDecodeError:
        return None
    return values["value"] if len(values) == 1 else None  # more than a line


def parse_json(text: str | bytes, where: str) -> Any:
    """Parses JSON; raises UserError if it is not JSON, not UTF-8, too deep, or has an integer beyond 64 bits."""
    try:
        decoded = text if isinstance(text, str) else text.decode()
        return _checked(lambda: json.loads(decoded), decoded, where)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: not valid JSON: {error}") from None


def read_json(path: Path) -> Any:
    """Parses a JSON file; errors as of `parse_json`."""
    return parse_json(path.read_bytes(), str(path))


def _checked(load: Callable[[], Any], text: str, where: str, own: str | None = None) -> Any:
    """Loads and checks values; `own` is a key that the user's text does not contain."""
    try:
        values = load()
    except RecursionError:
        raise UserError(f"{where}: {_deep()}") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # more digits than Python turns into an integer
        long = _LONG.search(text)
        before = text[: long.start()] if long else text
        line = "" if own else f"line {before.count(chr(10)) + 1}: "
        digits = f"one of {len(long[0].replace('_', '')):,} digits" if long else "a larger one"
        raise UserError(f"{where}: {line}{_BITS}, found {digits}") from None
    _check(values, where, own)
    return values


def _check(values: Any, where: str, own: str | None) -> None:
    left: list[tuple[tuple[str, ...], Any]] = [((), values)]
    while left:
        path, value = left.pop()
        if isinstance(value, dict | list):
            if len(path) > DEEPEST:
                raise UserError(f"{where}: {_deep()}")
            items = value.items() if isinstance(value, dict) else enumerate(value)
            left.extend(((*path, str(key)), item) for key, item in items)
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            at = ".".join(path[1:] if own else path)
            raise UserError(f"{where}: {f'{at}: ' if at else ''}{_BITS}, found one of {value.bit_length():,} bits")


def _deep() -> str:
    return f"expected tables and arrays at most {DEEPEST} deep, found them deeper"


def nest(flat: Mapping[str, Any], where: str = "configuration") -> dict[str, Any]:
    """Returns the nested form; raises UserError if a name is both a value and a table."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *tables, last = name.split(".")
        at = nested
        for table in tables:
            at = at.setdefault(table, {})
            if not isinstance(at, dict):
                raise UserError(f"{where}: '{name}' needs '{table}' to be a table, but it has the value {at!r}")
        if isinstance(at.get(last), dict):
            raise UserError(f"{where}: '{name}' is a table, but got the value {value!r}")
        at[last] = value
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


def assignments(given: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Dotted values of a table, or of NAME=VALUE pairs.

    A pair's value is read as TOML (1e-3, true, [64, 32]) and, where it is none, as text.

    Raises:
        UserError: no `=`, no name, a name given twice, or a number beyond 64 bits.
    """
    if isinstance(given, Mapping):
        return flatten(given)
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = (each.strip() for each in text.partition("="))
        if not equals or not name:
            raise UserError(f"--set: expected NAME=VALUE as in sharing.kind=mmoe, found '{text}'")
        if name in values:
            raise UserError(f"--set: '{name}' is given twice")
        read = parse_value(value, f"--set: {name}")
        values[name] = value if read is None else read
    return flatten(values)


def names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names of a list, or of a text that commas separate."""
    listed = given.split(",") if isinstance(given, str) else given or ()
    return tuple(stripped for name in listed if (stripped := name.strip()))


def jsonable(value: Any) -> Any:
    """Converts values to JSON: NumPy scalars to Python's, and numbers that are not finite to None."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if callable(item := getattr(value, "item", None)):
        value = item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
