"""From files and a few names to everything that a card says, with the reasons."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.duplicates import RowSet
from bench.data.inspection.column import Counted, Markers, count_column, find_markers
from bench.data.inspection.kinds import DESIGN, Finding, Rate, coarse_cells, find_kind, find_new, find_rate
from bench.data.inspection.labels import Label, find_labels, label_columns, parents_of, task_names
from bench.data.inspection.leaks import Floats, Labels, find_leak
from bench.data.inspection.names import LASTING, after_exposure, has_word, is_scenario, is_score, is_watching
from bench.data.inspection.proposals import (
    Amount,
    Space,
    amount_of,
    find_parent,
    find_scenario,
    find_space,
    is_amount,
    is_logged,
    limits,
)
from bench.data.inspection.sample import Layout, Sample, known_column, layout_of, read_sample
from bench.data.inspection.split import Split, Wish, assigned, find_split, named_files
from bench.data.inspection.trying import Halves, Others, Trial, halves_of
from bench.errors import UserError
from bench.progress import Progress

ROWS = 1_000_000
"""Rows that are inspected where nothing else is asked for."""
EXAMPLES = 4
_ID = re.compile(r"[a-z0-9][a-z0-9_-]*")
Role = Literal["input", "left out", "post-exposure", "label", "time", "split"]


@dataclass(frozen=True)
class Request:
    """What the user says of the data."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    """`COLUMN`, or `COLUMN=VALUE` with the value that means 1."""
    parents: tuple[str, ...] = ()
    """`CHILD=PARENT`."""
    wish: Wish = field(default_factory=Wish)
    separator: str | None = None
    """Of CSV; None to guess."""
    names: tuple[str, ...] = ()
    """Of the columns, where files have no header."""
    id: str | None = None
    title: str | None = None
    rows: int = ROWS


@dataclass(frozen=True)
class ColumnDraft:
    """One column: what was counted, and what becomes of it."""

    name: str
    role: Role
    type: str
    distinct: int
    missing_rate: float
    examples: tuple[str, ...]
    """The most frequent values."""
    finding: Finding
    """The input that it makes, or would make."""
    reason: str = ""
    """Why it is not an input; empty where it is one."""
    rate: Rate | None = None
    """Whether it is also to be described by target rates; None where it has few values."""


class Proposals(NamedTuple):
    """What the card proposes as comments.

    Attributes:
        scenario: (column, why).
        logged: a column that may have ranked the log.
        spaces: where tasks count.
        amounts: numbers to predict.
    """

    scenario: tuple[str, str] | None
    logged: str | None
    spaces: Mapping[str, Space]
    amounts: tuple[Amount, ...]

    @property
    def table(self) -> dict[str, Any]:
        """What they are, without reasons."""
        keys = {amount.task: amount.keys for amount in self.amounts if amount.column is None and amount.keys}
        return {
            "scenario": self.scenario[0] if self.scenario else None,
            "logged": [self.logged] if self.logged else [],
            "where": {task: dict(space.where) for task, space in self.spaces.items()},
            "keys": keys,
            "regressions": {amount.column: amount.keys for amount in self.amounts if amount.column is not None},
        }


@dataclass(frozen=True)
class Draft:
    """All that the card will say."""

    request: Request
    layout: Layout
    id: str
    rows: int
    complete: bool
    markers: Markers
    labels: tuple[Label, ...]
    rates: Mapping[str, float]
    """Task -> mean label among the rows inspected."""
    columns: tuple[ColumnDraft, ...]
    split: Split
    proposals: Proposals
    repeated: int
    """Rows that equal an earlier one."""

    @property
    def files(self) -> tuple[str, ...]:
        """Names on the card."""
        return card_names(self.layout)

    def of_role(self, role: Role) -> list[ColumnDraft]:
        """Columns of one role, in order."""
        return [column for column in self.columns if column.role == role]


def card_names(layout: Layout) -> tuple[str, ...]:
    """Files as a card names them, where `*`, `?` and `[` would stand for several files."""
    return tuple(escape(path.name) for path in layout.paths)


def draft_card(request: Request, progress: Progress) -> Draft:
    """Inspects the files.

    Raises:
        UserError: a file or a name that does not fit, a label without two classes, no input left.
    """
    _check_files(request.files)
    request.wish.check()
    layout = layout_of(request.files, request.separator, request.names)
    wish = request.wish
    if not any((wish.kind, wish.time, wish.group, wish.column)) and named_files(card_names(layout)):
        wish = replace(wish, kind="files")
        request = replace(request, wish=wish)
    given = label_columns(request.labels, layout.columns)
    parents = parents_of(request.parents, tuple(given))
    for option, column in (("--time", wish.time), ("--group", wish.group), ("--split-column", wish.column)):
        if column is not None and known_column(layout, column, option) in given:
            raise UserError(f"{option}: '{column}' is a label")
    sample = read_sample(layout, progress, request.rows)
    markers = find_markers(count_column(name, sample.table[name]) for name in layout.columns)
    keys = [*given, *filter(None, (wish.time, wish.group, wish.column))]
    counted = {name: count_column(name, sample.table[name], markers.sure) for name in dict.fromkeys(keys)}

    def column_of(name: str) -> Counted:  # others are counted where they are asked for: all may not fit into memory
        return counted[name] if name in counted else count_column(name, sample.table[name], markers.sure)

    for option, key in (("--group", wish.group), ("--split-column", wish.column)):
        if key is not None and not counted[key].single:
            raise UserError(f"{option}: column '{key}' is of type {counted[key].type}, which a card cannot use")
    tasks = find_labels(given, parents, counted)
    split = _split(wish, sample, counted, tasks, markers, progress)
    labels = {task.name: (task.values(counted), task.binary) for task in tasks}
    of_rows = assigned(split.table, wish, card_names(layout), sample.file, counted)
    halves = halves_of(of_rows, labels)
    roles = _roles(wish, split, tasks)
    columns = tuple(_columns(layout.columns, column_of, roles, labels, of_rows, halves))
    if not any(column.role == "input" for column in columns):
        reasons = "; ".join(f"'{column.name}' ({column.reason})" for column in columns if column.role == "left out")
        raise UserError(
            f"no column is left as an input: {reasons or 'there are only labels and what the split goes by'}"
        )
    rates = {name: float(np.nanmean(value)) for name, (value, _) in labels.items()}
    name, rows = request.id or _id_of(request.files), sample.table.num_rows
    found = _proposals(column_of, {task.name: task.parent for task in tasks}, labels, columns)
    return Draft(request, layout, name, rows, sample.complete, markers, tasks, rates, _renamed(columns), split, found,
                 _repeated(sample))  # fmt: skip


def _repeated(sample: Sample) -> int:
    try:
        return int((~RowSet().new(sample.table)).sum())
    except UserError:  # a column of records, by which rows are not compared
        return 0


def _check_files(files: Sequence[Path]) -> None:
    if not files:
        raise UserError("expected one file or more, found none")
    folders = {path.resolve().parent for path in files}
    if len(folders) > 1:
        first, second = sorted(folders)[:2]
        raise UserError(f"expected files in one folder, which a card can name, found {first} and {second}")
    resolved = [path.resolve() for path in files]
    if twice := next((path for path in files if resolved.count(path.resolve()) > 1), None):
        raise UserError(f"{twice} is given twice")


def _id_of(files: Sequence[Path]) -> str:
    name = files[0].name.split(".")[0] if len(files) == 1 else files[0].resolve().parent.name
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "data"


def check_id(name: str) -> str:
    """The id itself; raises UserError where it holds anything but small letters, digits, `-` and `_`."""
    if not _ID.fullmatch(name):
        raise UserError(f"--id: expected small letters, digits, - and _, found '{name}'")
    return name


def _split(
    wish: Wish,
    sample: Sample,
    counted: Mapping[str, Counted],
    labels: Sequence[Label],
    markers: Markers,
    progress: Progress,
) -> Split:
    """Times and labels are read whole even where the other columns are not: heads of files are their oldest rows."""
    if wish.time is not None and wish.chosen in ("time", "files", "column") and not sample.complete:
        sample = read_sample(sample.layout, progress, only=list(counted))
        counted = {name: count_column(name, sample.table[name], markers.sure) for name in counted}
    return find_split(wish, card_names(sample.layout), sample.file, counted, labels)


def _roles(wish: Wish, split: Split, labels: Sequence[Label]) -> dict[str, tuple[Role, str]]:
    """The columns that are no inputs whatever they hold, and why."""
    roles: dict[str, tuple[Role, str]] = {}
    together = wish.group if split.table.get("unit") == "group" else wish.hashed
    if together is not None:
        roles[together] = "split", "the split goes by its hash, so valid and test hold no value that train knows"
    if wish.column is not None and wish.column != together:
        roles[wish.column] = "split", "it assigns rows to splits"
    if wish.time is not None:
        roles[wish.time] = "time", "later rows have times that train never saw"
    return roles | {column: ("label", "") for label in labels for column in label.columns}


def _columns(
    names: Sequence[str],
    column_of: Callable[[str], Counted],
    roles: Mapping[str, tuple[Role, str]],
    labels: Labels,
    rows: NDArray[np.int8],
    halves: Halves,
) -> Iterator[ColumnDraft]:
    others, drafts = Others(halves), []
    for name in names:
        column = column_of(name)
        finding = find_kind(column)
        if name in roles:
            role, reason = roles[name]
        elif finding.why == DESIGN:
            role, reason = "left out", finding.why
        elif (evidence := find_leak(column, labels)) is not None:
            role, reason = "post-exposure", evidence.sentence
        elif len(column.counts) > 0 and (named := after_exposure(name)) is not None:
            role, reason = "post-exposure", named
        elif finding.option is None:
            role, reason = "left out", finding.why
        elif (new := find_new(column, finding, rows)) is not None:
            role, reason = "left out", new
        else:
            role, reason = "input", ""
            others.add(coarse_cells(column, finding, halves))
        examples = tuple(column.texts(EXAMPLES)) if column.readable else ()
        seen = len(column.counts), column.missing_rate, examples
        drafts.append(ColumnDraft(name, role, column.type, *seen, finding, reason))
    for draft in drafts:  # again, beside what all others tell
        if draft.role != "input" or not draft.finding.tried:
            yield draft
            continue
        trial = Trial(column_of(draft.name), halves, others)
        finding = find_kind(trial.column, trial)
        if finding.option is None:
            yield replace(draft, role="left out", finding=finding, reason=finding.why)
        else:
            yield replace(draft, finding=finding, rate=find_rate(trial.column, finding, trial))


def _proposals(
    column_of: Callable[[str], Counted],
    parents: Mapping[str, str | None],
    labels: Labels,
    columns: Sequence[ColumnDraft],
) -> Proposals:
    numbers: dict[str, Floats] = {name: values for name, (values, binary) in labels.items() if not binary}
    of_column: dict[str, str] = {}
    names = task_names([*labels, *(draft.name for draft in columns if draft.role == "post-exposure")])
    for draft in columns:
        if draft.role == "post-exposure" and is_amount(column := column_of(draft.name)):
            of_column[names[draft.name]] = draft.name
            numbers[names[draft.name]] = column.of_rows
    spaces, limit, lasting, scenario, logged = dict[str, Space](), dict[str, str](), None, None, None
    partly = [name for name, (values, _) in labels.items() if np.isnan(values).any()]
    for draft in columns:
        named = is_scenario(draft.name) and scenario is None
        numeric = draft.finding.option is not None and draft.finding.option["kind"] == "numeric"
        score = numeric and logged is None and is_score(draft.name)
        if draft.role != "input" or not (partly or named or score or (numbers and numeric)):
            continue
        column = column_of(draft.name)
        if score and is_logged(column):
            logged = draft.name
        for task in partly:
            if task not in spaces and (space := find_space(column, draft.finding, labels[task][0])):
                spaces[task] = space
        if named and (why := find_scenario(column, labels)) is not None:
            scenario = draft.name, why
        if numeric:
            limit |= {task: draft.name for task, y in numbers.items() if task not in limit and limits(y, column)}
            lasting = lasting or (draft.name if has_word(draft.name, LASTING) else None)
    found = []
    for task, y in numbers.items():
        parent = None if parents.get(task) else find_parent(y, labels)
        watched = lasting if is_watching(of_column.get(task, task)) else None
        found.append(amount_of(task, of_column.get(task), parent, limit.get(task), watched))
    return Proposals(scenario, logged, spaces, tuple(found))


def _renamed(columns: tuple[ColumnDraft, ...]) -> tuple[ColumnDraft, ...]:
    """Inputs under names that no other input, nor its range or missing flag, has."""
    taken = {column.name for column in columns}
    found = []
    for column in columns:
        finding = column.finding
        name = finding.name or column.name
        if finding.option is not None:
            others = taken - {column.name}
            made = ("", "_bucket", "_missing", "_code") if finding.option["kind"] == "numeric" else ("",)
            while any(f"{name}{end}" in others for end in made):
                name += "_value"
            if name != column.name:
                option = {"kind": finding.option["kind"], "from": column.name} | dict(finding.option)
                finding = replace(finding, option=option, name=name)
            taken.add(name)
        found.append(replace(column, finding=finding))
    return tuple(found)
