"""Options that several commands take, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.content import read_toml
from bench.errors import UserError
from bench.home import resolve_home
from bench.plain import flatten, parse_value

if TYPE_CHECKING:
    from bench.run.folder import Run


def device_name(given: str | None) -> str | None:
    """A device's name, checked while options are read: before torch is loaded."""
    from bench.machine import check_device_name

    if given is not None:
        check_device_name(given)
    return given


RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or path.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Full = Annotated[bool, typer.Option("--full", help="Show all tables and all reasons.")]
Home = Annotated[Path | None, typer.Option("--home", help="Home of all files; default: $SEESAW_HOME, else ./.seesaw.")]
Device = Annotated[
    str,
    typer.Option("--device", callback=device_name, help="auto, cpu or cuda; auto takes CUDA where it is available."),
]
Raw = Annotated[Path | None, typer.Option("--raw", help="Folder with the raw files; nothing is fetched.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Configuration, as in sharing.kind=mmoe. Repeat.")]
Model = Annotated[
    str, typer.Argument(help="A package's folder, a deployed run, or NAME, NAME@ALIAS or NAME/VERSION in the registry.")
]
Tracking = Annotated[
    str | None, typer.Option("--tracking", help="MLflow address of the registry; default: the store at home.")
]
Tasks = Annotated[str | None, typer.Option("--tasks", help="Tasks to train, separated by commas; default: the card's.")]


def opened(name: str, home: Path | None) -> Run:
    """The run of a name, or at a path."""
    from bench.run.folder import Run

    return Run.open(resolve_home(home), name)


def assignments(given: list[str] | None) -> dict[str, Any]:
    """Reads NAME=VALUE pairs. A value is read as TOML (1e-3, true, [64, 32]) and, where it is none, as text.

    Raises:
        UserError: no `=`, no name, a name given twice, or a number beyond 64 bits.
    """
    values: dict[str, Any] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UserError(f"--set: expected NAME=VALUE as in sharing.kind=mmoe, found '{text}'")
        if name in values:
            raise UserError(f"--set: '{name}' is given twice")
        read = parse_value(value.strip(), f"--set: {name}")
        values[name] = value.strip() if read is None else read
    return flatten(values)


def configuration(file: Path | None, given: list[str] | None) -> dict[str, Any]:
    """A configuration file's dotted values, overridden by `--set`, see `overridden`."""
    from bench.models.config import overridden

    return overridden(flatten(read_toml(file)) if file else {}, assignments(given))


def names(text: str | None) -> tuple[str, ...]:
    """Reads names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()
