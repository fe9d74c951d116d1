"""What a user asks of a run: options of `seesaw run`, arguments of `bench.run`, or a TOML file of
either.

Each option is one field here or in a base: `Budget` has the limits, `Resources` what an executor is
asked. A field's name, type and docstring make the option of the command line, and the run's folder
keeps its value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bench.app.runs.suite import Budget
from bench.core.plain import assignments, names
from bench.core.system.content import read_toml
from bench.core.system.object_store import located
from bench.core.validation import validate
from bench.search.executors.base import Resources

ColumnList = Annotated[tuple[str, ...], BeforeValidator(names)]


def _models(value: Any) -> dict[str, Any]:
    return assignments(value, "--model", "mine=q_click,q_buy")


def _confirm(value: Any) -> dict[str, Any]:
    return assignments(value, "--confirm", "static=7")


def _located(folder: Path | None) -> Path | None:
    return None if folder is None else located(folder)


class Request(Resources, Budget):
    """What a user asks of a run."""

    suite: str
    """A suite's name or file, a TOML file with these options, or a run to go on with."""
    dataset: Annotated[tuple[str, ...], BeforeValidator(names)] = ()
    """Data sets instead of the suite's, separated by commas."""
    space: str | None = None
    """Search space instead of the suite's."""
    sampler: str | None = None
    """gp, tpe or random."""
    lowest: int | float | str | None = None
    """Lowest rung: samples, or a part of full length; 0 for none."""
    name: str | None = None
    """The run's name; a second time, the run goes on. Default: that of the one --dataset, else the
    suite's; numbered."""
    seed: int = Field(0, ge=0)
    """Seed of every random number."""
    set: Annotated[dict[str, Any], BeforeValidator(assignments)] = Field(default_factory=dict)
    """Configuration, as in sharing.kind=mmoe."""
    confirm: Annotated[dict[str, Any], BeforeValidator(_confirm)] = Field(default_factory=dict)
    """More or less to confirm than the suite says, as in static=7, members=2 or replicates=3."""
    current: str | None = None
    """Model in production: TOML, a package's folder, column:NAME, or models:/NAME/VERSION."""
    model: Annotated[dict[str, ColumnList], BeforeValidator(_models)] = Field(default_factory=dict)
    """Model from elsewhere, by its columns of the log: mine=q_click,q_buy."""
    trainer: Annotated[tuple[str, ...], BeforeValidator(names)] = ()
    """Files of trainers of your own, searched beside our space; --space none leaves ours out."""
    raw: Annotated[Path | None, AfterValidator(_located)] = None
    """Folder with the raw files; nothing is fetched."""
    backtest: int | None = Field(None, ge=2)
    """Ends with a back-test of N cuts, see `seesaw backtest`."""
    tracking: str | None = None
    """MLflow's address; default: a file at home."""

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Request:
        """The request of some options, which go before those of the file that `suite` may name.

        Raises:
            UserError: an unknown option, or a value that it cannot have.
        """
        path = Path(str(asked.get("suite")))
        if path.suffix == ".toml" and path.is_file() and "suite" in (file := read_toml(path)):
            return validate(cls, {**file, **asked, "suite": file["suite"]}, str(path))
        return validate(cls, asked, "")

    @property
    def words(self) -> list[str]:
        """The command line that asks for the same."""
        words = ["seesaw", "run", self.suite]
        options = self.model_dump(mode="json", exclude_unset=True, exclude={"suite"})
        for name, value in options.items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(value, dict):
                for key, setting in value.items():
                    words += [option, f"{key}={json.dumps(setting)}"]
            elif isinstance(value, list):
                words += [option, ",".join(value)]
            else:
                words += [option, str(value)]
        return words
