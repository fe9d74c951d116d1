"""Generated data with known answers. Add a generator by adding a module and its entry to `GENERATORS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.data.synthetic import funnel, relatedness
from bench.data.synthetic.base import Generator
from bench.errors import UserError, unknown
from bench.validation import validate

GENERATORS: dict[str, Generator] = {
    "funnel": funnel.GENERATOR,
    "relatedness": relatedness.GENERATOR,
}


def generator_parameters(values: Mapping[str, Any], name: object, where: str) -> dict[str, Any]:
    """All parameters of a generator, defaults filled in.

    Raises:
        UserError: unknown generator or parameter, or a bad value.
    """
    if not isinstance(name, str):
        raise UserError(f"{where}: reader.generator: expected a name, found {name!r}")
    if name not in GENERATORS:
        raise UserError(f"{where}: {unknown('generator', name, GENERATORS)}")
    return validate(GENERATORS[name].config, values, f"{where}: reader.parameters").model_dump()


def generator_columns(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that a generator makes, as a card's `columns`."""
    generator = GENERATORS[name]
    return generator.columns(generator.config.model_validate(parameters))


__all__ = ["GENERATORS", "Generator", "generator_columns", "generator_parameters"]
