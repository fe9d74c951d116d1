"""From files and a few names to everything that a card says, with the reasons."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from bench.core import plain
from bench.core.arrays import Mask
from bench.core.errors import UserError, check_known
from bench.core.option import Option
from bench.core.system.data_files import is_pattern, names_below
from bench.core.system.progress import Progress
from bench.data import sources
from bench.data.assemble import WholeGroups
from bench.data.codes import RowSet
from bench.data.inspection.column import Counted, markers_in
from bench.data.inspection.labels import (
    LEAST_LABELS,
    Label,
    Labels,
    find_labels,
    positive_values,
    read,
    thin_end,
)
from bench.data.inspection.names import exposure_key, is_person, is_request, is_visit
from bench.data.inspection.roles import LATER, SHOWN, WEIGHT, ColumnDraft, ColumnRole, draft_columns
from bench.data.inspection.sample import FileLayout, InspectedRows, layout_of
from bench.data.inspection.split import (
    ProposedSplit,
    Wish,
    assigned,
    find_split,
    is_published,
    seen_group,
    seen_time,
    timeline,
)
from bench.data.values import hours_in, is_span

INSPECTED = 1_000_000
"""Rows that are inspected where nothing else is asked for."""


def _separator(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return sources.separator("\t" if value in ("tab", r"\t") else value)
    except ValueError as error:
        raise ValueError(f"{error}; 'tab' stands for a tabulator") from None


class CardRequest(Wish):
    """What the user says of the data."""

    files: tuple[Path, ...]
    labels: Annotated[list[str], Option("label")] = Field(default_factory=list)
    """Column to predict; COLUMN=VALUE where VALUE means yes."""
    parents: Annotated[list[str], Option("parent", "CHILD=PARENT")] = Field(default_factory=list)
    """The label that must happen first."""
    separator: Annotated[str | None, BeforeValidator(_separator)] = None
    """Separator of CSV: a character or 'tab'; default: guessed."""
    names: Annotated[tuple[str, ...], BeforeValidator(plain.names), Option("columns")] = ()
    """Column names, separated by commas, for files without header."""
    id: str | None = None
    """Short name of the data set."""
    matures: Annotated[list[str], Option(form="LABEL=TIME")] = Field(default_factory=list)
    """How long until a label is known, as in buy=7d, or its column."""
    logged: list[str] = Field(default_factory=list)
    """Column of the score that ranked this log."""
    units: str | None = None
    """Column whose rows are alike, such as a user: intervals resample them together."""
    rows: int = Field(INSPECTED, ge=100)
    """Rows to inspect, from the head of each file; default: a million."""
    folder: str = "."
    """Where the files are, as seen from the card's folder."""


class Proposal(NamedTuple):
    """Keys of a table of the card ("" for the top level, `reader` or `tasks.NAME`), and why they
    may hold.

    The card has them as comments, so nothing changes until somebody decides.
    """

    table: str
    keys: dict[str, Any]
    why: str
    live: bool = False
    """Whether the card has them as keys that count, since they are sure."""


@dataclass(frozen=True)
class Draft:
    """All that the card will say."""

    request: CardRequest
    layout: FileLayout
    sample: InspectedRows
    as_of: str | None
    """The latest time of a log with labels that come late."""
    labels: Labels
    columns: Sequence[ColumnDraft]
    split: ProposedSplit
    proposals: Sequence[Proposal]

    @property
    def id(self) -> str:
        """Of the data set; by default by the file, or by the folder of several."""
        if self.request.id:
            return self.request.id
        folder, names = names_below(self.request.files)
        title = names[0].split("/")[-1].split(".")[0]
        if len(names) > 1 or is_pattern(title):
            title = folder.resolve().name
        return re.sub(r"[^a-z0-9_-]+", "-", title.lower()).strip("-_")[:100] or "data"

    def of_role(self, role: ColumnRole) -> list[ColumnDraft]:
        """Columns of one role, in order."""
        return [column for column in self.columns if column.role == role]


def draft_card(request: CardRequest, progress: Progress) -> Draft:
    """Inspects the files; a UserError for a file or a name that does not fit, a label of one class,
    no input left.
    """
    request.check()
    layout = layout_of(request.files, request.separator, request.names)
    may_choose = not any((request.kind, request.time, request.group, request.column))
    if may_choose and is_published(layout.files):
        request = request.model_copy(update={"kind": "files"})
        may_choose = False
    if not request.labels:
        raise UserError("expected at least one --label COLUMN, found none")
    positives = positive_values(request.labels, layout.named_columns)
    parents = _pairs(Option("parent", "CHILD=PARENT", "buy=click"), request.parents, positives)
    matures = _pairs(Option("matures", "LABEL=TIME", "buy=7d"), request.matures, positives)
    for parent in parents.values():
        check_known("label", parent, positives, "--parent")
    options = _options_of_columns(request, layout, positives)

    sample = layout.read(progress, request.rows)
    sample, published = _with_markers(sample, positives)
    if published and may_choose:
        request = request.model_copy(update={"kind": "column", "column": published[0]})
    _check_types(options, sample)
    labels: Labels = find_labels(positives, parents, sample)
    if matures and not sample.complete:
        raise UserError(
            f"--matures: expected all rows to be inspected, found more than {request.rows:,}: see "
            "--rows"
        )

    taken = [*positives, *options, *published]
    ranked_together = request.group or seen_group(sample, taken, is_request)
    why_seen: list[str] = []
    if may_choose and not published:
        request, why_seen = _with_seen(request, sample, labels, ranked_together, taken)
    as_of = None
    if matures:
        as_of, labels = _without_open(request.time, labels, matures, sample)
    split = _tried_split(request, layout, sample, labels, taken, progress)
    split = replace(split, why=[*split.why, *why_seen])

    _check_units(request, sample)
    decided = _decided(request, split, labels, published)
    columns, notes = draft_columns(
        sample,
        decided,
        labels,
        assigned(split.table, request, sample),
        sample.optional_column(ranked_together),
    )
    _check_inputs(columns)
    labels = _with_notes(request, sample, labels, notes)
    proposed = proposals(sample, columns, labels, sample.optional_column(request.group))
    if request.units is not None:
        proposed = [proposal for proposal in proposed if "units" not in proposal.keys]
    return Draft(request, layout, sample, as_of, labels, columns, split, proposed)


def _pairs(option: Option, texts: list[str], labels: Collection[str]) -> dict[str, str]:
    """Label -> what an option says of it."""
    pairs = option.pairs(texts)
    for label in pairs:
        check_known("label", label, labels, f"--{option.name}")
    return pairs


def _options_of_columns(
    request: CardRequest, layout: FileLayout, labels: Collection[str]
) -> dict[str, str]:
    """Column -> the option that names it, beside labels; a UserError for one that is not there or
    is two things.
    """
    named = {
        request.units: "--units",
        request.time: "--time",
        request.group: "--group",
        request.column: "--split-column",
    }
    options = {column: option for column, option in named.items() if column is not None}
    for score in request.logged:
        if score in options:
            raise UserError(
                f"--logged: expected the column of a score, found '{score}', which "
                f"{options[score]} names"
            )
        options[score] = "--logged"
    for column, option in options.items():
        check_known("column", column, layout.named_columns, option)
        if column in labels:
            raise UserError(f"{option}: '{column}' is a label")
    return options


def _with_markers(
    sample: InspectedRows, labels: Collection[str]
) -> tuple[InspectedRows, list[str]]:
    """The rows with the texts that mean missing in them; and columns that name train and test."""
    missing = dict[str, None]()  # a set in order
    published = []
    for name in sample.table.column_names:
        column = sample.column(name)
        missing |= dict.fromkeys(markers_in(column))
        may_name_splits = name not in labels and column.single and len(column.counts) <= 10
        if may_name_splits and is_published(column.texts(), all_named=True):
            published.append(name)
    return replace(sample, missing=tuple(missing)), published


def _check_types(options: Mapping[str, str], sample: InspectedRows) -> None:
    for name, option in options.items():
        column = sample.column(name)
        is_score = option == "--logged"
        if not column.single or (is_score and column.numbers is None):
            expected = "numbers" if is_score else "texts or numbers"
            raise UserError(
                f"{option}: expected a column of {expected}, found '{name}' of type {column.type}"
            )


def _tried_split(
    request: CardRequest,
    layout: FileLayout,
    sample: InspectedRows,
    labels: Labels,
    taken: Sequence[str],
    progress: Progress,
) -> ProposedSplit:
    """The split, with times and labels of all rows: heads of files are the oldest rows."""
    if sample.complete or request.time is None:
        return find_split(request, sample, labels)
    columns = {*taken, request.time, request.group} - {None}
    all_rows = layout.read(progress, only=[*map(str, columns)])
    all_rows = replace(all_rows, missing=sample.missing)
    all_labels = {
        name: replace(label, y=read(label.rule, all_rows)) for name, label in labels.items()
    }
    return find_split(request, all_rows, all_labels)


def _check_inputs(columns: Sequence[ColumnDraft]) -> None:
    """Raises UserError where no column is left as an input."""
    if any(column.role == "input" for column in columns):
        return
    reasons = [f"'{column.name}' ({column.why})" for column in columns if column.role == "left out"]
    raise UserError(
        "no column is left as an input: "
        f"{'; '.join(reasons) or 'there are only labels and what the split needs'}"
    )


def _with_notes(
    request: CardRequest, sample: InspectedRows, labels: Labels, notes: Mapping[str, str]
) -> Labels:
    """The labels with these notes on tasks, and with those on positives that thin out in time."""
    place = None
    if request.time is not None and sample.complete and request.chosen == "time":
        place = timeline(sample.column(request.time)).place
    noted = {}
    for task, label in labels.items():
        new_notes = [notes[task]] if task in notes else []
        if place is not None:
            new_notes += thin_end(label, place)
        noted[task] = replace(label, notes=(*label.notes, *new_notes))
    return noted


def _with_seen(
    request: CardRequest,
    sample: InspectedRows,
    labels: Labels,
    group: str | None,
    taken: Sequence[str],
) -> tuple[CardRequest, list[str]]:
    """The request with the group and the time that are seen, and why they are taken, in sentences.

    Without a group a time counts where somebody's rows repeat, as in a log. A group that times
    would part counts alone.
    """
    time = seen_time(sample, taken)
    person = seen_group(sample, taken, is_person)
    if group is None and (time is None or person is None):
        return request, []
    request = request.model_copy(update={"group": group})
    why = []
    if group is not None:
        why.append(f"'{group}' is taken for the group, by its name and since its values repeat.")
    elif person is not None:
        why.append(
            f"If rows of one '{person}' are ranked against each other, say --group "
            f"{shlex.quote(person)}."
        )
    if time is None:
        return request, why
    timed = request.model_copy(update={"time": time})
    fault = _fault_of_times(timed, sample, labels)
    if fault is not None:
        why.append(f"A split by the time '{time}' {fault}.")
        return request, why
    why.append(
        f"'{time}' is taken for the time. If something is wrong, say --time, --group or --split."
    )
    return timed, why


def _fault_of_times(request: CardRequest, sample: InspectedRows, labels: Labels) -> str | None:
    """Why a split by the time that was seen is not taken: a split lacks a class, or a group is
    parted.
    """
    try:
        split = find_split(request, sample, labels)
    except UserError:
        return f"fails, see --time {shlex.quote(str(request.time))}"
    split_of_row = assigned(split.table, request, sample)
    group = sample.optional_column(request.group)
    if _parts(split_of_row, group, split_of_row >= 0):
        return f"would part values of '{request.group}'"
    return None


def _parts(units: NDArray[Any], group: Counted | None, rows: Mask | bool = True) -> bool:
    """Whether a value of the group has two units (N,), in these rows (N,)."""
    if group is None:
        return False
    groups = np.where(rows, group.codes, -1)
    return WholeGroups().parted(groups, units.astype(np.int32)) is not None


def _check_units(request: CardRequest, sample: InspectedRows) -> None:
    """Raises UserError for a value of the group that has two units."""
    if request.units is None:
        return
    if _parts(sample.column(request.units).codes, sample.optional_column(request.group)):
        raise UserError(
            f"--units: expected one value of '{request.units}' for each '{request.group}', found "
            "several for one"
        )


def _without_open(
    time: str | None, labels: Labels, matures: Mapping[str, str], sample: InspectedRows
) -> tuple[str, dict[str, Label]]:
    """When the log was written, by its latest time; and the labels, without those that were open
    then.
    """
    if time is None:
        raise UserError(
            "--matures: expected --time COLUMN beside it, the time of each row, found none"
        )
    table = sample.table
    hours = hours_in(table[time], sample.missing)
    latest = int(np.nanargmax(hours))
    as_of = str(table[time][latest].as_py())
    closed = dict(labels)
    for name, label in labels.items():
        span_or_column = matures.get(label.rule.sources[-1])
        if span_or_column is None:
            continue
        if not is_span(span_or_column):
            check_known("column", span_or_column, table.column_names, "--matures")
        rule = label.rule.model_copy(update={"matures": span_or_column})
        is_closed = rule.known(table, time, hours[[latest]], sample.missing)
        note = (
            f"{(~is_closed).sum():,} of {len(is_closed):,} labels are open: they are known after "
            f"{as_of}"
        )
        closed[name] = Label(rule, np.where(is_closed, label.y, np.nan), (*label.notes, note))
    return as_of, closed


def _decided(
    request: CardRequest, split: ProposedSplit, labels: Labels, published: Sequence[str]
) -> dict[str, tuple[ColumnRole, str]]:
    """The columns that are no inputs whatever they hold, and why; of two reasons the last."""
    published_why = (
        "its values name train and test, so it is the publisher's split, which --split-column uses"
    )
    group_why = "its rows are ranked together, and tomorrow's values are new ones"
    logged_why = "the score that ranked when the log was written, as --logged says"
    hash_why = "the split goes by its hash, so valid and test hold no value that train knows"
    hashed = request.group if split.table.get("unit") == "group" else request.hashed
    decided: dict[str | None, tuple[ColumnRole, str]]
    decided = dict.fromkeys(published, ("left out", published_why))
    if request.group is not None and is_request(request.group):
        decided[request.group] = ("left out", group_why)
    decided |= dict.fromkeys(request.logged, ("logged", logged_why))
    decided[request.column] = ("split", "it assigns rows to splits")
    decided[hashed] = ("split", hash_why)
    decided[request.time] = ("time", LATER)
    for label in labels.values():
        decided |= dict.fromkeys(label.rule.sources, ("label", ""))
        decided.setdefault(label.rule.matures, ("left out", "from this time on a label is known"))
    return {name: role for name, role in decided.items() if name is not None}


def proposals(
    sample: InspectedRows, columns: Sequence[ColumnDraft], labels: Labels, group: Counted | None
) -> list[Proposal]:
    """Keys that a card could also have: units, a weight, how rows came to be shown, repeated rows
    and parents, each with the evidence for it.
    """
    proposed = _units(sample, columns, group)
    column_of_reason = {draft.why: draft.name for draft in reversed(columns)}
    if WEIGHT in column_of_reason:
        why = (
            "This seems to say how many rows a row stands for. Uncomment it to weigh losses and "
            "metrics."
        )
        proposed.append(Proposal("", {"weight": column_of_reason[WEIGHT]}, why))
    if SHOWN in column_of_reason:
        column = column_of_reason[SHOWN]
        why = (
            f"'{column}' seems to say how a row came to be shown. Uncomment it to judge rankings "
            "by that."
        )
        proposed.append(Proposal("", {str(exposure_key(column)): column}, why))
    n_repeated = 0
    with suppress(UserError):  # a column of records, by which rows are not compared
        n_repeated = int((~RowSet().new(sample.table)).sum())
    if n_repeated:
        why = (
            f"{n_repeated:,} of {sample.table.num_rows:,} rows equal an earlier one. "
            "If logged twice, uncomment this."
        )
        proposed.append(Proposal("reader", {"drop_duplicates": True}, why))
    for name, label in labels.items():
        parent = None if label.rule.parent else find_parent(label, labels)
        if parent is not None:
            event = f"{name} = 1" if label.binary else f"another {name} than 0"
            why = (
                f"No row has {event} where {parent} = 0. If '{name}' can happen only after "
                f"'{parent}', or is a stricter form of it, uncomment this."
            )
            proposed.append(Proposal(f"tasks.{name}", {"parent": parent}, why))
    return proposed


def _units(
    sample: InspectedRows, columns: Sequence[ColumnDraft], group: Counted | None
) -> list[Proposal]:
    """The coarsest column of somebody, or of a visit, that repeats and parts no group."""
    n_independent, noun = sample.table.num_rows, "rows"
    if group is not None:
        n_independent, noun = len(group.counts), f"values of '{group.name}'"
    coarsest: Counted | None = None
    for draft in columns:
        if draft.role == "label" or not (is_person(draft.name) or is_visit(draft.name)):
            continue
        column = sample.column(draft.name)
        repeats = column.single and 10 <= len(column.counts) <= 0.95 * n_independent
        is_coarser = coarsest is None or len(column.counts) < len(coarsest.counts)
        if repeats and is_coarser and not _parts(column.codes, group):
            coarsest = column
    if coarsest is None:
        return []
    why = (
        f"{len(coarsest.counts):,} values of '{coarsest.name}' have {n_independent:,} {noun}, "
        "which intervals take for independent. If those of one are alike, as a user's are, "
        f"intervals are too narrow. The line units = '{coarsest.name}' on the card resamples them "
        "together."
    )
    by_request = group is not None and is_request(group.name)
    sure = coarsest.everywhere and by_request and is_person(coarsest.name)
    return [Proposal("", {"units": coarsest.name}, why, sure)]


def find_parent(label: Label, labels: Labels) -> str | None:
    """The rarest binary task without which a label is 0 or missing in every row; more frequent than
    a binary label.
    """
    something = np.nan_to_num(label.y) != 0
    happened = int(something.sum())
    rarest, fewest = None, math.inf
    for name, parent in labels.items():
        # Rows that would have the label without the parent, were they unrelated.
        expected_without = happened * (1 - parent.mean)
        n_positive = np.nansum(parent.y)
        if not parent.binary or expected_without < LEAST_LABELS or something[parent.y == 0].any():
            continue
        if happened + label.binary <= n_positive < fewest:
            rarest, fewest = name, n_positive
    return rarest
