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
    _check_variants(variants, where)
    labels: list[str] = []
    changes: dict[str, Any] = {}
    for part in suffix.split(","):
        part = part.strip()
        parameter, equals, text = part.partition("=")
        if equals:
            changes[parameter.strip()] = _value(text.strip(), where, part)
        elif part:
            check_known(f"variant of '{values.get('id', where)}'", part, variants)
            if labels:
                raise UserError(f"{where}: expected one variant, found '{labels[0]}' and '{part}'")
            values |= variants[part]
            labels.append(part)

    if changes or _is_synthetic(values):
        labels += _set_parameters(values, changes, where)
    card = validate(Card, values, where)
    key = f"{card.id}@{','.join(labels)}" if labels else card.id
    if len(key) > MOST_LETTERS:
        raise UserError(
            f"{where}: expected a name of at most {MOST_LETTERS} letters, found '{key}'"
        )
    return card.with_origin(Origin(key, tuple(variants), folder))


def _check_variants(variants: Any, where: str) -> None:
    tables = variants.values() if isinstance(variants, Mapping) else [None]
    if not all(isinstance(table, Mapping) for table in tables):
        raise UserError(f"{where}: variants: expected a table of tables, found {variants!r}")
    for name in variants:
        if not _VARIANT.fullmatch(name):
            raise UserError(
                f"{where}: variants: expected at most 100 letters, digits and ._- in a name, found "
                f"'{name}'"
            )


def _is_synthetic(values: Mapping[str, Any]) -> bool:
    reader = values.get("reader")
    return isinstance(reader, Mapping) and reader.get("kind") == "synthetic"


def _set_parameters(values: dict[str, Any], changes: Mapping[str, Any], where: str) -> list[str]:
    """Puts all parameters of the generator, and its columns, into a card's values; returns the
    changed ones for the card's name.
    """
    if not _is_synthetic(values):
        parameter = next(iter(changes))
        raise UserError(f"{where}: '{parameter}' cannot be set: only generated data has parameters")
    from bench.data.synthetic import of_generator  # brings scipy.special

    reader = values["reader"]
    card_parameters = reader.get("parameters", {})
    if not isinstance(card_parameters, Mapping):
        raise UserError(f"{where}: reader.parameters: expected a table, found {card_parameters!r}")
    parameters, columns = of_generator(
        reader.get("generator"), {**card_parameters, **changes}, where
    )
    values["reader"] = {**reader, "parameters": parameters}
    values.setdefault("columns", columns)
    return [f"{name}={parameters[name]}" for name in parameters if name in changes]


def _value(text: str, where: str, part: str) -> Any:
    for spelling in (text, f"0{text}", text.replace("-.", "-0.")):  # TOML wants the zero of .5
        value = parse_value(spelling)
        if value is not None:
            return value
    raise UserError(f"{where}: expected parameter=number after '@', found '{part}'")
