"""`trainer.toml`: what is called, what it gets, and its search space."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictStr, model_validator

from bench.core.errors import UserError
from bench.core.records import OURS
from bench.core.registry import Config
from bench.core.system.content import read_toml
from bench.core.validation import validate

FORMAT = 1
"""Of `job.json`, and of what answers it."""
FILE = "trainer.toml"
LARGEST_PROGRAM = 1 << 26
"""Bytes of a file of which a digest is taken: beyond, it is no text of a program."""
Unit = Literal["samples", "epochs", "steps", "rows"]


class Rungs(Config):
    """How a training can be stopped early: where the search first judges it."""

    unit: Unit
    """What `full` counts. `rows` starts again on a part of train's rows; all others go on from the
    folder that the stage before has kept."""
    full: float = Field(1.0, gt=0)
    """A training of full length in this unit; of rows the part of train, 1."""

    @model_validator(mode="after")
    def _parts_of_train(self) -> Rungs:
        if self.unit == "rows" and self.full > 1:
            raise ValueError(f"full: expected at most 1, all of train's rows, found {self.full:g}")
        return self

    @property
    def goes_on(self) -> bool:
        """Whether a stage goes on from the one before."""
        return self.unit != "rows"


def _checked_name(name: object) -> object:
    if name == OURS:
        raise ValueError(f"expected another name than '{OURS}', which the package itself has")
    return name


class TrainerFile(Config):
    """A trainer: either a `command` or a `function`."""

    name: Annotated[
        StrictStr, Field(pattern=r"^[A-Za-z_]\w*$", max_length=60), BeforeValidator(_checked_name)
    ]
    """In tables, and before its parameters: `trainer.NAME.lr`."""
    command: tuple[StrictStr, ...] = ()
    """A program and its arguments; the path of `job.json` follows them."""
    function: str = Field("", pattern=r"^([\w.]+:[\w.]+)?$")
    """`module:name` of a Python function, see `bench.models.trainers.function`."""
    folder: str = "."
    """Where a program runs, and where a function's module lies; as seen from this file."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of a program, beside those of this process."""
    seconds: float | None = Field(None, gt=0)
    """A program that takes longer is ended, which fails the trial."""
    memory_mb: int | None = Field(None, ge=64)
    """Memory that a program may take; beyond, what it asks for is refused."""
    labels: Literal["train", "valid"] = "train"
    """Labels that it gets: of train, or of train and validation, where it stops early by itself."""
    conditional: tuple[str, ...] = ()
    """Tasks whose predictions are given that the parent happened. All others are of all rows."""
    by_key: tuple[str, ...] = ()
    """Columns by which it names rows in its answer, instead of `row`: inputs or `keys` of the
    card."""
    keys_only: bool = False
    """Whether it gets keys, group, units and time alone, and has the inputs in a store of its
    own."""
    rungs: Rungs | None = None
    """Without it each training has full length."""
    fixed: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Settings that are not searched."""
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings that are searched, as in a search space: `type = "float"`, `low`, `high`, .."""

    @model_validator(mode="after")
    def _one_of_both(self) -> TrainerFile:
        if bool(self.command) == bool(self.function):
            raise ValueError("expected either a command or a function, found both or none")
        return self

    def amount(self, share: float) -> float:
        """A part of a full training in the unit of its rungs."""
        return share if self.rungs is None else self.rungs.full * share


def load_trainer(path: Path, beside: Path | None = None) -> TrainerFile:
    """Reads a trainer's file; its `folder` is absolute then.

    Args:
        beside: the folder that the file was in, of a copy.

    Raises:
        UserError: it cannot be read, a key is unknown or wrong, or there is no such folder.
    """
    values = read_toml(path)
    trainer = validate(TrainerFile, values, str(path))
    first = path.parent if beside is None else beside
    folder = Path(os.path.abspath(first / Path(trainer.folder).expanduser()))
    if not folder.is_dir():
        raise UserError(f"{path}: folder: expected a folder, found none at {folder}")
    return trainer.model_copy(update={"folder": str(folder)})


def digests_of(trainer: TrainerFile) -> dict[str, str]:
    """SHA-256 of the files of a trainer's program, by path: those that its command or function
    names.
    """
    names = list(trainer.command)
    if trainer.function:
        module = trainer.function.partition(":")[0].replace(".", "/")
        names = [f"{module}.py", f"{module}/__init__.py"]
    digests = {}
    for name in names:
        path = Path(trainer.folder, name)
        if path.is_file() and path.stat().st_size < LARGEST_PROGRAM:
            digests[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests
