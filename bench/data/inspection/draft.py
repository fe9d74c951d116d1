"""From files and a few names to everything that a card says, with the reasons."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field

from bench.core import plain
from bench.core.errors import UserError, check_known
from bench.core.option import Option
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
    pairs_of,
    read,
    thin_end,
)
from bench.data.inspection.names import exposure_key, is_person, is_request, is_unit
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


SEPARATORS = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


def _separator(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return sources.separator(SEPARATORS.get(value, value))
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
    proposals: tuple[Proposal, ...]

    @property
    def id(self) -> str:
        """Of the data set; by default by the file, or by the folder of several."""
        if self.request.id:
            return self.request.id
        first, *others = self.request.files
        title = first.resolve().parent.name if others else first.name.split(".")[0]
        return re.sub(r"[^a-z0-9_-]+", "-", title.lower()).strip("-_")[:100] or "data"

    def of_role(self, role: ColumnRole) -> list[ColumnDraft]:
        """Columns of one role, in order."""
        return [column for column in self.columns if column.role == role]


def draft_card(request: CardRequest, progress: Progress) -> Draft:
    """Inspects the files; a UserError for a file or a name that does not fit, a label of one class,
    no input left.
    """
    folders = sorted({path.resolve().parent for path in request.files})
    if len(folders) > 1:
        raise UserError(
            f"expected files in one folder, which a card can name, found {folders[0]} and "
            f"{folders[1]}"
        )
    request.check()
    layout = layout_of(request.files, request.separator, request.names)
    may_choose = not any((request.kind, request.time, request.group, request.column))
    if may_choose and is_published(layout.files):
        request = request.model_copy(update={"kind": "files"})
        may_choose = False
    named = _named_columns(request, layout)

    sample = layout.read(progress, request.rows)
    sample, published = _with_markers(sample, named.positives)
    if published and may_choose:
        request = request.model_copy(update={"kind": "column", "column": published[0]})
    _check_types(named.options, sample)
    labels = find_labels(named.positives, named.parents, sample)
    if named.matures and not sample.complete:
        raise UserError(
            f"--matures: expected all rows to be inspected, found more than {request.rows:,}: see "
            "--rows"
        )

    taken = (*named.positives, *named.options, *published)
    ranked_together = request.group or seen_group(sample, taken, is_request)
    why_seen: list[str] = []
    if may_choose and not published:
        request, why_seen = _with_seen(request, sample, labels, ranked_together, taken)
    as_of, labels = _without_open(request, labels, named.matures, sample)
    timed = _with_all_times(request, layout, sample, taken, progress)
    timed_labels = labels if timed is sample else _read_again(labels, timed)
    split = find_split(request, timed, timed_labels)
    split = replace(split, why=[*split.why, *why_seen])

    if request.units is not None:
        _check_units(request.units, sample, request.group)
    ranked_group = sample.optional_column(ranked_together)
    decided = _decided(request, split, labels, published)
    split_of_row = assigned(split.table, request, sample)
    columns, notes = draft_columns(sample, decided, labels, split_of_row, ranked_group)
    _check_inputs(columns)
    if request.time is not None and sample.complete and request.chosen == "time":
        notes += _notes_on_thin_ends(labels, sample.column(request.time))
    for task, note in notes:
        labels[task] = replace(labels[task], notes=(*labels[task].notes, note))
    proposed = list(proposals(sample, columns, labels, sample.optional_column(request.group)))
    if request.units is not None:
        proposed = [proposal for proposal in proposed if "units" not in proposal.keys]
    return Draft(request, layout, sample, as_of, labels, columns, split, tuple(proposed))


@dataclass(frozen=True)
class _NamedColumns:
    """The columns that a request names."""

    positives: Mapping[str, str]
    """Label -> the value that means 1, or ""."""
    parents: Mapping[str, str]
    """Label -> the label that must happen first."""
    matures: Mapping[str, str]
    """Label -> a span, or the column of the time from which it is known."""
    options: Mapping[str, str]
    """Other column -> the option that names it."""


def _named_columns(request: CardRequest, layout: FileLayout) -> _NamedColumns:
    """Reads the request's pairs; a UserError for a column that is not there or is two things."""
    columns = [name for name in layout.columns if name]
    if not request.labels:
        raise UserError("expected at least one --label COLUMN, found none")
    positives = pairs_of("--label", request.labels, columns, "buy=yes")
    parents = pairs_of("--parent", request.parents, positives, "buy=click")
    matures = pairs_of("--matures", request.matures, positives, "buy=7d")
    for parent in parents.values():
        check_known("label", parent, positives, "--parent")
    options = _options_of_columns(request)
    for column, option in options.items():
        check_known("column", column, columns, option)
        if column in positives:
            raise UserError(f"{option}: '{column}' is a label")
    return _NamedColumns(positives, parents, matures, options)


def _options_of_columns(request: CardRequest) -> dict[str, str]:
    """Column -> the option that names it, beside labels."""
    named = {request.time: "--time", request.group: "--group", request.column: "--split-column"}
    for name in request.logged:
        if name in named:
            raise UserError(
                f"--logged: expected the column of a score, found '{name}', which the split or the "
                "group has"
            )
    named |= dict.fromkeys(request.logged, "--logged")
    if request.units is not None:
        named.setdefault(request.units, "--units")
    return {column: option for column, option in named.items() if column is not None}


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


def _with_all_times(
    request: CardRequest,
    layout: FileLayout,
    sample: InspectedRows,
    taken: Sequence[str],
    progress: Progress,
) -> InspectedRows:
    """The named columns of all rows where a split needs times: heads of files are the oldest
    rows.
    """
    by_time = request.time is not None and request.chosen in ("time", "files", "column")
    if sample.complete or not by_time:
        return sample
    columns = [*taken, *filter(None, (request.time, request.group))]
    all_rows = layout.read(progress, only=list(dict.fromkeys(columns)))
    return replace(all_rows, missing=sample.missing)


def _read_again(labels: Labels, sample: InspectedRows) -> Labels:
    """The labels of all rows."""
    return {name: replace(label, y=read(label.rule, sample)) for name, label in labels.items()}


def _check_inputs(columns: Sequence[ColumnDraft]) -> None:
    """Raises UserError where no column is left as an input."""
    if any(column.role == "input" for column in columns):
        return
    reasons = [f"'{column.name}' ({column.why})" for column in columns if column.role == "left out"]
    raise UserError(
        "no column is left as an input: "
        f"{'; '.join(reasons) or 'there are only labels and what the split needs'}"
    )


def _notes_on_thin_ends(labels: Labels, time: Counted) -> list[tuple[str, str]]:
    place = timeline(time).place
    notes = []
    for task, label in labels.items():
        note = thin_end(label, place)
        if note is not None:
            notes.append((task, note))
    return notes


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
    grouped = request.model_copy(update={"group": group})
    why = []
    if group is not None:
        why.append(f"'{group}' is taken for the group, by its name and since its values repeat.")
    elif person is not None:
        why.append(
            f"If rows of one '{person}' are ranked against each other, say --group "
            f"{shlex.quote(person)}."
        )
    if time is None:
        return grouped, why
    timed = grouped.model_copy(update={"time": time})
    fault = _fault_of_times(timed, sample, labels)
    if fault is not None:
        why.append(f"A split by the time '{time}' {fault}.")
        return grouped, why
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
        split_of_row = assigned(split.table, request, sample).astype(np.int32)
    except UserError:
        return f"fails, see --time {shlex.quote(str(request.time))}"
    if request.group is None:
        return None
    group_codes = np.where(split_of_row < 0, -1, sample.column(request.group).codes)
    if WholeGroups().parted(group_codes, split_of_row) is None:
        return None
    return f"would part values of '{request.group}'"


def _check_units(units: str, sample: InspectedRows, group: str | None) -> None:
    """Raises UserError for units of lists, or a value of the group that has two of them."""
    column = sample.column(units)
    if not column.single:
        raise UserError(
            f"--units: expected a column of texts or numbers, found '{units}' of type {column.type}"
        )
    if group is None:
        return
    if WholeGroups().parted(sample.column(group).codes, column.codes) is not None:
        raise UserError(
            f"--units: expected one value of '{units}' for each '{group}', found several for one"
        )


def _without_open(
    request: CardRequest,
    labels: dict[str, Label],
    matures_by_column: Mapping[str, str],
    sample: InspectedRows,
) -> tuple[str | None, dict[str, Label]]:
    """When the log was written, by its latest time; and the labels, without those that were open
    then.
    """
    if not matures_by_column:
        return None, labels
    if request.time is None:
        raise UserError(
            "--matures: expected --time COLUMN beside it, the time of each row, found none"
        )
    table = sample.table
    hours = hours_in(table[request.time], sample.missing)
    latest = int(np.nanargmax(hours))
    as_of = str(table[request.time][latest].as_py())
    as_of_hours = np.full(len(hours), hours[latest])
    closed = dict(labels)
    for name, label in labels.items():
        matures = matures_by_column.get(label.rule.sources[-1])
        if matures is None:
            continue
        if not is_span(matures):
            check_known("column", matures, table.column_names, "--matures")
        rule = label.rule.model_copy(update={"matures": matures})
        is_closed = rule.known(table, request.time, as_of_hours, sample.missing)
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
    decided = dict[str | None, tuple[ColumnRole, str]]()
    for name in published:
        why = (
            "its values name train and test, so it is the publisher's split, which --split-column "
            "uses"
        )
        decided[name] = ("left out", why)
    if request.group is not None and is_request(request.group):
        why = "its rows are ranked together, and tomorrow's values are new ones"
        decided[request.group] = ("left out", why)
    for name in request.logged:
        why = "the score that ranked when the log was written, as --logged says"
        decided[name] = ("logged", why)
    decided[request.column] = ("split", "it assigns rows to splits")
    hashed = request.group if split.table.get("unit") == "group" else request.hashed
    why = "the split goes by its hash, so valid and test hold no value that train knows"
    decided[hashed] = ("split", why)
    decided[request.time] = ("time", LATER)
    for label in labels.values():
        for name in label.rule.sources:
            decided[name] = ("label", "")
    for label in labels.values():
        decided[label.rule.matures] = ("left out", "from this time on a label is known")
    return {name: role for name, role in decided.items() if name is not None}


def proposals(
    sample: InspectedRows, columns: Sequence[ColumnDraft], labels: Labels, group: Counted | None
) -> Iterator[Proposal]:
    """Keys that a card could also have: units, a weight, repeated rows and parents, each with the
    evidence for it.
    """
    units = [draft.name for draft in columns if is_unit(draft.name) and draft.role != "label"]
    yield from _units(units, sample, group)
    weight = next((draft.name for draft in columns if draft.why == WEIGHT), None)
    if weight is not None:
        why = (
            "This seems to say how many rows a row stands for. Uncomment it to weigh losses and "
            "metrics."
        )
        yield Proposal("", {"weight": weight}, why)
    exposure = next((draft.name for draft in columns if draft.why == SHOWN), None)
    if exposure is not None:
        why = (
            f"'{exposure}' seems to say how a row came to be shown. Uncomment it to judge rankings "
            "by that."
        )
        yield Proposal("", {str(exposure_key(exposure)): exposure}, why)
    repeated_rows = _repeated_rows(sample)
    if repeated_rows:
        why = (
            f"{repeated_rows:,} of {sample.table.num_rows:,} rows equal an earlier one. "
            "If logged twice, uncomment this."
        )
        yield Proposal("reader", {"drop_duplicates": True}, why)
    for name, label in labels.items():
        if label.rule.parent is not None:
            continue
        parent = find_parent(label, labels)
        if parent is not None:
            event = f"{name} = 1" if label.binary else f"another {name} than 0"
            why = (
                f"No row has {event} where {parent} = 0. If '{name}' can happen only after "
                f"'{parent}', or is a stricter form of it, uncomment this."
            )
            yield Proposal(f"tasks.{name}", {"parent": parent}, why)


def _repeated_rows(sample: InspectedRows) -> int:
    with suppress(UserError):  # a column of records, by which rows are not compared
        return int((~RowSet().new(sample.table)).sum())
    return 0


def _units(
    names: Sequence[str], sample: InspectedRows, group: Counted | None
) -> Iterator[Proposal]:
    """The coarsest column of somebody, or of a visit, that repeats and parts no group."""
    if group is None:
        n_independent, noun = sample.table.num_rows, "rows"
    else:
        n_independent, noun = len(group.counts), f"values of '{group.name}'"
    coarsest: Counted | None = None
    for name in names:
        column = sample.column(name)
        if not column.single or not 10 <= len(column.counts) <= 0.95 * n_independent:
            continue
        if group is not None and WholeGroups().parted(group.codes, column.codes) is not None:
            continue
        if coarsest is None or len(column.counts) < len(coarsest.counts):
            coarsest = column
    if coarsest is None:
        return
    why = (
        f"{len(coarsest.counts):,} values of '{coarsest.name}' have {n_independent:,} {noun}, "
        "which intervals take for independent. If those of one are alike, as a user's are, "
        f"intervals are too narrow. The line units = '{coarsest.name}' on the card resamples them "
        "together."
    )
    everywhere = coarsest.n_present == len(coarsest.codes)
    by_request = group is not None and is_request(group.name)
    sure = everywhere and by_request and is_person(coarsest.name)
    yield Proposal("", {"units": coarsest.name}, why, sure)


def find_parent(label: Label, labels: Labels) -> str | None:
    """The rarest binary task without which a label is 0 or missing in every row; more frequent than
    a binary label.
    """
    something = np.nan_to_num(label.y) != 0
    happened = int(something.sum())
    positives: dict[str, float] = {}
    for name, parent in labels.items():
        # Rows that would have the label without the parent, were they unrelated.
        expected_without = happened * (1 - parent.mean)
        if not parent.binary or expected_without < LEAST_LABELS:
            continue
        n_positive = float(np.nansum(parent.y))
        if n_positive >= happened + label.binary and not something[parent.y == 0].any():
            positives[name] = n_positive
    return min(positives, key=positives.__getitem__, default=None)
