"""From files and a few names to everything that a card says, with the reasons."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.core.errors import UserError, check_known
from bench.data.duplicates import RowSet
from bench.data.inspection.column import Counted, count_column, markers_in
from bench.data.inspection.labels import Labels, find_labels, label_columns, parents_of
from bench.data.inspection.proposals import Proposal, proposals
from bench.data.inspection.roles import ColumnDraft, Role, draft_columns, given_roles
from bench.data.inspection.sample import Layout, Sample, layout_of, read_sample
from bench.data.inspection.split import Rows, Split, Wish, assigned, find_split, is_published, named_files
from bench.system.progress import Progress

ROWS = 1_000_000
"""Rows that are inspected where nothing else is asked for."""
PUBLISHED = "its values name train and test, so it is the publisher's split"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class CardRequest(Wish):
    """What the user says of the data."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    """`COLUMN`, or `COLUMN=VALUE` with the value that means 1."""
    parents: tuple[str, ...] = ()
    """`CHILD=PARENT`."""
    separator: str | None = None
    """Of CSV; None to guess."""
    names: tuple[str, ...] = ()
    """Of the columns, where files have no header."""
    id: str | None = None
    title: str | None = None
    logged: tuple[str, ...] = ()
    """Columns of scores that ranked when the log was written."""
    folder: str = "."
    """Where the files are, as seen from the card's folder."""
    rows: int = ROWS


@dataclass(frozen=True)
class Draft:
    """All that the card will say."""

    request: CardRequest
    layout: Layout
    id: str
    rows: int
    complete: bool
    missing: tuple[str, ...]
    """Texts that mean missing."""
    labels: Labels
    columns: Sequence[ColumnDraft]
    split: Split
    proposals: tuple[Proposal, ...]
    """What it has as comments."""

    def of_role(self, role: Role) -> list[ColumnDraft]:
        """Columns of one role, in order."""
        return [column for column in self.columns if column.role == role]


def draft_card(request: CardRequest, progress: Progress) -> Draft:
    """Inspects the files; a UserError for a file or a name that does not fit, a label of one class, no input left."""
    _check_files(request.files)
    request.check()
    layout = layout_of(request.files, request.separator, request.names)
    if not request.given and named_files(layout.files):
        request = replace(request, kind="files")
    given = label_columns(request.labels, layout.columns)
    parents = parents_of(request.parents, tuple(given))
    keys = list(dict.fromkeys((*given, *_named(request, given, layout.columns))))
    sample = read_sample(layout, progress, request.rows)
    missing, published = dict[str, None](), dict[str, str]()
    for name in layout.columns:
        column = count_column(name, sample.table[name])
        missing |= dict.fromkeys(markers_in(column))
        if name not in keys and is_published(column):
            published[name] = f"{PUBLISHED}; --split column --split-column {shlex.quote(name)} uses it"
    counted = {name: count_column(name, sample.table[name], missing) for name in (*keys, *published)}

    def column_of(name: str) -> Counted:  # others are counted where they are asked for: all may not fit into memory
        return counted[name] if name in counted else count_column(name, sample.table[name], missing)

    _check_types(request, counted)
    labels = find_labels(given, parents, counted)
    rows = Rows(layout.files, sample.file, counted)
    whole = _whole(request, rows, sample, keys, missing, progress)
    request, split = _find_split(request, published, whole, labels)
    group = None if request.group is None else counted[request.group]
    decided = given_roles(request, split, labels, published, request.logged)
    of_rows = assigned(split.table, request, rows)
    drafts, notes = draft_columns(layout.columns, column_of, decided, labels, of_rows, group)
    if not any(column.role == "input" for column in drafts):
        reasons = "; ".join(f"'{column.name}' ({column.why})" for column in drafts if column.role == "left out")
        raise UserError(
            f"no column is left as an input: {reasons or 'there are only labels and what the split goes by'}"
        )
    labels |= {task: replace(labels[task], notes=(*labels[task].notes, note)) for task, note in notes.items()}
    return Draft(
        request=request,
        layout=layout,
        id=request.id or _id_of(request.files),
        rows=sample.table.num_rows,
        complete=sample.complete,
        missing=tuple(missing),
        labels=labels,
        columns=drafts,
        split=split,
        proposals=tuple(proposals(column_of, drafts, labels, group, sample.table.num_rows, _repeated(sample))),
    )


def _whole(
    wish: Wish, rows: Rows, sample: Sample, keys: Sequence[str], missing: Collection[str], progress: Progress
) -> Rows:
    """Times and labels of all rows, even where the other columns are not read whole: heads of files are oldest."""
    if wish.time is None or wish.chosen not in ("time", "files", "column") or sample.complete:
        return rows
    whole = read_sample(sample.layout, progress, only=keys)
    counted = {name: count_column(name, whole.table[name], missing) for name in keys}
    return Rows(rows.files, whole.file, counted)


def _named(request: CardRequest, labels: Collection[str], known: Sequence[str]) -> list[str]:
    """The columns that options name, beside labels; UserError for one that is not there or is two things."""
    of_split = (("--time", request.time), ("--group", request.group), ("--split-column", request.column))
    named = [(option, column) for option, column in of_split if column is not None]
    if both := next((name for name in request.logged if name in (column for _, column in named)), None):
        raise UserError(f"--logged: expected the column of a score, found '{both}', which the split or the group has")
    named += [("--logged", name) for name in request.logged]
    for option, column in (*(("--label", name) for name in labels), *named):
        if column == "":
            raise UserError(f"{option}: expected the name of a column, found an empty one")
    for option, column in named:
        check_known("column", column, known, option)
        if column in labels:
            raise UserError(f"{option}: '{column}' is a label")
    return [column for _, column in named]


def _check_types(request: CardRequest, counted: Mapping[str, Counted]) -> None:
    for option, key in (("--group", request.group), ("--split-column", request.column)):
        if key is not None and not counted[key].single:
            raise UserError(f"{option}: column '{key}' is of type {counted[key].type}, which a card cannot use")
    for name in request.logged:
        if counted[name].numbers is None or not counted[name].single:
            raise UserError(f"--logged: expected a column of numbers, found '{name}' of type {counted[name].type}")


def _find_split(
    request: CardRequest, published: dict[str, str], rows: Rows, labels: Labels
) -> tuple[CardRequest, Split]:
    """The publisher's split, where there is one and no other was asked for; one that cannot be used says why."""
    if published and not request.given:
        name = next(iter(published))
        by_column = replace(request, kind="column", column=name)
        try:
            return by_column, find_split(by_column, rows, labels)
        except UserError as error:
            published[name] = f"{PUBLISHED}, which cannot be used here: {error}"
    return request, find_split(request, rows, labels)


def _repeated(sample: Sample) -> int:
    try:
        return int((~RowSet().new(sample.table)).sum())
    except UserError:  # a column of records, by which rows are not compared
        return 0


def _check_files(files: Sequence[Path]) -> None:
    folders = {path.resolve().parent for path in files}
    if len(folders) > 1:
        first, second = sorted(folders)[:2]
        raise UserError(f"expected files in one folder, which a card can name, found {first} and {second}")
    resolved = [path.resolve() for path in files]
    if twice := next((path for path in files if resolved.count(path.resolve()) > 1), None):
        raise UserError(f"{twice} is given twice")


def _id_of(files: Sequence[Path]) -> str:
    name = files[0].name.split(".")[0] if len(files) == 1 else files[0].resolve().parent.name
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:100] or "data"


def check_id(name: str) -> str:
    """The id itself; raises UserError where it is not 1 to 100 small letters, digits, `-` and `_`."""
    if not _ID.fullmatch(name):
        raise UserError(f"--id: expected 1 to 100 small letters, digits, - and _, found '{name}'")
    return name
