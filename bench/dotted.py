"""Dotted names and nested tables: {"sharing.kind": "ple"} <-> {"sharing": {"kind": "ple"}}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import UserError


def nest(flat: Mapping[str, Any], where: str = "configuration") -> dict[str, Any]:
    """The nested form.

    Raises:
        UserError: a name is both a value and a table.
    """
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
    """The dotted form."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
