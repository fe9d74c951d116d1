"""A written policy turns a front into one configuration, with the reason in words.

The guard takes away points that cost a task more than is allowed against its single-task baseline; a rule chooses among
the rest. Only validation is read. A policy file:

    rule = "knee"
    [guard]
    max_loss_vs_single_task = {"income.auc" = 0.001}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bench.content import read_toml
from bench.errors import UserError, unknown
from bench.frontier import reason
from bench.frontier.estimates import estimate, estimates
from bench.frontier.frontier import Frontier
from bench.frontier.gains import baselines, gain
from bench.frontier.guard import Breach, Guard, Violation, relax, violations
from bench.frontier.points import Key, called, key_of
from bench.frontier.rules import PICK_RULES, PickRule
from bench.frontier.score import Score
from bench.objectives import Objective
from bench.records import Scalar, TrialRecord
from bench.validation import validate

RUNNERS_UP = 3


class Policy(BaseModel):
    """How to pick."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str = "knee"
    """A name in `PICK_RULES`."""
    guard: Guard = Field(default_factory=Guard)
    score: Score = Field(default_factory=Score)
    """What a served model ranks by; no pick depends on it."""

    @field_validator("rule")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PICK_RULES:
            raise ValueError(str(unknown("rule", value, PICK_RULES)))
        return value


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        UserError: no such file, broken TOML, an unknown key or rule, or a value of the wrong type.
    """
    return validate(Policy, read_toml(path), str(path))


@dataclass(frozen=True)
class Removed:
    """A point that the guard took away, and why."""

    trial: int
    architecture: str
    reason: str
    until: int | None = None

    @property
    def name(self) -> str:
        """How a sentence names it."""
        return f"{called(self.trial, self.until)} ({self.architecture})"


@dataclass(frozen=True)
class RunnerUp:
    """A point that passed the guard and came after the pick."""

    trial: int
    architecture: str
    score: float
    metrics: dict[str, float]
    until: int | None = None


@dataclass(frozen=True)
class Pick:
    """The chosen configuration, and for how long it is to be trained.

    Attributes:
        config: the whole configuration, dotted.
        metrics: its validation metrics and costs: replicate means where there are replicates.
        reason: why, in words and numbers.
        removed: what the guard took away.
        runners_up: the next best by the rule, best first.
        samples: of training, in a search by rungs.
        until: the same where that is short of full length: training on the schedule of full length stops there.
    """

    trial: int
    architecture: str
    config: dict[str, Scalar]
    metrics: dict[str, float]
    rule: str
    reason: str
    removed: tuple[Removed, ...]
    runners_up: tuple[RunnerUp, ...]
    samples: int | None = None
    until: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Itself as plain JSON values, without the lengths that there are not."""
        plain = asdict(self)
        for each in (plain, *plain["removed"], *plain["runners_up"]):
            for key in ("samples", "until"):
                if each.get(key, ...) is None:
                    del each[key]
        return plain


def pick(frontier: Frontier, records: Sequence[TrialRecord], objectives: Sequence[Objective], policy: Policy) -> Pick:
    """Chooses a point of the front.

    Equal scores go to the smaller model, then to the earlier trial, then to the shorter training.

    Raises:
        UserError: the front is empty, the guard names an unknown objective, or it lets no point through.
        ValueError: the front was not computed on validation: choosing by test would spoil it.
    """
    if frontier.split != "valid":
        raise ValueError(f"expected a frontier on validation, found {frontier.split!r}")
    policy.guard.check(objectives)
    front = frontier.on_front
    if not front:
        raise UserError(
            f"nothing to pick from: none of the {len(records)} trials has completed with a value of every objective"
        )
    against = baselines(frontier.points, objectives)
    policy.guard.check_measured(frontier.points)
    broken: dict[Key, list[Violation | Breach]] = {
        key_of(each): [
            *violations(policy.guard, gain(each, objectives, against), objectives, against),
            *policy.guard.breaches(each),
        ]
        for each in front
    }
    feasible = [each for each in front if not broken[key_of(each)]]
    if not feasible:
        raise relax({reason.name(each): broken[key_of(each)] for each in front})
    removed = tuple(
        Removed(each.number, each.architecture, ", and ".join(map(str, broken[key_of(each)])), each.until)
        for each in front
        if broken[key_of(each)]
    )

    ranked = _ranked(PICK_RULES[policy.rule], feasible, objectives)
    chosen = ranked[0][1]
    sentences = (
        f"T{reason.name(chosen)[1:]} is picked because it {reason.because(policy.rule, ranked, bool(removed))}.",
        reason.values(chosen, objectives, gain(chosen, objectives, against), against),
        reason.guarded(policy.guard, objectives, against, len(removed), len(front)),
    )
    return Pick(
        trial=chosen.number,
        architecture=chosen.architecture,
        config=chosen.config,
        metrics=_metrics(chosen),
        rule=policy.rule,
        reason=" ".join(filter(None, sentences)),
        removed=removed,
        runners_up=tuple(
            RunnerUp(each.number, each.architecture, score, _metrics(each), each.until)
            for score, each in ranked[1 : 1 + RUNNERS_UP]
        ),
        samples=chosen.rungs[-1].samples if chosen.rungs else None,
        until=chosen.until,
    )


def _ranked(
    rule: PickRule, feasible: Sequence[TrialRecord], objectives: Sequence[Objective]
) -> list[tuple[float, TrialRecord]]:
    """Scores and points, best first."""
    scores = rule.score(estimates(feasible, objectives) * [objective.sign for objective in objectives])
    rounded = np.round(scores, 12).tolist()  # scores that differ in the last bit are equal
    return sorted(
        zip(rounded, feasible, strict=True),
        key=lambda each: (-each[0], reason.size(each[1]), each[1].number, len(each[1].rungs)),
    )


def _metrics(record: TrialRecord) -> dict[str, float]:
    """Validation metrics and costs, as estimated; those that are not finite are left out."""
    found = {key: estimate(record, key) for key in record.metrics if not key.startswith("test/")}
    return {key: value for key, value in found.items() if math.isfinite(value)}
