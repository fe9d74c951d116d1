"""A Python function as a trainer of `bench.run`: written as the file that a command would name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.core.system.atomic import write_text
from bench.core.validation import validate
from bench.deciding.policy import toml_lines
from bench.models.trainers.function import HERE, OF_THIS_PROCESS, Fit
from bench.models.trainers.trainer_file import TrainerFile

FOLDER = "trainers"
"""In the home."""


@dataclass(frozen=True)
class Trainer:
    """A function that trains a model of your own, and what it may and may not see.

    Attributes:
        fit: a function of configuration, seed, rows of train and rows to predict, see
            `bench.models.trainers.function`.
        name: in tables; by itself the function's.
        space: its settings that are searched, as tables of a search space: `{"lr": {"type":
            "float", "low": 1e-4, "high": 1e-1, "default": 1e-2, "log": True}}`.
        options: other keys of a trainer's file, as `labels = "valid"` or `fixed`.

    Example:
        >>> import bench
        >>> def fit(config, seed, train, rows):
        ...     return {split: len(frame) * [config["chance"]] for split, frame in rows.items()}
        >>> chance = {"type": "float", "low": 0.1, "high": 0.9, "default": 0.5}
        >>> bench.Trainer(fit, space={"chance": chance}).name
        'fit'
    """

    fit: Fit
    name: str = ""
    space: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.fit):
            raise UserError(f"trainer: expected a function, found {type(self.fit).__name__}")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.fit, "__name__", "trainer").strip("<>"))

    @property
    def in_module(self) -> bool:
        """Whether other processes can import its function."""
        module = sys.modules.get(self.fit.__module__)
        name = getattr(self.fit, "__qualname__", "<none>")
        has_file = getattr(module, "__file__", None) is not None
        return self.fit.__module__ != "__main__" and has_file and "<" not in name

    def write(self, home: Path) -> Path:
        """Writes its file at home, and returns the path.

        Raises:
            UserError: an option is unknown or wrong.
        """
        values: dict[str, Any] = {"name": self.name, **self.options}
        values["parameters"] = {name: dict(table) for name, table in self.space.items()}
        if self.in_module:
            module = self.fit.__module__
            file = Path(str(sys.modules[module].__file__)).resolve()
            depth = len(module.split(".")) - (file.name != "__init__.py")
            values["folder"] = str(file.parents[depth])
            values["function"] = f"{module}:{self.fit.__qualname__}"
        else:
            values["function"] = OF_THIS_PROCESS
            HERE[self.name] = self.fit
        validate(TrainerFile, values, "trainer")
        path = home / FOLDER / f"{self.name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(f"{line}\n" for line in toml_lines(values)))
        return path


def trainers_of(
    asked: Any, space: Mapping[str, Mapping[str, Any]] | None, home: Path
) -> tuple[list[str], bool]:
    """Files of what `bench.run` was given as trainers, and whether one is of this process alone.

    Args:
        asked: a function, a `Trainer`, a file's path, or several of these.
        space: of one function.
    """
    given = list(asked) if isinstance(asked, list | tuple) else [asked]
    if space is not None and (len(given) != 1 or not _is_function(given[0])):
        raise UserError("space: expected one function as the trainer beside this table of settings")
    paths = []
    here = False
    for trainer in given:
        if isinstance(trainer, str | Path):
            paths.append(str(trainer))
            continue
        if not isinstance(trainer, Trainer):
            trainer = Trainer(trainer, space=space or {})
        paths.append(str(trainer.write(home)))
        here = here or not trainer.in_module
    return paths, here


def _is_function(trainer: Any) -> bool:
    return callable(trainer) and not isinstance(trainer, Trainer)
