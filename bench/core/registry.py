"""The entry of a registry: written by contributors to add an architecture, a funnel or a balancer.

A registry is a dict literal from name to `Entry`, in its room's `__init__`. Python allows duplicate
keys in a literal, so a test refuses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from bench.core.errors import UserError, check_known, unknown
from bench.core.plain import flatten
from bench.core.schema import Schema
from bench.core.validation import validate

T = TypeVar("T")


class Config(BaseModel):
    """Base of entries' options, and of tables in files: typed, frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class NoOptions(Config):
    """Options of an entry without options."""


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A named choice on one axis of the search.

    Attributes:
        build: constructs it; the contract (`bench.models.contracts` or the room's `base`) fixes its
            arguments.
        config: its options.
        paper: source, as "Author et al., Venue Year", or "-" for a plain baseline.
        summary: one line for listings.
        unfit: None if the entry can be used with a schema, else the reason as a sentence.
        departs: differences from its authors' or other public code, as sentences; empty if none are
            known.
    """

    build: Callable[..., T]
    config: type[Config]
    paper: str
    summary: str
    unfit: Callable[[Schema], str | None] = lambda schema: None
    departs: str = ""


def lookup(registry: Mapping[str, Entry[Any]], noun: str, name: str) -> Entry[Any]:
    """Returns an entry; raises UserError, with the nearest name, if there is none."""
    check_known(noun, name, registry)
    return registry[name]


@dataclass(frozen=True)
class Chosen:
    """An entry chosen from a registry, with its options."""

    kind: str
    options: Config

    def dotted(self, axis: str) -> dict[str, Any]:
        """Returns its dotted configuration: {"sharing.kind": "ple", "sharing.ple.levels": 2,
        ...}.
        """
        return {f"{axis}.kind": self.kind} | flatten(
            self.options.model_dump(mode="json"), f"{axis}.{self.kind}."
        )


def choose(
    registry: Mapping[str, Entry[Any]], axis: str, table: Mapping[str, Any], default: str
) -> Chosen:
    """Reads `{"kind": "mmoe", "mmoe": {...}}`; raises UserError for an unknown kind or key, or bad
    options.
    """
    kind = table.get("kind", default)
    if not isinstance(kind, str):
        raise UserError(f"{axis}.kind: expected a name, found {kind!r}")
    entry = lookup(registry, f"{axis} kind", kind)
    for key in table:
        if key not in ("kind", kind):
            if key not in registry:
                raise unknown("key", f"{axis}.{key}", (f"{axis}.kind", f"{axis}.{kind}"))
            raise UserError(
                f"{axis}.{key}: does not belong to {axis}.kind = '{kind}', whose options are under "
                f"{axis}.{kind}"
            )
    options = table.get(kind, {})
    if not isinstance(options, Mapping):
        raise UserError(f"{axis}.{kind}: expected a table of options, found {options!r}")
    return Chosen(kind, validate(entry.config, options, "", f"{axis}.{kind}"))
