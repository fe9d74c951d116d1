"""The card of a data set: everything that is known of it before its files are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, PrivateAttr, model_validator

from bench.core.errors import UserError, repeated, unknown
from bench.core.exposure import Shown, exposure_columns
from bench.core.objectives import ItemKind, item_kinds
from bench.core.registry import Config
from bench.core.schema import SCENARIO, Task
from bench.data.checks import ColumnCheck
from bench.data.columns import Column
from bench.data.columns.base import Reads, read_as
from bench.data.columns.categorical import Categorical
from bench.data.columns.numeric import Numeric
from bench.data.columns.vector import Vector
from bench.data.history import HistoryConfig
from bench.data.segments import SegmentName, SegmentRule
from bench.data.sources import ColumnNames, FileSource, RawFile, ReaderConfig, SyntheticReader
from bench.data.splits import (
    ColumnSplit,
    CutSplit,
    FileSplit,
    HashSplit,
    RandomSplit,
    SplitRule,
    Time,
    TimeSplit,
    ValidOfTrain,
)
from bench.data.tasks import Span, TaskRule, check_tasks
from bench.data.times import hours as as_hours
from bench.data.times import is_span
from bench.data.weights import Sampling, weight_columns


class EncodingConfig(Config):
    """Defaults of the encoding, and target rates."""

    min_count: int = Field(2, ge=1)
    """Rows of train that a category needs; rarer ones share the field's unknown."""
    target_rates: tuple[str, ...] = ()
    """Categorical inputs to describe by each task's mean label among train rows of the same
    value.
    """
    rate_tasks: tuple[str, ...] = ()
    """Tasks whose rates are taken, in the card's order; none named takes all."""
    rate_smoothing: float = Field(20.0, gt=0)
    """Weight of the overall mean in a rate, in rows."""
    rate_folds: int = Field(5, ge=2, le=100)
    """Train rows get rates from the other folds only."""
    seed: int = Field(0, ge=0)
    """Of the folds."""


@dataclass(frozen=True)
class Origin:
    """Where a card came from: its full name, the variants beside it, and the folder it lies in."""

    key: str = ""
    variants: tuple[str, ...] = ()
    folder: Path | None = None


class Card(Config):
    """A data set. `load_card` reads one; content is `datasets/<id>/card.toml`."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100)
    title: str
    licence: str
    citation: str
    homepage: str
    reader: ReaderConfig
    files: tuple[RawFile, ...] = ()
    folder: str = "."
    """Where the files are, as seen from the card's own folder."""
    sources: tuple[FileSource, ...] = ()
    """Tried in order, each for the files that are still missing."""
    columns: dict[Annotated[str, Field(min_length=1)], Column] = Field(min_length=1)
    """Inputs, in order."""
    task_rules: tuple[TaskRule, ...] = Field(alias="tasks", min_length=1)
    split: SplitRule
    group: str | None = None
    """Raw column whose rows are ranked against each other, for GAUC and for splits by group."""
    units: str | None = None
    """Raw column whose rows are resampled together, and stay in one split where groups do; by
    default the group.
    """
    time: str | None = None
    """Raw column of a split by time."""
    as_of: Time | None = None
    """The time at which the log was written, of tasks with `matures`."""
    scenario: str | None = None
    """Raw column of a categorical input, such as a page or a country: a segment that models know,
    too.
    """
    post_exposure: tuple[str, ...] = ()
    """Raw columns that are known only after the impression; never inputs."""
    segments: dict[SegmentName, SegmentRule] = Field(default_factory=dict)
    """Parts of the rows by which outcomes are told apart."""
    items: dict[SegmentName, str] = Field(default_factory=dict)
    """By name raw columns of what is shown, such as its author: outcomes count its values. No input
    need read them.
    """
    item_numbers: dict[SegmentName, str] = Field(default_factory=dict)
    """The same of numbers, such as its age in days."""
    logged: ColumnNames = ()
    """Raw number columns that hold scores which ranked when the log was written; never inputs."""
    random: str | None = None
    """Raw column that is 1 in rows that were shown at random, else 0: outcomes are of these alone;
    never an input.
    """
    propensity: str | None = None
    """Raw number column of the chance with which the row was shown: outcomes count it 1 over it;
    never an input.
    """
    weight: str | None = None
    """Raw number column of the row's weight in losses and metrics; never an input."""
    sampling: Sampling | None = None
    """Which negatives the log has a part of alone."""
    encoding: EncodingConfig = EncodingConfig.model_validate({})
    history: HistoryConfig | None = None
    """What is made of earlier rows of the same group."""
    _origin: Origin = PrivateAttr(default=Origin())

    @property
    def key(self) -> str:
        """Full name: the id, with `@` and the variant or a generator's changed parameters."""
        return self._origin.key or self.id

    @property
    def origin(self) -> Origin:
        """Where it came from."""
        return self._origin

    def with_origin(self, origin: Origin) -> Card:
        """The same card from there."""
        copy = self.model_copy()
        copy._origin = origin
        return copy

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks, in order; their durations by the names of the inputs."""
        return tuple(
            replace(rule.task, duration=self.input_of(Numeric, rule.duration))
            for rule in self.task_rules
        )

    def input_of(self, kind: type[Categorical | Numeric], raw: str | None) -> str | None:
        """The input of a kind that is a raw column as it is; None where there is none."""
        for name, column in self.columns.items():
            if (
                isinstance(column, kind)
                and column.derive is None
                and (column.source or name) == raw
            ):
                return name
        return None

    @property
    def _categorical(self) -> list[str]:
        return [name for name, column in self.columns.items() if isinstance(column, Categorical)]

    @property
    def default_tasks(self) -> tuple[str, ...]:
        """Names of the tasks that are used where none are asked for."""
        return tuple(rule.name for rule in self.task_rules if not rule.optional)

    @property
    def inputs(self) -> Iterator[tuple[str, str]]:
        """(input, raw column it is made from)."""
        return ((name, column.source or name) for name, column in self.columns.items())

    @property
    def segment_rules(self) -> dict[SegmentName, SegmentRule]:
        """All segments: the scenario first, then those of the card's table."""
        first = {} if self.scenario is None else {SCENARIO: SegmentRule(column=self.scenario)}
        return first | self.segments

    @property
    def item_kinds(self) -> dict[str, ItemKind]:
        """The kinds of the columns of items, by name: categories, then numbers."""
        return item_kinds(self.items, self.item_numbers)

    @property
    def raw_columns(self) -> dict[str, Reads]:
        """Every raw column that is needed, and how it is read, see `read_as`."""
        return read_as(self._uses)

    @property
    def checks(self) -> list[tuple[str, ColumnCheck]]:
        """(raw column, check) of each kind of input that reads the column."""
        found = {
            (raw, self.columns[name].kind): self.columns[name].check for name, raw in self.inputs
        }
        return [(raw, check) for (raw, _), check in found.items()]

    @property
    def _uses(self) -> Iterator[tuple[str, Reads]]:
        yield from ((raw, self.columns[name].wanted) for name, raw in self.inputs)
        for rule in self.task_rules:
            yield from (
                (raw, "number" if rule.kind == "regression" else "text") for raw in rule.sources
            )
            yield from (
                (raw, "number") for raw in (rule.truth, rule.duration, rule.censored) if raw
            )
            yield from (
                (raw, "number" if isinstance(holds, Span) else "text")
                for raw, holds in rule.where.items()
            )
            yield from ((raw, "text") for raw in (rule.matures,) if raw and not is_span(raw))
        compared = bool(self.split_times) and not self.textual_time
        yield from ((raw, "text") for raw in (self.group, self.units, self.split_column) if raw)
        yield from ((raw, "number" if compared else "text") for raw in (self.time,) if raw)
        yield from (
            (rule.raw, "number" if rule.ranges else "text") for rule in self.segment_rules.values()
        )
        yield from ((raw, "text") for raw in self.items.values())
        yield from ((raw, "number") for raw in self.item_numbers.values())
        weights = (raw for raw, _ in weight_columns(self.weight, self.sampling))
        yield from (
            (raw, "number")
            for raw in (*self.beside, *weights, *([self.history_time] if self.history else ()))
        )

    @property
    def exposure(self) -> dict[Shown, str]:
        """`random` or `propensity` and its raw column; empty where the card names none."""
        return exposure_columns(self.random, self.propensity)

    @property
    def beside(self) -> tuple[str, ...]:
        """Raw number columns that are kept as they are: logged scores, and how rows came to be
        shown.
        """
        return (*self.logged, *self.exposure.values())

    @property
    def history_time(self) -> str:
        """The raw column that orders the rows of a group."""
        return (self.history.time if self.history else None) or self.time or ""

    @property
    def together(self) -> str | None:
        """The raw column whose rows are resampled together, and which a split by group does not
        part.
        """
        return self.units or self.group

    @property
    def split_column(self) -> str | None:
        """The raw column that the split names, beside time and group."""
        rule = self.split_rule
        return rule.column if isinstance(rule, (HashSplit, ColumnSplit)) else None

    @property
    def split_rule(self) -> SplitRule:
        """The split by itself, where a back-test has moved it on in time."""
        return self.split.base if isinstance(self.split, CutSplit) else self.split

    @property
    def thinned(self) -> int:
        """Index of the task whose negatives were thinned; 0 where there is none."""
        return (
            [rule.name for rule in self.task_rules].index(self.sampling.task)
            if self.sampling
            else 0
        )

    @property
    def split_times(self) -> tuple[Time, ...]:
        """The points in the card's `time` that the split compares with; none where it does not go
        by time.
        """
        return (
            self.split.ends if isinstance(self.split, (TimeSplit, ValidOfTrain, CutSplit)) else ()
        )

    @property
    def textual_time(self) -> bool:
        """Whether the split compares times as texts."""
        return any(isinstance(end, str) for end in self.split_times)

    @property
    def split_by_group(self) -> bool:
        """Whether the split keeps each group together, and each unit where the card has units."""
        rule = self.split_rule
        by_hash = isinstance(rule, HashSplit) and rule.column in (self.group, self.units)
        return by_hash or (isinstance(rule, (RandomSplit, ValidOfTrain)) and rule.unit == "group")

    @property
    def row_files(self) -> tuple[str, ...]:
        """Files that hold rows, side tables left out."""
        if isinstance(self.reader, SyntheticReader):
            return ("generated",)
        sides = {join.file for join in self.reader.joins}
        return tuple(file.name for file in self.files if file.name not in sides)

    @property
    def missing(self) -> tuple[str, ...]:
        """Texts that mean missing."""
        return self.reader.missing

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        check_tasks(self.task_rules)
        self._check_inputs()
        self._check_history()
        self._check_beside()
        self._check_sampling()
        self._check_split()
        self._check_files()
        return self

    def _check_inputs(self) -> None:
        refused = {rule.truth: "the truth behind a label" for rule in self.task_rules if rule.truth}
        if isinstance(self.split_rule, ColumnSplit):
            refused[self.split_rule.column] = "the column that assigns rows to splits"
        refused |= {
            raw: f"the column that '{key}' names"
            for raw, key in weight_columns(self.weight, self.sampling)
        }
        refused |= dict.fromkeys(self.logged, "which is listed under logged")
        refused |= {raw: f"the column that '{kind}' names" for kind, raw in self.exposure.items()}
        refused |= dict.fromkeys(self.post_exposure, "which is listed under post_exposure")
        refused |= {
            raw: f"the label of task '{rule.name}'"
            for rule in self.task_rules
            for raw in rule.sources
        }
        lengths = dict[str, int]()
        for name, raw in self.inputs:
            column = self.columns[name]
            if (
                isinstance(column, Vector)
                and (other := lengths.setdefault(raw, column.length)) != column.length
            ):
                raise ValueError(
                    f"inputs read '{raw}' as vectors of {other} and of {column.length} numbers"
                )
            if raw in refused:
                raise ValueError(f"input '{name}' reads '{raw}', {refused[raw]}")
        for rule in self.task_rules:
            if rule.duration is not None and self.input_of(Numeric, rule.duration) is None:
                raise ValueError(
                    f"task '{rule.name}': duration: expected a column that a numeric input reads, "
                    f"since a model needs it to predict, found '{rule.duration}'"
                )
        _check_known(
            "encoding.target_rates",
            "categorical input",
            self.encoding.target_rates,
            self._categorical,
        )
        _check_known(
            "encoding.rate_tasks",
            "task",
            self.encoding.rate_tasks,
            [rule.name for rule in self.task_rules],
        )

    def _check_history(self) -> None:
        if self.history is None:
            return
        if self.group is None or not self.history_time:
            raise ValueError(
                "history: expected the top-level key 'group', and 'time' there or in the history"
            )
        if self.textual_time and self.history_time == self.time:
            raise ValueError(
                f"history.time: expected a column of numbers, found '{self.time}', compared as "
                "texts"
            )
        _check_known("history", "categorical input", self.history.inputs, self._categorical)
        binary = [rule.name for rule in self.task_rules if rule.kind == "binary"]
        _check_known("history.actions", "binary task", self.history.actions, binary)

    def _check_beside(self) -> None:
        if self.scenario is not None and self.input_of(Categorical, self.scenario) is None:
            known = [raw for name, raw in self.inputs if name in self._categorical]
            raise ValueError(
                "scenario: expected the raw column of a categorical input without 'derive', found "
                f"'{self.scenario}'; such columns are {', '.join(known) or 'none'}"
            )
        if self.scenario is not None and SCENARIO in self.segments:
            raise ValueError(
                f"segments.{SCENARIO}: the top-level key '{SCENARIO}' makes a segment of this name"
            )
        names = [*self.items, *self.item_numbers, *(rule.name for rule in self.task_rules)]
        if self.item_kinds and (twice := repeated(names)):
            raise ValueError(
                f"items: expected names that no task or other column of items has, found '{twice}'"
            )
        labels = {
            raw: "a label" for rule in self.task_rules for raw in (*rule.sources, rule.truth) if raw
        }
        late = labels | dict.fromkeys(self.post_exposure, "which is listed under post_exposure")
        early = "a column that is known before the impression"
        beside = [
            (f"segments.{name}", rule.raw, early, late) for name, rule in self.segment_rules.items()
        ]
        beside += [(f"items.{name}", raw, early, late) for name, raw in self.items.items()]
        beside += [
            (f"item_numbers.{name}", raw, early, late) for name, raw in self.item_numbers.items()
        ]
        beside += [("logged", raw, "a score", labels) for raw in self.logged]
        taken = labels | dict.fromkeys(self.logged, "which is listed under logged")
        beside += [(kind, raw, "a column of its own", taken) for kind, raw in self.exposure.items()]
        for key, raw, expected, refused in beside:
            if raw in refused:
                raise ValueError(f"{key}: expected {expected}, found '{raw}', {refused[raw]}")

    def _check_sampling(self) -> None:
        if self.sampling is None:
            return
        rules = {rule.name: rule for rule in self.task_rules}
        _check_known("sampling.task", "task", [self.sampling.task], rules)
        thinned = rules[self.sampling.task]
        if thinned.kind != "binary" or thinned.parent is not None:
            raise ValueError(
                f"sampling.task: expected a binary task without parent, found '{thinned.name}'; of "
                "rows thinned in another way, give each row's weight, 1 over the rate at which it "
                "was kept, as 'weight'"
            )

    def _check_split(self) -> None:
        if self.split_times and self.time is None:
            raise ValueError(
                "a split by time needs the top-level key 'time', the raw column it goes by"
            )
        if late := [rule.name for rule in self.task_rules if rule.matures]:
            if self.time is None or self.as_of is None:
                raise ValueError(
                    f"task '{late[0]}': 'matures' needs the top-level keys 'time' and 'as_of'"
                )
            try:
                as_hours(self.as_of)
            except UserError as error:
                raise ValueError(f"as_of: {error}") from None
        if self.split_by_group and self.together is None:
            raise ValueError("a split by group needs the top-level key 'group' or 'units'")
        if isinstance(split := self.split_rule, FileSplit):
            named = (*split.train, *split.valid, *split.test)
            _check_known("split", "file", named, self.row_files)

    def _check_files(self) -> None:
        names = [file.name for file in self.files]
        if isinstance(self.reader, SyntheticReader):
            if names or self.sources:
                raise ValueError("generated data has neither files nor sources")
            return
        if (twice := repeated(names)) is not None:
            raise ValueError(f"file '{twice}' is listed twice")
        _check_known("reader.joins", "file", [join.file for join in self.reader.joins], names)
        offered = {name for source in self.sources for name in source.files}
        for name in names:
            if self.sources and name not in offered:
                raise ValueError(
                    f"no source offers the file '{name}'; they offer {', '.join(sorted(offered))}"
                )
        if not self.row_files:
            raise ValueError("expected at least one file that is not a side table under 'files'")


def _check_known(key: str, what: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{key}: {unknown(what, name, known)}")
