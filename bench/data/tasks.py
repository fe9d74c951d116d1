"""The tasks of a card: what to predict, and how its label is read from raw columns."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bench.data.values import Values
from bench.registry import Config
from bench.schema import Task, TaskKind


class TaskRule(Config):
    """One task. A missing raw value makes an unobserved label (NaN)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    column: str | None = None
    """Raw column of the label: 0/1 for a binary task unless `positive` says more, a number for a regression."""
    columns: tuple[str, ...] = ()
    """Instead of `column`: several 0/1 columns whose product is the label."""
    kind: TaskKind = "binary"
    positive: Values = ()
    """Values of `column` that mean 1."""
    negative: Values = ()
    """Values that mean 0; where given, any other value is refused, else every other value means 0."""
    parent: str | None = None
    """Task that must happen first."""
    scale: Literal["auto", "none", "standard", "log1p"] = "auto"
    """How a regression's label is scaled for training, see `bench.data.target_scale`; predictions are in its unit."""
    optional: bool = False
    """Used only when asked for by name."""
    truth: str | None = None
    """Generated data only: raw column of the true mean, or of the true probability given the parent."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Raw columns the label is made from."""
        return self.columns or ((self.column,) if self.column else ())

    @property
    def task(self) -> Task:
        """What models see of it."""
        return Task(self.name, self.kind, self.parent)

    @model_validator(mode="after")
    def _consistent(self) -> TaskRule:
        if (self.column is None) == (not self.columns):
            raise ValueError(f"task '{self.name}': expected either 'column' or 'columns'")
        if len(self.columns) == 1:
            raise ValueError(f"task '{self.name}': expected 'columns' to hold two or more, found {self.columns[0]!r}")
        if self.negative and not self.positive:
            raise ValueError(f"task '{self.name}': 'negative' needs 'positive'")
        if both := set(self.positive) & set(self.negative):
            raise ValueError(f"task '{self.name}': {min(both)!r} is both positive and negative")
        if self.positive and (self.kind == "regression" or self.columns):
            raise ValueError(f"task '{self.name}': 'positive' is for a binary task with one 'column'")
        if self.kind != "regression" and self.scale != "auto":
            raise ValueError(f"task '{self.name}': 'scale' is for a regression")
        if self.kind == "regression" and (self.columns or self.parent):
            raise ValueError(f"task '{self.name}': a regression task has one 'column' and no parent")
        return self


def check_tasks(rules: tuple[TaskRule, ...]) -> None:
    """Raises ValueError, in one sentence, for duplicate names, unknown or unfit parents and cycles."""
    known = {rule.name: rule for rule in rules}
    if len(known) < len(rules):
        names = [rule.name for rule in rules]
        raise ValueError(f"task '{next(name for name in names if names.count(name) > 1)}' is defined twice")
    for rule in rules:
        chain = [rule.name]
        while (parent := known[chain[-1]].parent) is not None:
            if parent not in known:
                raise ValueError(f"task '{chain[-1]}': unknown parent '{parent}'; known are {', '.join(known)}")
            if parent in chain:
                raise ValueError(f"parents form a cycle: {' -> '.join([*chain, parent])}")
            chain.append(parent)
        if rule.parent is not None:
            if known[rule.parent].kind != "binary":
                raise ValueError(f"task '{rule.name}': its parent '{rule.parent}' must be binary")
            if known[rule.parent].optional and not rule.optional:
                raise ValueError(f"task '{rule.name}': its parent '{rule.parent}' is optional, so it must be too")
    if all(rule.optional for rule in rules):
        raise ValueError("every task is optional; at least one must not be")
