"""Policies: the rule that picks a choice, the limits it must keep, and the settings of its
retraining.

Guards exclude choices, a rule of `PICK_RULES` scores the rest; `[retrain]` says how the pick is
trained for production. A file:

    rule = "epsilon"
    simplest = true
    [epsilon]
    best = "like.recall@10%"
    subject_to = { "click.recall@10%" = "98% of current", "cost/latency_ms" = 5 }
    [guard.segments]
    max_loss = 0.02

A rule sees gains over the current point, see `Choices.gains`: .01 is 1% of an outcome, or .001 of a
head's AUC. Scores have the same unit, so that a difference in score means the same under each rule.
The current point has the score 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known, unknown
from bench.core.objectives import (
    AREAS,
    COSTS,
    ItemKind,
    metric_names,
    metric_of,
    of_items,
    outcome,
    outcomes_of,
    ranked,
)
from bench.core.plain import toml, toml_key
from bench.core.plugins import Registry
from bench.core.registry import Config
from bench.core.schema import Positive, Task
from bench.core.system.content import read_toml
from bench.core.validation import validate
from bench.deciding.retraining import Retraining
from bench.deciding.score import Score, flat
from bench.ledger.effect import MARGIN

LEAST_RATIO = 1e-6
"""A ratio to current is at least this under a logarithm."""


@dataclass(frozen=True)
class Terms:
    """The weights and signs that a rule uses.

    Attributes:
        weights: (M,), at least 0, of sum 1: of `epsilon` 1 for the one metric that is to be best.
        signs: (M,), +1 where larger is better.
        linear: (M,), whether a gain is no fraction of current but a head's difference in
            thousandths.
    """

    weights: Floats
    signs: Floats
    linear: NDArray[np.bool_]


@dataclass(frozen=True)
class PickRule:
    """A named rule that picks.

    Attributes:
        score: gains (..., rows, M) and terms -> scores (..., rows); the largest wins. It never
            falls as a gain rises.
        because: completes "The pick is trial 7: it ..."; `{names}` is filled in.
        table: the policy's table that it reads; empty where there is none.
        relative: whether a row's score depends on which others there are.
        logarithmic: whether scores are logarithms of ratios, and no fractions.
    """

    score: Callable[[Floats, Terms], Floats]
    because: str
    table: str = ""
    relative: bool = False
    logarithmic: bool = False


def weighted(gains: Floats, terms: Terms) -> Floats:
    """The weighted sum of gains: sum_m w_m g_m."""
    return np.asarray(gains @ terms.weights)


def knee(gains: Floats, terms: Terms) -> Floats:
    """The mean of log(value / current): the largest product of all metrics (Nash, Econometrica
    1950).

    On a front that is where 1% of one outcome buys just 1% of another: its bend on logarithmic
    axes. It does not depend on units, nor on which other points there are. A metric to minimise has
    log(current / value); a head's metric in thousandths its gain.
    """
    ratio = np.log(np.maximum(1 + terms.signs * gains, LEAST_RATIO))
    gain = np.where(terms.linear, gains, terms.signs * ratio)
    return np.asarray(gain @ terms.weights)


def utopia(gains: Floats, terms: Terms) -> Floats:
    """Minus the weighted distance to the point that has the best gain of any row in every metric
    (Zeleny 1973).
    """
    best = np.fmax.reduce(gains, axis=-2, keepdims=True)
    return -np.asarray(np.sqrt((best - gains) ** 2 @ terms.weights))


_OURS: dict[str, PickRule] = {
    "knee": PickRule(knee, "is the best compromise of {names}", logarithmic=True),
    "weights": PickRule(weighted, "has the largest weighted gain in {names}", "weights"),
    "utopia": PickRule(
        utopia, "is nearest to the best {names} of any choice", "weights", relative=True
    ),
    "epsilon": PickRule(weighted, "has the best {names}", "epsilon"),
    "value": PickRule(weighted, "earns most by {names}", "values"),
}
PICK_RULES = Registry("rule", _OURS, PickRule, "a bench.deciding.policy.PickRule")


LOSS = 0.05
"""What a served outcome may lose where the policy says nothing, as a fraction of current's."""
_RELATIVE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*of\s+current\s*")
EXPECTED = "a number, or a share of today's value such as '98% of current'"
LEAST_SHARE = 0.01
"""Of today's value: '0.98% of current' is meant to be 98%, and would let everything pass."""


def bound(value: object) -> float | str:
    """A bound as it is written: a number, or text such as "98% of current"; raises ValueError for
    anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    if isinstance(value, str) and (share_of_current(value) or 0.0) >= LEAST_SHARE:
        return value.strip()
    raise ValueError(f"expected {EXPECTED}, found {value!r}")


def share_of_current(value: float | str) -> float | None:
    """.98 for "98% of current"; None for a number."""
    if not isinstance(value, str):
        return None
    match = _RELATIVE.fullmatch(value)
    return None if match is None else float(match[1]) / 100


def _loss(value: object) -> object:
    if not isinstance(value, Mapping):
        _check_loss("", value)
        return value
    losses = flat(value)
    for name, loss in losses.items():
        _check_loss(name, loss)
    return losses


def _check_loss(name: str, loss: object) -> None:
    """Raises ValueError for no fraction; `name` of the metric is empty of all of them."""
    if isinstance(loss, bool) or not isinstance(loss, int | float) or math.isnan(loss):
        raise ValueError(
            f"expected a fraction such as 0.02, or a table from metric to fraction, found {loss!r}"
        )
    metric = metric_of(name)
    is_share = not name or metric in AREAS or ranked(metric) is not None
    if is_share and 1 < loss < math.inf:
        raise ValueError(
            f"expected a fraction such as 0.02 for 2%, or inf where all may be lost, found {loss!r}"
        )


BoundSetting = Annotated[float | str, BeforeValidator(bound)]
Bounds = Annotated[dict[str, BoundSetting], BeforeValidator(flat)]
LossSetting = Annotated[float | dict[str, float], BeforeValidator(_loss)]


class SegmentGuard(Config):
    """The `[guard.segments]` table of a policy."""

    max_loss: LossSetting
    """What an outcome may lose in any segment, as a fraction of current's value there; one number,
    or by outcome.
    """
    of: tuple[str, ...] = ()
    """Names of the card's segments that count, as in ["scenario"]; none: all."""
    confidence: float = Field(0.9, gt=0.5, lt=1)
    """A choice is excluded only where some segment loses more with this confidence, all segments
    and outcomes together (Bonferroni): one that loses no more anywhere is wrongly excluded in at
    most 10% of runs."""


class Guard(Config):
    """The `[guard]` table of a policy. Metrics are named without split. "Current" is the point in
    production. Where none was given, a served front has no such limits; heads are compared with the
    single-task models."""

    max_loss_vs_current: LossSetting | None = None
    """What may be lost, as a fraction of current's value: one number for all objectives that are no
    costs, or a table by metric. Below 0 it asks for a gain; `inf` allows anything. By itself 0.05
    for each served outcome that the policy does not bound otherwise; nothing under the rule
    `value`, whose values say what a loss costs."""
    max_loss_in_standard_errors: float = Field(2.0, ge=0)
    """The same for metrics of heads that `max_loss_vs_current` does not name, where there is no
    served front: in standard errors of the paired difference from current. `inf` allows
    anything."""
    confidence: float = Field(0.75, ge=0.5, lt=1)
    """With which `max_loss_vs_current`, and bounds such as "98% of current", must be kept: all
    together in that share of posterior draws. At 0.5 little more than the mean must keep them.
    Metrics without draws are compared by their means."""
    at_most: Bounds = Field(default_factory=dict)
    """Bounds from above, as in {"cost/parameters" = 2e6, "cost/latency_ms" = "110% of current"}."""
    at_least: Bounds = Field(default_factory=dict)
    """Bounds from below, as in {"click.recall@10%" = "98% of current"}."""
    segments: SegmentGuard | None = None

    @property
    def losses(self) -> dict[str, float]:
        """What may be lost, of the metrics that `max_loss_vs_current` names."""
        return self.max_loss_vs_current if isinstance(self.max_loss_vs_current, dict) else {}


class Epsilon(Config):
    """The `[epsilon]` table of a policy."""

    best: str
    """The metric, outcome or cost to have best."""
    subject_to: Bounds = Field(default_factory=dict)
    """Bounds on others: from below where larger is better, else from above. Numbers, or as "98% of
    current".
    """


@dataclass(frozen=True)
class WrittenBound:
    """A bound that a policy writes.

    Attributes:
        setting: of the policy.
        is_floor: whether from below; None where the metric's direction says so.
        value: a number, or as "98% of current".
    """

    setting: str
    metric: str
    is_floor: bool | None
    value: float | str


class Policy(Config):
    """A policy: how to pick, and how to train the pick."""

    rule: str = "knee"
    """A name in `PICK_RULES`."""
    simplest: bool = False
    """Whether to take a simpler choice that is as good within noise; else the pick's sentence names
    it.
    """
    weights: Annotated[dict[str, float], BeforeValidator(flat)] = Field(default_factory=dict)
    """By metric, of the rules `weights` and `utopia`: what 1% of it is worth (.001 of a head's
    AUC). One that is not named weighs nothing; without any, all objectives weigh the same."""
    values: dict[str, Positive] = Field(default_factory=dict)
    """By task, of the rule `value`: what one click, one purchase is worth; of a regression, one
    unit of its label. A ranking earns the sum over tasks of value times what happens in its first
    places. Others are worth nothing."""
    epsilon: Epsilon | None = None
    least_gain: float = Field(MARGIN, ge=0)
    """What other weights of today's model must surely gain in U, as a fraction; else today's are
    kept.
    """
    guard: Guard = Field(default_factory=Guard)
    retrain: Retraining = Field(default_factory=Retraining)
    score: Score = Field(default_factory=Score)
    """What a served model ranks by, in place of the pick's own weights; no pick depends on it."""

    _options: dict[tuple[str, str], str] = PrivateAttr(default_factory=dict)
    """By setting and metric, its segment left out, the option that named it."""

    @field_validator("weights")
    @classmethod
    def _some(cls, weights: dict[str, float]) -> dict[str, float]:
        if not weights:
            return weights
        total = sum(weights.values())
        if min(weights.values()) >= 0 and 0 < total < np.inf:
            return weights
        raise ValueError(
            f"expected finite weights of at least 0, one of them above, found {weights}"
        )

    @field_validator("rule")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PICK_RULES:
            raise ValueError(str(unknown("rule", value, PICK_RULES)))
        return value

    @model_validator(mode="after")
    def _table_of_its_rule(self) -> Policy:
        wanted = PICK_RULES[self.rule].table
        for table in ("weights", "epsilon", "values"):
            if getattr(self, table) and table != wanted:
                raise ValueError(
                    f"expected no table '{table}' beside the rule '{self.rule}', which does not "
                    "read it"
                )
        if wanted in ("epsilon", "values") and not getattr(self, wanted):
            raise ValueError(
                f"expected a table '{wanted}' beside the rule '{self.rule}', found none"
            )
        return self

    @property
    def toml(self) -> str:
        """Itself as a policy file."""
        values = {"rule": self.rule} | self.model_dump(mode="json", exclude_unset=True)
        return "".join(f"{line}\n" for line in toml_lines(values))

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Outcomes of the ranking with a cut that it names, for all rows or a segment."""
        return outcomes_of(chain.from_iterable(self._named.values()))

    def check(self, tasks: Sequence[Task], items: Mapping[str, ItemKind] | None = None) -> None:
        """Raises a UserError where the policy names what cannot be measured of these tasks and
        columns of items.
        """
        task_names = [task.name for task in tasks]
        for task in self.values:
            check_known("task", task, task_names, "values")
        metrics = [metric for task in tasks for metric in metric_names(task)]
        metrics += [f"cost/{cost}" for cost in COSTS]
        for setting, names in self._named.items():
            for name in names:
                self._check_metric(name.partition("[")[0], setting, tasks, metrics, items)

    def _check_metric(
        self,
        name: str,
        setting: str,
        tasks: Sequence[Task],
        metrics: Sequence[str],
        items: Mapping[str, ItemKind] | None,
    ) -> None:
        """Raises a UserError where no metric of heads, no cost and no outcome has this name."""
        if name in metrics:
            return
        task_names = [task.name for task in tasks]
        task, _, metric = name.partition(".")
        has_curve = ranked(metric) is not None or metric in AREAS
        if task in task_names and has_curve and not of_items(name):
            return
        where = self.where(setting, name)
        if "@" in name or name in task_names or task in (items or {}):
            outcome(name, tuple(tasks), where, items)
        else:
            raise UserError(f"{where}: {unknown('metric', name, metrics)}")

    @property
    def bounds(self) -> list[WrittenBound]:
        """The bounds that it writes."""
        bounds = []
        for name, value in self.guard.at_most.items():
            bounds.append(WrittenBound("guard.at_most", name, False, value))
        for name, value in self.guard.at_least.items():
            bounds.append(WrittenBound("guard.at_least", name, True, value))
        if self.epsilon:
            for name, value in self.epsilon.subject_to.items():
                bounds.append(WrittenBound("epsilon.subject_to", name, None, value))
        return bounds

    @property
    def _bounded(self) -> set[str]:
        return {bound.metric for bound in self.bounds}

    def losses(self, metrics: Iterable[str]) -> dict[str, float | None]:
        """By metric that the guard limits a loss of: the share that it names, or None for what it
        has by default.

        By default it is each of `metrics` that no bound of the policy, nor what is to be best,
        takes care of. Under the rule `value` nothing is limited by default: values say what a loss
        costs.
        """
        setting, by_metric = self.guard.max_loss_vs_current, self.guard.losses
        if self.values and not isinstance(setting, float):
            return dict(by_metric)
        bounded = self._bounded
        if self.epsilon:
            bounded.add(self.epsilon.best)
        losses: dict[str, float | None] = {}
        for name in (*by_metric, *metrics):
            loss = by_metric.get(name) if isinstance(setting, dict) else setting
            if loss is not None or name not in bounded:
                losses[name] = loss
        return losses

    def weighed(self, objectives: Iterable[str]) -> Mapping[str, float]:
        """The weights of the metrics that the rule scores: of all objectives the same where it
        names none.

        Without those of items that the policy limits: what is guarded is not aimed at, too.
        """
        if self.epsilon:
            return {self.epsilon.best: 1.0}
        if self.weights:
            return self.weights
        limited = self._bounded | {*self.guard.losses}
        return {name: 1.0 for name in objectives if not (of_items(name) and name in limited)}

    def where(self, setting: str, name: str) -> str:
        """What a message about a metric begins with: the option that named it, else the policy's
        setting.
        """
        metric = name.partition("[")[0]
        for (option_setting, option_metric), option in self._options.items():
            if option_setting.startswith(setting) and option_metric == metric:
                return option
        return setting

    @property
    def _named(self) -> dict[str, Iterable[str]]:
        guard = self.guard
        names: dict[str, Iterable[str]] = {"weights": self.weights}
        if self.epsilon:
            names["epsilon"] = (self.epsilon.best, *self.epsilon.subject_to)
        names["guard"] = (*guard.at_most, *guard.at_least)
        names["guard.max_loss_vs_current"] = guard.losses
        return names

    def asked(
        self,
        maximize: str | None,
        at_least: dict[str, float | str],
        at_most: dict[str, float | str],
        worth: dict[str, float],
    ) -> Policy:
        """The policy with what a command asks for: `epsilon` with a metric to maximize, or values;
        and more bounds.
        """
        values = self.model_dump(exclude_unset=True)
        if maximize is not None or worth:
            for table in ("weights", "epsilon", "values"):
                values.pop(table, None)
        if worth:
            values |= {"rule": "value", "values": worth}
        elif maximize is not None:
            values |= {"rule": "epsilon", "epsilon": {"best": maximize}}
        for key, bounds in (("at_least", at_least), ("at_most", at_most)):
            if bounds:
                guard = values.setdefault("guard", {})
                guard[key] = guard.get(key, {}) | bounds
        policy = Policy.model_validate(values)

        if maximize:
            policy._name_option("epsilon.best", "--maximize", [maximize])
        policy._name_option("guard.at_least", "--at-least", at_least)
        policy._name_option("guard.at_most", "--at-most", at_most)
        return policy

    def _name_option(self, setting: str, option: str, names: Iterable[str]) -> None:
        """Keeps for `where` which option named metrics."""
        for name in names:
            metric, _, _ = name.partition("[")
            self._options[setting, metric] = option


def toml_lines(values: Mapping[str, object], prefix: str = "") -> list[str]:
    """A line of TOML for each value: the tables' names, quoted where they need it, and the
    value.
    """
    lines = []
    for key, value in values.items():
        name = prefix + toml_key(key)
        if isinstance(value, Mapping):
            lines += toml_lines(value, f"{name}.")
        elif value is not None:
            lines.append(f"{name} = {toml(value)}")
    return lines


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file; raises UserError if it cannot be read, or for a bad key, rule or
    value.
    """
    return validate(Policy, read_toml(path), str(path))
