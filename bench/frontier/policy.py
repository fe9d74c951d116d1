"""A written policy: how a front becomes one configuration, and that a model.

Guards take away points, a rule chooses among the rest; `[retrain]` says how the pick is trained for good. A file:

    rule = "weights"
    simplest = true
    [weights]
    "click.auc" = 2
    "purchase.ctcvr.auc" = 1
    [guard]
    max_loss_vs_single_task = 0.001
    confidence = 0.9
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bench.content import read_toml
from bench.dotted import flatten
from bench.errors import UserError, unknown
from bench.frontier.guard import Guard
from bench.frontier.retraining import Retraining
from bench.frontier.revenue import Revenue
from bench.frontier.rules import PICK_RULES, Floats
from bench.frontier.score import Score
from bench.objectives import Objective
from bench.validation import validate


class Epsilon(BaseModel):
    """The `[epsilon]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    best: str
    """The objective to have best."""
    subject_to: dict[str, float] = {}
    """Bounds on other objectives: from below where larger is better, else from above."""

    @field_validator("subject_to", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return flatten(value) if isinstance(value, Mapping) else value


class Policy(BaseModel):
    """How to pick, and how to train what is picked."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rule: str = "knee"
    """A name in `PICK_RULES`."""
    simplest: bool = False
    """Of the points whose score is within one standard error of the best, the one with the fewest parameters."""
    weights: dict[str, float] = {}
    """By objective, of the rules `weights` and `utopia`; one that is not named weighs nothing. None: all the same."""
    epsilon: Epsilon | None = None
    revenue: Revenue | None = None
    guard: Guard = Field(default_factory=Guard)
    retrain: Retraining = Field(default_factory=Retraining)
    score: Score = Field(default_factory=Score)
    """What a served model ranks by; no pick depends on it."""

    @field_validator("rule")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PICK_RULES:
            raise ValueError(str(unknown("rule", value, PICK_RULES)))
        return value

    @field_validator("weights", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return flatten(value) if isinstance(value, Mapping) else value

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, weights: dict[str, float]) -> dict[str, float]:
        if weights and not (min(weights.values()) >= 0 and 0 < sum(weights.values()) < np.inf):
            raise ValueError(f"expected finite weights of at least 0, one of them above, found {weights}")
        return weights

    @model_validator(mode="after")
    def _table_of_its_rule(self) -> Policy:
        wanted = PICK_RULES[self.rule].table
        for table in ("weights", "epsilon", "revenue"):
            if getattr(self, table) and table != wanted:
                raise ValueError(f"expected no table '{table}' beside the rule '{self.rule}', which does not read it")
        if wanted in ("epsilon", "revenue") and not getattr(self, wanted):
            raise ValueError(f"expected a table '{wanted}' beside the rule '{self.rule}', found none")
        return self

    def check(self, objectives: Sequence[Objective]) -> None:
        """Raises a UserError where guard or rule name what is no objective."""
        self.guard.check(objectives)
        names = [each.name for each in objectives]
        for name in self.weights:
            if name not in names:
                raise UserError(f"weights: {unknown('objective', name, names)}")
        if self.epsilon:
            for name in (self.epsilon.best, *self.epsilon.subject_to):
                if name not in names:
                    raise UserError(f"epsilon: {unknown('objective', name, names)}")
        if self.revenue:
            self.revenue.check(objectives)

    def weights_of(self, objectives: Sequence[Objective]) -> Floats:
        """(M,), of sum 1."""
        found: Floats = np.array([self.weights.get(each.name, 0.0 if self.weights else 1.0) for each in objectives])
        return np.asarray(found / found.sum())


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        UserError: no such file, broken TOML, an unknown key or rule, or a value of the wrong type.
    """
    return validate(Policy, read_toml(path), str(path))
