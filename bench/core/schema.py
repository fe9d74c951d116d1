"""What models must know of a data set: fields, dense columns and tasks. Plain values, no arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Limits
from pydantic import FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints

from bench.core.arrays import Ints, Mask

TaskKind = Literal["binary", "regression"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
"""Limits apply where a schema is read from a file."""
Positive = Annotated[FiniteFloat, Limits(gt=0)]
SCENARIO = "scenario"
"""Name of the segment made from a card's scenario."""


@dataclass(frozen=True)
class Scale:
    """Maps the label y of a regression to its training target (f(y) - centre) / spread; fitted on
    train only.

    Attributes:
        log: whether f is log(1 + y); else f is the identity.
        centre, spread: mean and standard deviation of f(y).
        low, high: bounds to which f(y) is clipped: labels outside are outliers.
        mean: mean label.
    """

    log: bool
    centre: FiniteFloat
    spread: Positive
    low: FiniteFloat
    high: FiniteFloat
    mean: FiniteFloat


@dataclass(frozen=True)
class Cap:
    """The input that bounds a label, and how to recover its raw number from a dense column.

    Attributes:
        column: index of the dense column that holds it, standardised.
        missing: index of the column that is 1 where it is missing; None if train has every value.
        log: whether log(1 + x) was standardised instead of x.
        mean, scale: of the standardisation.
        unit: amount of the number that equals 1 of the label.
    """

    column: NonNegativeInt
    missing: NonNegativeInt | None
    log: bool
    mean: FiniteFloat
    scale: Positive
    unit: Positive = 1.0


SCORE = "score"
"""Column that a package adds to its tasks' predictions: the number to rank by. No task has this
name.
"""


@dataclass(frozen=True)
class Task:
    """One thing to predict.

    Attributes:
        name: an identifier, as in `income` or `long_view`.
        kind: `binary` (labels 0, 1 or NaN for unobserved) or `regression`.
        parent: the task that must happen first (conversion's parent is click), or None.
        scale: of a regression's training targets; None trains on labels as they are.
        duration: of a regression, the numeric input by which a loss may group rows, or None.
        censored: whether rows have a bound; a label at its bound means at least that.
        cap: the input that is the bound and limits predictions; None where the bound is no input.
        late: whether labels become known later than the parent's: a row without one then says
            nothing of both together, even where the parent did not happen.
    """

    name: Name
    kind: TaskKind = "binary"
    parent: str | None = None
    scale: Scale | None = None
    duration: str | None = None
    censored: bool = False
    cap: Cap | None = None
    late: bool = False


@dataclass(frozen=True)
class Field:
    """A categorical input.

    Attributes:
        name: its column on the card.
        cardinality: number of table rows it uses, the first of which stands for unknown and rare
            values.
        slots: number of columns of `ids`: 1, or the longest list of a multi-valued field.
        of: name of the field whose rows a history shares, earlier in the schema and of equal
            cardinality; None for other fields.
    """

    name: Name
    cardinality: PositiveInt
    slots: PositiveInt = 1
    of: str | None = None


@dataclass(frozen=True)
class Number:
    """A quantity: a dense column, and as a field the range that it is in.

    Attributes:
        name: its column on the card.
        column: index of the dense column that holds it, standardised.
        missing: index of the column that is 1 where it is missing; None if train has every value.
        edges: (V + 1,) ascending, in the unit of the dense column: train's least number, the start
            of each further range, and train's greatest.
        counts: (V,) rows of train in each range.
    """

    name: Name
    column: NonNegativeInt
    missing: NonNegativeInt | None
    edges: tuple[FiniteFloat, ...]
    counts: tuple[NonNegativeInt, ...]


@dataclass(frozen=True)
class DenseVector:
    """A precomputed vector: `length` dense columns from `column` on."""

    name: Name
    column: NonNegativeInt
    length: PositiveInt


@dataclass(frozen=True)
class Schema:
    """The shape of a store.

    Embedding-table rows are numbered over all fields together. Row 0 is padding (its embedding
    stays zero and is never updated); field f uses the `cardinality` rows from `offsets[f]` on, and
    `offsets[f]` stands for its unknown values. Only a history shares rows with another field.

    Attributes:
        group: name of the field that groups rows for ranking; None where the group is no input.
        grouped: whether rows have groups, as an input or not.
        scenario: name of the one-slot field with a row's scenario; None without scenarios.
        position: name of the one-slot field with a row's position, which models see in training
            alone; None without.
        vectors: the vectors among the dense columns.
        numbers: the quantities; the last fields are their ranges, in this order. A range field owns
            V + 2 rows: the unknown, which is never used, the ranges, and missing.
    """

    fields: tuple[Field, ...]
    dense: tuple[Name, ...]
    tasks: tuple[Task, ...]
    group: str | None = None
    numbers: tuple[Number, ...] = ()
    vectors: tuple[DenseVector, ...] = ()
    grouped: bool = False
    scenario: str | None = None
    position: str | None = None

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks, in order."""
        return tuple(task.name for task in self.tasks)

    @property
    def without_ranges(self) -> Schema:
        """This schema without ranges of numbers, which then are ordinary dense columns."""
        return replace(self, fields=self.fields[: len(self.fields) - len(self.numbers)], numbers=())

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First table row of each field."""
        first_rows = dict[str, int]()
        next_row = 1
        for field in self.fields:
            if field.of is None:
                first_rows[field.name] = next_row
                next_row += field.cardinality
            else:
                first_rows[field.name] = first_rows[field.of]
        return tuple(first_rows.values())

    @property
    def rows(self) -> int:
        """Rows of the embedding table, padding included."""
        return 1 + sum(field.cardinality for field in self.fields if field.of is None)

    @property
    def slots(self) -> int:
        """S, the columns of `ids`."""
        return sum(field.slots for field in self.fields)

    @cached_property
    def parents(self) -> tuple[int | None, ...]:
        """Index of each task's parent, or None."""
        index = {task.name: i for i, task in enumerate(self.tasks)}
        return tuple(None if task.parent is None else index[task.parent] for task in self.tasks)

    def chain(self, task: int) -> tuple[int, ...]:
        """Indices of the tasks from the funnel's root down to this task."""
        path = []
        step: int | None = task
        while step is not None:
            path.append(step)
            step = self.parents[step]
        return tuple(reversed(path))


def begins(counts: Ints, ranges: int) -> Mask:
    """Joins neighbouring values, or finer ranges, into about `ranges` ranges of about equal count.

    A value with 1 / ranges of the rows gets its own range. So a spike (nine in ten people have no
    capital gains) does not swallow the quantiles of the rest. Such values separate the ranges
    beside them: there may be more than `ranges`.

    Args:
        counts: (V,) rows of each value, in ascending order of the values.

    Returns:
        (V - 1,), whether a range begins with the second value, the third, ...
    """
    if len(counts) <= 1:
        return np.zeros(0, np.bool_)
    spike = counts * ranges >= counts.sum()
    rest = np.where(spike, 0, counts)
    share = max(rest.sum() / max(ranges - spike.sum(), 1), 1)
    position = np.floor((np.cumsum(rest) - rest / 2) / share)
    return np.asarray((np.diff(position) > 0) | spike[1:] | spike[:-1])
