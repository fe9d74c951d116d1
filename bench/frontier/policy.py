"""A written policy: how choices become one, and how that becomes a model.

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
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bench.content import read_toml
from bench.errors import UserError, shortened, unknown
from bench.frontier.guard import Bounds, Guard, bound
from bench.frontier.retraining import Retraining
from bench.frontier.revenue import Revenue, Weights, some_weight
from bench.frontier.rules import PICK_RULES
from bench.frontier.score import Score
from bench.objectives import AREAS, COSTS, metric_names, ranked
from bench.schema import Task
from bench.validation import validate

Asked = Mapping[str, float | str]


class Epsilon(BaseModel):
    """The `[epsilon]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    best: str
    """The metric, outcome or cost to have best."""
    subject_to: Bounds = {}
    """Bounds on others: from below where larger is better, else from above. Numbers, or as "98% of current"."""


class Policy(BaseModel):
    """How to pick, and how to train what is picked."""

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
