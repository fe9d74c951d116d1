"""From a name such as `kuairand-pure@late-window` or `synthetic-relatedness@p=0.5` to a card."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import UserError, check_known
from bench.core.plain import parse_value
from bench.core.system import content
from bench.core.validation import validate
from bench.data.card import Card, Origin

MOST_LETTERS = 201
"""Of a card's full name, which becomes a folder's."""
_VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # a part of a folder's name, too


def load_card(name_or_path: str) -> Card:
    """The card of a name, or of a path to one; after an `@` a variant, or parameters of a
    generator.

    Raises UserError for an unknown name, variant or parameter, or a card that is broken, with file
    and key.
    """
    path, suffix = find_card(name_or_path)
    return parse_card(content.read_toml(path), str(path), suffix, path.parent)


def find_card(name_or_path: str) -> tuple[Path, str]:
    """The file of a card, and what follows the `@`; raises UserError for no known name nor an
    existing file.
    """
    name, suffix = name_or_path, ""
    if "@" in name_or_path and not os.path.exists(name_or_path):
        name, _, suffix = name_or_path.rpartition("@")
    return content.find("datasets", name), suffix


def lasting_name(name_or_path: str) -> str:
    """A card's name as it is, a path made absolute: it means the same card from every folder;
    errors of `find_card`.
    """
    path, suffix = find_card(name_or_path)
    if not content.is_path(name_or_path.removesuffix(f"@{suffix}")):
        return name_or_path
    return os.path.abspath(path) + (f"@{suffix}" if suffix else "")


def parse_card(
    values: Mapping[str, Any], where: str, suffix: str = "", folder: Path | None = None
) -> Card:
    """The card of a parsed TOML document.

    Args:
        where: what the values came from, for messages.
        suffix: what follows the `@`: a variant, `parameter=value`, or several with commas between.
        folder: where the card's files may lie.
    """
    values = dict(values)
    variants = values.pop("variants", {})
    if not isinstance(variants, Mapping) or not all(
        isinstance(table, Mapping) for table in variants.values()
    ):
        raise UserError(f"{where}: variants: expected a table of tables, found {variants!r}")
    for name in variants:
        if not _VARIANT.fullmatch(name):
            raise UserError(
                f"{where}: variants: expected at most 100 letters, digits and ._- in a name, found "
                f"'{name}'"
            )
    shown: list[str] = []
    changes: dict[str, Any] = {}
    for part in (part.strip() for part in suffix.split(",") if part.strip()):
        parameter, equals, text = (piece.strip() for piece in part.partition("="))
        if equals:
            changes[parameter] = _value(text, where, part)
            continue
        check_known(f"variant of '{values.get('id', where)}'", part, variants)
        if shown:
            raise UserError(f"{where}: expected one variant, found '{shown[0]}' and '{part}'")
        values |= variants[part]
        shown.append(part)
    reader = values.get("reader")
    if isinstance(reader, Mapping) and reader.get("kind") == "synthetic":
        from bench.data.synthetic import of_generator  # brings scipy.special

        own = reader.get("parameters", {})
        if not isinstance(own, Mapping):
            raise UserError(f"{where}: reader.parameters: expected a table, found {own!r}")
        parameters, columns = of_generator(reader.get("generator"), {**own, **changes}, where)
        shown += [f"{name}={parameters[name]}" for name in parameters if name in changes]
        values["reader"] = {**reader, "parameters": parameters}
        values.setdefault("columns", columns)
    elif changes:
        raise UserError(
            f"{where}: '{next(iter(changes))}' cannot be set: only generated data has parameters"
        )
    card = validate(Card, values, where)
    key = f"{card.id}@{','.join(shown)}" if shown else card.id
    if len(key) > MOST_LETTERS:
        raise UserError(
            f"{where}: expected a name of at most {MOST_LETTERS} letters, found '{key}'"
        )
    return card.with_origin(Origin(key, tuple(variants), folder))


def _value(text: str, where: str, part: str) -> Any:
    for spelling in (text, f"0{text}", text.replace("-.", "-0.")):  # TOML wants the zero of .5
        if (value := parse_value(spelling)) is not None:
            return value
    raise UserError(f"{where}: expected parameter=number after '@', found '{part}'")
