"""The card of a data set: everything that is known of it before its files are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from bench.core.errors import UserError, repeated, unknown
from bench.core.exposure import Shown, exposure_columns
from bench.core.objectives import ItemKind, item_kinds
from bench.core.registry import Config
from bench.core.schema import SCENARIO, Task
from bench.core.system.object_store import located
from bench.data.checks import ColumnCheck
from bench.data.columns import Column
from bench.data.columns.base import Reads, read_as
from bench.data.columns.categorical import Categorical
from bench.data.columns.numeric import Numeric
from bench.data.columns.vector import Vector
from bench.data.history import HistoryConfig
from bench.data.segments import SegmentName, SegmentRule
from bench.data.sources import (
    ColumnNames,
    FileSource,
    RawFile,
    ReaderConfig,
    check_files,
    row_files,
)
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
from bench.data.tasks import TaskRule, check_tasks
from bench.data.values import hours
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


def _without_secret(folder: str) -> str:
    located(folder)
    return folder


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
    folder: Annotated[str, AfterValidator(_without_secret)] = "."
    """Where the files are, as seen from the card's own folder; or an address in a store."""
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
    keys: ColumnNames = ()
    """Raw columns that find a row in a store of your own: trainers from elsewhere get them, be they
    inputs or not.
    """
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
        for name, source in self.inputs:
            column = self.columns[name]
            if isinstance(column, kind) and column.derive is None and source == raw:
                return name
        return None

    @property
    def _categorical(self) -> list[str]:
        return [name for name, column in self.columns.items() if isinstance(column, Categorical)]

    @property
    def _tasks(self) -> list[str]:
        return [rule.name for rule in self.task_rules]

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
        if self.scenario is None:
            return self.segments
        return {SCENARIO: SegmentRule(column=self.scenario)} | self.segments

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
        check_of_kind = {}
        for name, raw in self.inputs:
            column = self.columns[name]
            check_of_kind[raw, column.kind] = column.check
        return [(raw, check) for (raw, _), check in check_of_kind.items()]

    @property
    def _uses(self) -> Iterator[tuple[str, Reads]]:
        """(raw column, how it is read) for each use of a raw column."""
        for name, raw in self.inputs:
            yield raw, self.columns[name].wanted
        for rule in self.task_rules:
            yield from rule.uses
        for column in (self.group, self.units, self.split_column):
            if column:
                yield column, "text"
        if self.time:
            yield self.time, "number" if self.split_times and not self.textual_time else "text"
        for segment in self.segment_rules.values():
            yield segment.raw, "number" if segment.ranges else "text"
        for raw in (*self.items.values(), *self.keys):
            yield raw, "text"
        for raw in (*self.item_numbers.values(), *self.logged_columns):
            yield raw, "number"
        for raw, _ in weight_columns(self.weight, self.sampling):
            yield raw, "number"
        if self.history:
            yield self.history_time, "number"

    @property
    def exposure(self) -> dict[Shown, str]:
        """`random` or `propensity` and its raw column; empty where the card names none."""
        return exposure_columns(self.random, self.propensity)

    @property
    def logged_columns(self) -> tuple[str, ...]:
        """Raw number columns that are kept as they are: logged scores, and how rows came to be
        shown.
        """
        return (*self.logged, *self.exposure.values())

    @property
    def history_time(self) -> str:
        """The raw column that orders the rows of a group."""
        own_time = self.history.time if self.history else None
        return own_time or self.time or ""

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
    def thinned_task(self) -> int:
        """Index of the task whose negatives were thinned; 0 where there is none."""
        if self.sampling is None:
            return 0
        return self._tasks.index(self.sampling.task)

    @property
    def split_times(self) -> tuple[Time, ...]:
        """The points in the card's `time` that the split compares with; none where it does not go
        by time.
        """
        if isinstance(self.split, (TimeSplit, ValidOfTrain, CutSplit)):
            return self.split.ends
        return ()

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
        return row_files(self.reader, self.files)

    @property
    def missing(self) -> tuple[str, ...]:
        """Texts that mean missing."""
        return self.reader.missing

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        check_tasks(self.task_rules)
        self._check_inputs()
        self._check_rates()
        self._check_history()
        self._check_scenario()
        self._check_item_names()
        self._check_columns_beside_inputs()
        self._check_sampling()
        self._check_split()
        check_files(self.reader, self.files, self.sources)
        return self

    def _check_inputs(self) -> None:
        refused = self._never_inputs()
        length_of_vector: dict[str, int] = {}
        for name, raw in self.inputs:
            column = self.columns[name]
            if isinstance(column, Vector):
                length = length_of_vector.setdefault(raw, column.length)
                if length != column.length:
                    raise ValueError(
                        f"inputs read '{raw}' as vectors of {length} and of {column.length} numbers"
                    )
            if raw in refused:
                raise ValueError(f"input '{name}' reads '{raw}', {refused[raw]}")
        for rule in self.task_rules:
            if rule.duration is not None and self.input_of(Numeric, rule.duration) is None:
                raise ValueError(
                    f"task '{rule.name}': duration: expected a column that a numeric input reads, "
                    f"since a model needs it to predict, found '{rule.duration}'"
                )

    def _never_inputs(self) -> dict[str, str]:
        """Raw column -> what it is, so that no input may read it."""
        refused = {}
        for rule in self.task_rules:
            if rule.truth:
                refused[rule.truth] = "the truth behind a label"
        if isinstance(self.split_rule, ColumnSplit):
            refused[self.split_rule.column] = "the column that assigns rows to splits"
        for raw, key in weight_columns(self.weight, self.sampling):
            refused[raw] = f"the column that '{key}' names"
        refused |= dict.fromkeys(self.logged, "which is listed under logged")
        for kind, raw in self.exposure.items():
            refused[raw] = f"the column that '{kind}' names"
        refused |= dict.fromkeys(self.post_exposure, "which is listed under post_exposure")
        for rule in self.task_rules:
            refused |= dict.fromkeys(rule.sources, f"the label of task '{rule.name}'")
        return refused

    def _check_rates(self) -> None:
        encoding, inputs = self.encoding, self._categorical
        _check_known("encoding.target_rates", "categorical input", encoding.target_rates, inputs)
        _check_known("encoding.rate_tasks", "task", encoding.rate_tasks, self._tasks)

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

    def _check_scenario(self) -> None:
        if self.scenario is None:
            return
        if self.input_of(Categorical, self.scenario) is None:
            categorical = [raw for name, raw in self.inputs if name in self._categorical]
            raise ValueError(
                "scenario: expected the raw column of a categorical input without 'derive', found "
                f"'{self.scenario}'; such columns are {', '.join(categorical) or 'none'}"
            )
        if SCENARIO in self.segments:
            raise ValueError(
                f"segments.{SCENARIO}: the top-level key '{SCENARIO}' makes a segment of this name"
            )

    def _check_item_names(self) -> None:
        twice = repeated([*self.items, *self.item_numbers, *self._tasks])
        if self.item_kinds and twice:
            raise ValueError(
                f"items: expected names that no task or other column of items has, found '{twice}'"
            )

    def _check_columns_beside_inputs(self) -> None:
        labels: dict[str, str] = {}
        for rule in self.task_rules:
            labels |= dict.fromkeys(rule.sources, "a label")
            if rule.truth:
                labels[rule.truth] = "a label"
        late = labels | dict.fromkeys(self.post_exposure, "which is listed under post_exposure")
        early = "a column that is known before the impression"
        for name, segment in self.segment_rules.items():
            _refuse_column(f"segments.{name}", segment.raw, early, late)
        for name, raw in self.items.items():
            _refuse_column(f"items.{name}", raw, early, late)
        for name, raw in self.item_numbers.items():
            _refuse_column(f"item_numbers.{name}", raw, early, late)

        for raw in self.logged:
            _refuse_column("logged", raw, "a score", labels)
        taken = labels | dict.fromkeys(self.logged, "which is listed under logged")
        for kind, raw in self.exposure.items():
            _refuse_column(kind, raw, "a column of its own", taken)

    def _check_sampling(self) -> None:
        if self.sampling is None:
            return
        _check_known("sampling.task", "task", [self.sampling.task], self._tasks)
        task = self.task_rules[self.thinned_task]
        if task.kind != "binary" or task.parent is not None:
            raise ValueError(
                f"sampling.task: expected a binary task without parent, found '{task.name}'; of "
                "rows thinned in another way, give each row's weight, 1 over the rate at which it "
                "was kept, as 'weight'"
            )

    def _check_split(self) -> None:
        if self.split_times and self.time is None:
            raise ValueError(
                "a split by time needs the top-level key 'time', the raw column it goes by"
            )
        for rule in self.task_rules:
            if rule.matures:
                self._check_maturing(rule)
        if self.split_by_group and self.together is None:
            raise ValueError("a split by group needs the top-level key 'group' or 'units'")
        split = self.split_rule
        if isinstance(split, FileSplit):
            files = (*split.train, *split.valid, *split.test)
            _check_known("split", "file", files, self.row_files)

    def _check_maturing(self, rule: TaskRule) -> None:
        if self.time is None or self.as_of is None:
            raise ValueError(
                f"task '{rule.name}': 'matures' needs the top-level keys 'time' and 'as_of'"
            )
        try:
            hours(self.as_of)
        except UserError as error:
            raise ValueError(f"as_of: {error}") from None


def _check_known(key: str, noun: str, names: Iterable[str], allowed: Collection[str]) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"{key}: {unknown(noun, name, allowed)}")


def _refuse_column(key: str, raw: str, expected: str, refused: Mapping[str, str]) -> None:
    if raw in refused:
        raise ValueError(f"{key}: expected {expected}, found '{raw}', {refused[raw]}")
