"""Policies: the rule that picks a choice, the limits it must keep, and the settings of its retraining.

Guards exclude choices, a rule scores the rest; `[retrain]` says how the pick is trained for production. A file:

    rule = "epsilon"
    simplest = true
    [epsilon]
    best = "like.recall@10%"
    subject_to = { "click.recall@10%" = "98% of current", "cost/latency_ms" = 5 }
    [guard.segments]
    max_loss = 0.02
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from bench.content import read_toml
from bench.errors import UserError, shortened, unknown
from bench.frontier.choices import Choices
from bench.frontier.retraining import Retraining
from bench.frontier.rules import PICK_RULES
from bench.frontier.score import Score
from bench.objectives import AREAS, COSTS, metric_names, ranked
from bench.plain import flatten
from bench.schema import Task
from bench.validation import validate

LOSS = 0.05
"""What a served outcome may lose where the policy says nothing, as a fraction of current's."""
_RELATIVE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*of\s+current\s*")
EXPECTED = "a number, or a share of today's value such as '98% of current'"


def bound(value: object) -> float | str:
    """A bound as it is written: a number, or text such as "98% of current".

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    if isinstance(value, str) and _RELATIVE.fullmatch(value):
        return value.strip()
    raise ValueError(f"expected {EXPECTED}, found {value!r}")


def share_of_current(value: float | str) -> float | None:
    """.98 for "98% of current"; None for a number."""
    found = _RELATIVE.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else float(found[1]) / 100


def flat(value: Any) -> Any:
    """A table by metric; TOML nests an unquoted income.auc."""
    return flatten(value) if isinstance(value, Mapping) else value


def _loss(value: object) -> object:
    table = flat(value) if isinstance(value, Mapping) else {"": value}
    for number in table.values():
        if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
            raise ValueError(f"expected a fraction such as 0.02, or a table from metric to fraction, found {number!r}")
    return table if isinstance(value, Mapping) else value


Bound = Annotated[float | str, BeforeValidator(bound)]
Bounds = Annotated[dict[str, Bound], BeforeValidator(flat)]
Loss = Annotated[float | dict[str, float], BeforeValidator(_loss)]


class Segments(BaseModel):
    """The `[guard.segments]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_loss: Loss
    """What an outcome may lose in any segment, as a fraction of current's value there; one number, or by outcome."""
    confidence: float = Field(0.9, gt=0.5, lt=1)
    """A choice is excluded only where some segment loses more with this confidence, all segments and outcomes together
    (Bonferroni): one that loses no more anywhere is wrongly excluded in at most 10% of runs."""


class Guard(BaseModel):
    """The `[guard]` table of a policy. Metrics are named without split. "Current" is the point in production, or the
    single-task models where none was given."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_loss_vs_current: Loss | None = None
    """What may be lost, as a fraction of current's value: one number for all objectives that are no costs, or a table
    by metric. Below 0 it asks for a gain; `inf` allows anything. By itself 0.05 for each served outcome that the policy
    does not bound otherwise."""
    max_loss_in_standard_errors: float = Field(2.0, ge=0)
    """The same for metrics of heads that `max_loss_vs_current` does not name, where there is no served front: in
    standard errors of the paired difference from current. `inf` allows anything."""
    confidence: float | None = Field(None, gt=0.5, lt=1)
    """With which `max_loss_vs_current`, and bounds such as "98% of current", must be kept, over posterior draws. None
    compares the means alone."""
    at_most: Bounds = {}
    """Bounds from above, as in {"cost/parameters" = 2e6, "cost/latency_ms" = "110% of current"}."""
    at_least: Bounds = {}
    """Bounds from below, as in {"click.recall@10%" = "98% of current"}."""
    within: Annotated[dict[str, tuple[Bound, Bound]], BeforeValidator(flat)] = {}
    """Bands, as in {"click.pcoc" = [0.9, 1.1]}."""
    p_nondominated: float | None = Field(None, ge=0, le=1)
    """Least P(non-dominated)."""
    segments: Segments | None = None

    @field_validator("within")
    @classmethod
    def _bands(cls, bands: dict[str, tuple[float | str, float | str]]) -> dict[str, tuple[float | str, float | str]]:
        for name, (low, high) in bands.items():
            ends = [share_of_current(end) if isinstance(end, str) else end for end in (low, high)]
            if isinstance(low, str) != isinstance(high, str) or not (ends[0] or 0.0) <= (ends[1] or 0.0):
                raise ValueError(f"expected a band from low to high for '{name}', found [{low}, {high}]")
        return bands

    def loss_of(self, name: str) -> float | None:
        """What the policy itself allows an objective to lose; None where it says nothing."""
        given = self.max_loss_vs_current
        return given.get(name) if isinstance(given, dict) else given


Weights = Annotated[dict[str, float], BeforeValidator(flat)]


def some_weight(weights: dict[str, float]) -> dict[str, float]:
    """The weights, checked.

    Raises:
        ValueError: one is below 0 or not finite, or all are 0.
    """
    if weights and not (min(weights.values()) >= 0 and 0 < sum(weights.values()) < np.inf):
        raise ValueError(f"expected finite weights of at least 0, one of them above, found {weights}")
    return weights


class Revenue(BaseModel):
    """The `[revenue]` table of a policy: the value of a click, a like or a second.

    Of 1,000 rows to rank, 1000 x mean label are clicks; `recall@10%` is the share of them among the first 10%, which
    are shown. A choice earns the sum over outcomes of value x 1000 x mean label x outcome.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    value: Weights = Field(min_length=1)
    """The value of one click, like or second, by a served outcome that counts them: `recall@..`, `value@..`."""
    rate: Weights = {}
    """Mean label on all impressions, by task; else that of train."""

    _check = field_validator("value")(some_weight)

    def earned(self, choices: Choices, row: int) -> dict[str, float]:
        """What a row earns by outcome, for 1,000 rows to rank.

        Raises:
            UserError: a value is of what is no served outcome that counts, or a task's mean label is not known.
        """
        found, rates = {}, choices.rates | self.rate
        for name, value in self.value.items():
            choices.check(name, "revenue.value", directed=True)
            task, outcome = name.split(".")[0], ranked(name.rpartition(".")[2])
            if outcome is None or outcome.measure == "ndcg" or not choices.served or name not in choices.objectives:
                raise UserError(
                    "revenue.value: expected an outcome of the served score that counts, recall@.. or value@.., found "
                    f"'{name}'; add one to the suite's `outcomes`"
                )
            if task not in rates:
                raise UserError(f"revenue: expected the mean label of '{task}', found none; add revenue.rate '{task}'")
            found[name] = value * 1000 * rates[task] * float(choices.values([name])[row, 0])
        return found


Asked = Mapping[str, float | str]


class Epsilon(BaseModel):
    """The `[epsilon]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    best: str
    """The metric, outcome or cost to have best."""
    subject_to: Bounds = {}
    """Bounds on others: from below where larger is better, else from above. Numbers, or as "98% of current"."""


class Policy(BaseModel):
    """A policy: how to pick, and how to train the pick."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rule: str = "knee"
    """A name in `PICK_RULES`."""
    simplest: bool = False
    """Whether to take a simpler choice that is as good within noise; else the pick's sentence names it."""
    deployable: bool = True
    """Whether to pick only what `seesaw deploy` can package. Trees, the ensemble and the composition of single-task
    models are then named in the sentence where they are ahead. False picks them, too."""
    weights: Weights = {}
    """By metric, of the rules `weights` and `utopia`: what 1% of it is worth (.001 of a head's AUC). One that is not
    named weighs nothing; without any, all objectives weigh the same."""
    epsilon: Epsilon | None = None
    revenue: Revenue | None = None
    guard: Guard = Field(default_factory=Guard)
    retrain: Retraining = Field(default_factory=Retraining)
    score: Score = Field(default_factory=Score)
    """What a served model ranks by, in place of the pick's own weights; no pick depends on it."""

    _check = field_validator("weights")(some_weight)

    @field_validator("rule")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PICK_RULES:
            raise ValueError(str(unknown("rule", value, PICK_RULES)))
        return value

    @model_validator(mode="after")
    def _table_of_its_rule(self) -> Policy:
        wanted = PICK_RULES[self.rule].table
        for table in ("weights", "epsilon", "revenue"):
            if getattr(self, table) and table != wanted:
                raise ValueError(f"expected no table '{table}' beside the rule '{self.rule}', which does not read it")
        if wanted in ("epsilon", "revenue") and not getattr(self, wanted):
            raise ValueError(f"expected a table '{wanted}' beside the rule '{self.rule}', found none")
        return self

    @property
    def toml(self) -> str:
        """Itself as a policy file."""
        return "".join(
            f"{line}\n" for line in _lines({"rule": self.rule} | self.model_dump(mode="json", exclude_unset=True))
        )

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Outcomes of the ranking with a cut that it names, for all rows or a segment."""
        names = [name.partition("[")[0] for named in self._named.values() for name in named]
        return tuple(dict.fromkeys(name for name in names if _served(name.partition(".")[2])))

    def check(self, tasks: Sequence[Task]) -> None:
        """Raises a UserError where the policy names what cannot be measured of these tasks."""
        known = [metric for task in tasks for metric in metric_names(task)] + [f"cost/{cost}" for cost in COSTS]
        for where, name in ((where, name.partition("[")[0]) for where, names in self._named.items() for name in names):
            task, _, metric = name.partition(".")
            served = task in {each.name for each in tasks} and (_served(metric) or metric in AREAS)
            if not served and name not in known:
                raise UserError(f"{where}: {unknown('metric', name, known)}")

    @property
    def _named(self) -> dict[str, Iterable[str]]:
        """The metrics that it names, by where."""
        guard, epsilon, revenue, loss = self.guard, self.epsilon, self.revenue, self.guard.max_loss_vs_current
        return {
            "weights": self.weights,
            "epsilon": (epsilon.best, *epsilon.subject_to) if epsilon else (),
            "revenue.value": revenue.value if revenue else (),
            "guard": (*guard.at_most, *guard.at_least, *guard.within),
            "guard.max_loss_vs_current": loss if isinstance(loss, dict) else (),
        }

    def asked(self, maximize: str | None, at_least: Asked, at_most: Asked) -> Policy:
        """The policy with what a command asks for: `epsilon` with a metric to maximize, and more bounds."""
        values = self.model_dump(exclude_unset=True)
        if maximize is not None:
            values = {key: value for key, value in values.items() if key not in ("weights", "revenue")}
            values |= {"rule": "epsilon", "epsilon": {"best": maximize}}
        guard = dict(values.get("guard", {}))
        for key, bounds in (("at_least", at_least), ("at_most", at_most)):
            if bounds:
                guard[key] = {**guard.get(key, {}), **bounds}
        return Policy.model_validate({**values, "guard": guard} if guard else values)


def _served(metric: str) -> bool:
    """Whether a metric without its task is an outcome of a ranking with a cut."""
    return ranked(metric) is not None


def _lines(values: Mapping[str, object], prefix: str = "") -> list[str]:
    """A line of TOML for each value: the tables' names, quoted where they need it, and the value."""
    lines = []
    for key, value in values.items():
        name = prefix + (key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key))
        if isinstance(value, Mapping):
            lines += _lines(value, f"{name}.")
        elif value is not None:
            lines.append(f"{name} = {'inf' if value == float('inf') else json.dumps(value)}")
    return lines


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        UserError: no such file, broken TOML, an unknown key or rule, or a value of the wrong type.
    """
    return validate(Policy, read_toml(path), str(path))


def read_bound(option: str, text: str) -> tuple[str, float | str]:
    """Metric and bound of an option such as `--at-least "click.recall@10%[country=US]=98% of current"`.

    Raises:
        UserError: anything else.
    """
    found = re.fullmatch(r"\s*([^=\s\[]+(?:\[[^\]]*\])?)\s*=\s*(.+?)\s*", text)  # [country=US] is of the metric
    with suppress(ValueError):
        if found is not None:
            number = re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", found[2], re.I)
            return found[1], bound(float(found[2]) if number else found[2])
    raise UserError(
        f"{option}: expected METRIC=NUMBER or METRIC=98% of current, as in 'click.recall@10%=98% of current', "
        f"found '{shortened(text)}'"
    )
