"""Synthetic data with known answers: tables from `GENERATORS`, and raw files in Ali-CCP's
format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UserError, check_known
from bench.core.registry import Config
from bench.core.system.atomic import atomic_folder
from bench.core.system.progress import Progress, Silent
from bench.core.validation import validate
from bench.data.synthetic import ali_ccp, feed, funnel, relatedness


@dataclass(frozen=True)
class Generator:
    """Generates rows from its parameters; the same parameters give the same rows."""

    config: type[Config]
    generate: Callable[[Any], Any]
    """Parameters -> Arrow table with the inputs, the labels and the truth behind them."""
    columns: Callable[[Any], dict[str, Any]] = lambda config: {}
    """Parameters -> inputs, as a card's `columns`, used where a card lists none."""
    version: int = 1
    """Raise it whenever the same parameters give other rows."""


GENERATORS: dict[str, Generator] = {
    "feed": Generator(feed.FeedConfig, feed.generate),
    "funnel": Generator(funnel.FunnelConfig, funnel.generate),
    "relatedness": Generator(
        relatedness.RelatednessConfig, relatedness.generate, relatedness.columns
    ),
}


def of_generator(
    name: object, values: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns all parameters of a generator, defaults included, and its inputs as a card's
    `columns`.

    Raises UserError for an unknown generator or parameter, or a bad value.
    """
    if not isinstance(name, str):
        raise UserError(f"{where}: reader.generator: expected a name, found {name!r}")
    check_known("generator", name, GENERATORS, where)
    config = validate(GENERATORS[name].config, values, f"{where}: reader.parameters")
    return config.model_dump(), GENERATORS[name].columns(config)


def synthesise(
    name: str, out: Path, parameters: dict[str, Any], progress: Progress | None = None
) -> dict[str, Any]:
    """Writes the raw files of a data set into a new folder; the same parameters give the same
    bytes.

    Raises UserError for an unknown data set or parameter, or a folder that is not empty.
    """
    check_known("data set to synthesise", name, ["ali-ccp"])
    config = validate(ali_ccp.AliCcpConfig, parameters, f"synth {name}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out: expected a new or empty folder, found {out} with something in it")
    with atomic_folder(out) as folder:
        return ali_ccp.write(config, folder, progress or Silent())
