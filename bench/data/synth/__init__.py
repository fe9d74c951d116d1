"""Raw files in the exact format of a public data set, of any size. Add one by adding a module and its entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.atomic import atomic_folder
from bench.data.synth import ali_ccp
from bench.errors import UserError, unknown
from bench.progress import Progress, Silent
from bench.registry import Config
from bench.validation import validate


@dataclass(frozen=True)
class Synth:
    """A writer of raw files.

    Attributes:
        config: its parameters; `rows` and `seed` are among them.
        write: (parameters, empty folder, progress) -> what was written, as plain values.
    """

    config: type[Config]
    write: Callable[[Any, Path, Progress], dict[str, Any]]


SYNTHS: dict[str, Synth] = {
    "ali-ccp": Synth(ali_ccp.AliCcpConfig, ali_ccp.write),
}


def synthesise(name: str, out: Path, parameters: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Writes the raw files of a data set into a new folder; the same parameters give the same bytes.

    Raises:
        UserError: an unknown data set or parameter, or a folder that holds something already.
    """
    if name not in SYNTHS:
        raise unknown("data set to synthesise", name, SYNTHS)
    synth = SYNTHS[name]
    config = validate(synth.config, parameters, f"synth {name}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out: expected a new or empty folder, found {out} with something in it")
    with atomic_folder(out) as folder:
        return synth.write(config, folder, progress or Silent())


__all__ = ["SYNTHS", "Synth", "synthesise"]
