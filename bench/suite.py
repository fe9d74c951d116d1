"""A suite: which data, which space, which objectives, and how much of everything. Content of `reports/`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bench import content
from bench.errors import UserError
from bench.objectives import Objective, parse, primary
from bench.schema import Task
from bench.validation import validate

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: object) -> float:
    """A duration such as "90s", "10m", "1.5h" or a number of seconds.

    Raises:
        ValueError: anything else, or not positive.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(text))
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"expected a duration such as 90s, 10m or 1.5h, found {text!r}")
    return float(match[1]) * _UNITS[match[2] or "s"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SuiteDataset(_Part):
    """One data set of a suite."""

    id: str
    """Name of a card, with its variant: `kuairand-pure@late-window`; or a card's path."""
    tasks: tuple[str, ...] = ()
    """Tasks to train; empty means the card's."""
    objectives: tuple[str, ...] = ()
    """Metrics without split; empty means every task's primary metric."""
    reference: dict[str, float] = {}
    """Hypervolume's reference point; an objective that is not named gets the room's default."""


class Budget(_Part):
    """How long to search, for each data set."""

    trials: int = Field(40, ge=1)
    """Trials in total, baselines included; a resumed run continues to this number."""
    time: Annotated[float, BeforeValidator(seconds)] | None = None
    """No trial is started later than this."""


class SearchOptions(_Part):
    """How to search."""

    sampler: str = "tpe"
    tries: int = Field(2, ge=0)
    """Trials of each kind of sharing, besides its defaults, before the sampler may choose among kinds."""


class Confirm(_Part):
    """Retraining of what looks best, on fresh seeds."""

    replicates: int = Field(2, ge=0)
    """Fresh seeds a configuration; 0 leaves test unopened."""
    limit: int = Field(10, ge=1)
    """At most so many configurations, by rank and then by hypervolume contribution."""


class Suite(_Part):
    """`reports/<name>/suite.toml`."""

    title: str
    space: str
    datasets: tuple[SuiteDataset, ...] = Field(min_length=1)
    budget: Budget = Budget()
    search: SearchOptions = SearchOptions()
    confirm: Confirm = Confirm()
    policy: dict[str, Any] = {}
    """As in a policy file: guards and a rule."""
    set: dict[str, Any] = {}
    """Configuration names held fixed throughout, as in { "optim.epochs" = 2 }."""

    @model_validator(mode="after")
    def _once_each(self) -> Suite:
        ids = [dataset.id for dataset in self.datasets]
        if twice := next((i for i in ids if ids.count(i) > 1), None):
            raise ValueError(f"data set '{twice}' is listed twice")
        return self

    def dataset(self, name: str) -> SuiteDataset:
        """The suite's settings for a data set, or the defaults for one that it does not list."""
        return next((dataset for dataset in self.datasets if dataset.id == name), SuiteDataset(id=name))


def load_suite(name_or_path: str) -> Suite:
    """Reads a suite.

    Raises:
        UserError: unknown, or not valid; the message names file and key.
    """
    path = content.find("reports", name_or_path)
    return validate(Suite, content.read_toml(path), str(path))


def resolve_objectives(dataset: SuiteDataset, tasks: tuple[Task, ...]) -> tuple[Objective, ...]:
    """The data set's objectives, checked against its tasks.

    Raises:
        UserError: an unknown metric, one without a direction, none at all that is a task's, or one named twice.
    """
    names = dataset.objectives or tuple(primary(task) for task in tasks)
    if len(set(names)) < len(names):
        raise UserError(f"{dataset.id}: an objective is named twice in {', '.join(names)}")
    objectives = tuple(parse(name, tasks, dataset.id) for name in names)
    if not any(objective.is_metric for objective in objectives):
        raise UserError(f"{dataset.id}: expected at least one task's metric among the objectives, found only costs")
    return objectives
