"""The tasks of a card: what to predict, how its label is read, and the scale of a regression's
targets.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from pydantic import Discriminator, Field, Tag, model_validator

from bench.core.arrays import Floats, Ints, Mask, Singles
from bench.core.errors import UserError, repeated
from bench.core.registry import Config
from bench.core.schema import SCORE, Scale, Task, TaskKind
from bench.data.values import Values, as_numbers, as_text, hours_in, hours_of, is_span


class Span(Config):
    """Numbers from `first` to `last`, both included; an absent end is open."""

    first: float = -math.inf
    last: float = math.inf

    @model_validator(mode="after")
    def _holds_some(self) -> Span:
        both_open = math.isinf(self.first) and math.isinf(self.last)
        if both_open or not self.first <= self.last:
            raise ValueError(
                f"expected 'first', 'last' or both, rising, found {self.first:g} and {self.last:g}"
            )
        return self


def _form(condition: object) -> str:
    return "range" if isinstance(condition, (Mapping, Span)) else "values"


_Some = Annotated[Values, Field(min_length=1), Tag("values")]
Condition = Annotated[Annotated[Span, Tag("range")] | _Some, Discriminator(_form)]


class TaskRule(Config):
    """One task. A missing raw value makes an unobserved label (NaN)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    column: str | None = None
    """Raw column of the label: 0/1 for a binary task without `positive`, a number for a
    regression.
    """
    columns: tuple[str, ...] = ()
    """Instead of `column`: several 0/1 columns whose product is the label."""
    kind: TaskKind = "binary"
    positive: Values = ()
    """Values of `column` that mean 1."""
    negative: Values = ()
    """Values that mean 0; where given, any other value is refused, else every other value means
    0.
    """
    parent: str | None = None
    """Binary task that must happen first. A regression then counts where it happened: seconds
    watched given a click.
    """
    scale: Literal["auto", "none", "standard", "log1p"] = "auto"
    """How a regression's label is scaled for training, see `scaled_tasks`; predictions are in its
    unit.
    """
    unit: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Of a regression: how much in its column, and in that of `censored`, is 1: 1000 makes seconds
    of milliseconds.
    """
    duration: str | None = None
    """Of a regression: raw number column, and a numeric input, by which the loss `bins` groups
    rows.
    """
    censored: str | None = None
    """Of a regression: raw number column of the most that the label can be. A label there or above
    is taken as it, and says only that the quantity is at least that."""
    where: dict[str, Condition] = Field(default_factory=dict)
    """Raw column -> its values, or range, in the rows where the task counts; elsewhere its label is
    unobserved. All must hold."""
    matures: str | None = None
    """How long after a row's time its label is known, as in `7d`; or the raw column of the time
    from which it is. What is not known by the card's `as_of` does not count."""
    optional: bool = False
    """Used only when asked for by name."""
    truth: str | None = None
    """Generated data only: raw column of the true mean, or of the true probability given the
    parent.
    """

    @property
    def sources(self) -> tuple[str, ...]:
        """Raw columns the label is made from."""
        return self.columns or ((self.column,) if self.column else ())

    @property
    def uses(self) -> Iterator[tuple[str, Literal["number", "text"]]]:
        """(raw column, how it is read) for each use of a raw column."""
        for raw in self.sources:
            yield raw, "number" if self.kind == "regression" else "text"
        for column in (self.truth, self.duration, self.censored):
            if column:
                yield column, "number"
        for raw, condition in self.where.items():
            yield raw, "number" if isinstance(condition, Span) else "text"
        if self.matures and not is_span(self.matures):
            yield self.matures, "text"

    def counts(self, table: pa.Table, missing: Collection[str]) -> Mask:
        """(n,) in which rows of an Arrow table the task counts; not where a column of `where` is
        missing.
        """
        counts = np.ones(table.num_rows, np.bool_)
        for raw, condition in self.where.items():
            if isinstance(condition, Span):
                numbers = as_numbers(table[raw], missing, raw)
                counts &= (numbers >= condition.first) & (numbers <= condition.last)
            else:
                text = as_text(table[raw], missing)
                holds = [value in condition for value in text.values]
                counts &= np.array([*holds, False])[text.codes]  # the last serves code -1
        return counts

    @property
    def task(self) -> Task:
        """What models see of it."""
        return Task(
            self.name,
            self.kind,
            self.parent,
            duration=self.duration,
            censored=self.censored is not None,
            late=self.matures is not None,
        )

    def known(self, table: pa.Table, time: str, as_of: Floats, missing: Collection[str]) -> Mask:
        """(n,) which labels of an Arrow table are known by `as_of` (n,), hours since 1970; all
        without `matures`.

        Args:
            time: raw column of the rows' times.
        """
        if self.matures is None:
            return np.ones(table.num_rows, np.bool_)
        if is_span(self.matures):
            known_from = hours_in(table[time], missing) + hours_of(self.matures)
        else:
            known_from = hours_in(table[self.matures], missing)
        return np.asarray(known_from <= as_of)

    def bounds(self, table: pa.Table, missing: Collection[str]) -> Singles:
        """(n,) the most that the label can be in each row of an Arrow table; infinite where that is
        missing.
        """
        if self.censored is None:
            return np.full(table.num_rows, np.inf, np.float32)
        numbers = as_numbers(table[self.censored], missing, self.censored)
        bounds = (numbers / self.unit).astype(np.float32)
        return np.where(np.isnan(bounds), np.float32(np.inf), bounds)

    @model_validator(mode="after")
    def _consistent(self) -> TaskRule:
        if self.name == SCORE:
            raise ValueError(
                f"task '{SCORE}': expected another name, as a packaged model gives the score to "
                f'rank by this one; say name = "label_{SCORE}" and leave the column as it is'
            )
        self._check_columns()
        self._check_values()
        self._check_regression()
        return self

    def _check_columns(self) -> None:
        if (self.column is None) == (not self.columns):
            raise ValueError(f"task '{self.name}': expected either 'column' or 'columns'")
        if len(self.columns) == 1:
            raise ValueError(
                f"task '{self.name}': expected 'columns' to hold two or more, found "
                f"{self.columns[0]!r}"
            )

    def _check_values(self) -> None:
        if self.negative and not self.positive:
            raise ValueError(f"task '{self.name}': 'negative' needs 'positive'")
        contradictory = set(self.positive) & set(self.negative)
        if contradictory:
            value = min(contradictory)
            raise ValueError(f"task '{self.name}': {value!r} is both positive and negative")
        if self.positive and (self.kind == "regression" or self.columns):
            raise ValueError(
                f"task '{self.name}': 'positive' is for a binary task with one 'column'"
            )

    def _check_regression(self) -> None:
        if self.kind != "regression":
            for key in ("scale", "unit", "duration", "censored"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"task '{self.name}': '{key}' is for a regression")
        for key, raw in (("duration", self.duration), ("censored", self.censored)):
            if raw in self.sources:
                raise ValueError(
                    f"task '{self.name}': {key}: expected another column than the label's, found "
                    f"'{raw}'"
                )
        if self.kind == "regression" and self.columns:
            raise ValueError(f"task '{self.name}': a regression has one 'column'")


def check_tasks(rules: tuple[TaskRule, ...]) -> None:
    """Raises ValueError, in one sentence, for duplicate names, unknown or unfit parents and
    cycles.
    """
    twice = repeated(rule.name for rule in rules)
    if twice is not None:
        raise ValueError(f"task '{twice}' is defined twice")
    rule_of_name = {rule.name: rule for rule in rules}
    parents = {rule.name: rule.parent for rule in rules if rule.parent is not None}
    for name, parent in parents.items():
        if parent not in rule_of_name:
            raise ValueError(
                f"task '{name}': unknown parent '{parent}'; known are {', '.join(rule_of_name)}"
            )
    in_order(parents)
    for name, parent in parents.items():
        if rule_of_name[parent].kind != "binary":
            raise ValueError(f"task '{name}': its parent '{parent}' must be binary")
        if rule_of_name[parent].optional and not rule_of_name[name].optional:
            raise ValueError(f"task '{name}': its parent '{parent}' is optional, so it must be too")
    if all(rule.optional for rule in rules):
        raise ValueError("every task is optional; at least one must not be")


def in_order(parents: Mapping[str, str]) -> list[str]:
    """All of child -> parent, parents first; raises ValueError, in one sentence, where they lead in
    a cycle.
    """
    graph = {child: [parent] for child, parent in parents.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ValueError(f"parents form a cycle: {' -> '.join(reversed(error.args[1]))}") from None


SKEWED = 2.0
"""The skewness of an exponential distribution."""
DRAWN_ROWS = 1 << 20
"""Rows that are drawn of a larger split."""
TAIL = 0.001


def scaled_tasks(
    rules: Sequence[TaskRule], labels: Singles, key: str, weights: Singles | None = None
) -> tuple[Task, ...]:
    """The tasks of a card, each regression with the scale of its labels, fitted on train alone.

    Log losses begin between .1 and .7, a squared error at the label's variance, which may be
    thousands: its gradient would drown every other task's. Standardised labels let half the squared
    error begin at .5.

    `auto` takes the logarithm log(1 + y) where no label is negative and their skewness is above 2,
    that of an exponential distribution: spend, seconds watched, counts. Extreme labels neither make
    the scale nor dominate a step: see `_fence`. Raises UserError for `scale = "log1p"` where a
    label is negative.

    Args:
        labels: (N, T) of train, in the order of the rules; NaN where unobserved.
        key: of the card, for errors.
        weights: (N, K) of these rows, whose product a row counts with in the mean label.
    """
    if all(rule.kind == "binary" for rule in rules):
        return tuple(rule.task for rule in rules)
    rows = np.arange(len(labels))
    if len(labels) > DRAWN_ROWS:
        rows = np.sort(np.random.default_rng(0).integers(0, len(labels), DRAWN_ROWS))
    labels = labels[rows]
    row_weights = None
    if weights is not None:
        row_weights = weights[rows].astype(np.float64).prod(axis=1)

    column_of_task = {rule.name: column for column, rule in enumerate(rules)}
    tasks = []
    for column, rule in enumerate(rules):
        if rule.kind == "binary" or rule.scale == "none":
            tasks.append(rule.task)
            continue
        counts = np.isfinite(labels[:, column])
        if rule.parent is not None:
            counts &= labels[:, column_of_task[rule.parent]] == 1
        task_labels = labels[counts, column].astype(np.float64)
        smallest = task_labels.min(initial=0.0)
        if rule.scale == "log1p" and smallest < 0:
            raise UserError(
                f"{key}: scale = \"log1p\" needs labels of 0 or more, but task '{rule.name}' has "
                f'the label {smallest:g}; say "standard"'
            )
        log = None if rule.scale == "auto" else rule.scale == "log1p"
        task_weights = None if row_weights is None else row_weights[counts]
        tasks.append(replace(rule.task, scale=scale_of(task_labels, log, task_weights)))
    return tuple(tasks)


def scale_of(labels: Floats, log: bool | None = None, weights: Floats | None = None) -> Scale:
    """The scale of labels (N,), none of them NaN; of no label, the identity.

    Args:
        log: whether to take the logarithm; None decides by the labels.
        weights: (N,) of the labels in their mean, which predictions are to have; None for equal
            ones.
    """
    if not len(labels):
        return Scale(log=False, centre=0.0, spread=1.0, low=0.0, high=0.0, mean=0.0)
    if log is None:
        log = bool(labels.min() >= 0) and skewness(labels[_inside_fence(labels)]) > SKEWED
    values = np.log1p(labels) if log else labels
    inside = _inside_fence(values)
    values = values[inside]
    if weights is not None:
        weights = weights[inside] if weights[inside].any() else None

    spread = float(values.std())
    constant = spread <= 1e-7 * max(1.0, abs(float(values[0])))  # labels are float32
    return Scale(
        log=log,
        centre=float(values.mean()),
        spread=1.0 if constant else spread,
        low=float(values.min()),
        high=float(values.max()),
        mean=float(np.average(np.expm1(values) if log else values, weights=weights)),
    )


def _inside_fence(values: Floats) -> Mask:
    low, high = _fence(values)
    return (values >= low) & (values <= high)


def _fence(values: Floats) -> tuple[float, float]:
    """Between these lies what is no outlier: twice as far from the median as the quantile of `TAIL`
    on that side.

    The largest and the smallest value are never among the quantiles: one wild label in a small data
    set stays outside. Where that quantile equals the median, nothing on that side is taken for an
    outlier: rare purchases are no mistakes.
    """
    ordered = np.sort(values)
    last = len(ordered) - 1
    middle = last // 2
    median = ordered[middle]
    low_quantile = ordered[min(int(np.ceil(last * TAIL)), middle)]
    high_quantile = ordered[max(int(last * (1 - TAIL)), middle)]
    low, high = ordered[0], ordered[-1]
    if low_quantile != median:
        low = median - 2 * (median - low_quantile)
    if high_quantile != median:
        high = median + 2 * (high_quantile - median)
    return float(low), float(high)


def skewness(values: Floats, counts: Ints | None = None) -> float:
    """The skewness of numbers (V,) that stand in `counts` rows each, or in one; 0 of a constant."""
    deviations = values - np.average(values, weights=counts)
    variance = np.average(deviations**2, weights=counts)
    if not variance > 0:
        return 0.0
    return float(np.average(deviations**3, weights=counts) / variance**1.5)
