"""From files and a few names to everything that a card says, with the reasons."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.data.duplicates import RowSet
from bench.data.inspection.column import Counted, Markers, count_column, find_markers
from bench.data.inspection.kinds import FEW
from bench.data.inspection.labels import Labels, find_labels, label_columns, parents_of
from bench.data.inspection.names import is_part
from bench.data.inspection.proposals import Proposal, proposals
from bench.data.inspection.roles import ColumnDraft, Role, draft_columns, given_roles, renamed
from bench.data.inspection.sample import Layout, Sample, layout_of, read_sample
from bench.data.inspection.split import Split, Wish, assigned, find_split, is_published, named_files
from bench.data.inspection.trying import Together, halves_of
from bench.errors import UserError, unknown
from bench.progress import Progress

ROWS = 1_000_000
"""Rows that are inspected where nothing else is asked for."""
PUBLISHED = "its values name train and test, so it is the publisher's split"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


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
    logged: tuple[str, ...] = ()
    """Columns of scores that ranked when the log was written."""
    folder: str = "."
    """Where the files are, as seen from the card's folder."""
    rows: int = ROWS


@dataclass(frozen=True)
class Draft:
    """All that the card will say."""

    request: Request
    layout: Layout
    id: str
    rows: int
    complete: bool
    markers: Markers
    labels: Labels
    columns: tuple[ColumnDraft, ...]
    split: Split
    proposals: tuple[Proposal, ...]
    """What it has as comments."""

    def of_role(self, role: Role) -> list[ColumnDraft]:
        """Columns of one role, in order."""
        return [column for column in self.columns if column.role == role]


def draft_card(request: Request, progress: Progress) -> Draft:
    """Inspects the files; a UserError for a file or a name that does not fit, a label of one class, no input left."""
    _check_files(request.files)
    request.wish.check()
    layout = layout_of(request.files, request.separator, request.names)
    wish = request.wish
    if not any((wish.kind, wish.time, wish.group, wish.column)) and named_files(layout.files):
        wish = replace(wish, kind="files")
        request = replace(request, wish=wish)
    given = label_columns(request.labels, layout.columns)
    parents = parents_of(request.parents, tuple(given))
    if "" in given:
        raise UserError("--label: expected the name of a column, found an empty one")
    of_split = (("--time", wish.time), ("--group", wish.group), ("--split-column", wish.column))
    for option, column in (*of_split, *(("--logged", name) for name in request.logged)):
        if column == "":
            raise UserError(f"{option}: expected the name of a column, found an empty one")
        if column is not None and column not in layout.columns:
            raise UserError(f"{option}: {unknown('column', column, layout.columns)}")
        if column in given:
            raise UserError(f"{option}: '{column}' is a label")
    if both := next((name for name in request.logged if name in (wish.time, wish.group, wish.column)), None):
        raise UserError(f"--logged: expected the column of a score, found '{both}', which the split or the group has")
    sample = read_sample(layout, progress, request.rows)
    parts = dict[str, str]()
    markers = find_markers(_looked_at(sample, [*given, wish.time, wish.group, wish.column], parts))
    chosen = not any((wish.kind, wish.time, wish.group, wish.column))
    published = next((name for name, why in parts.items() if why.startswith(PUBLISHED)), None) if chosen else None
    keys = [*given, *request.logged, *filter(None, (wish.time, wish.group, wish.column, published))]
    counted = {name: count_column(name, sample.table[name], markers.sure) for name in dict.fromkeys(keys)}

    def column_of(name: str) -> Counted:  # others are counted where they are asked for: all may not fit into memory
        return counted[name] if name in counted else count_column(name, sample.table[name], markers.sure)

    for option, key in (("--group", wish.group), ("--split-column", wish.column)):
        if key is not None and not counted[key].single:
            raise UserError(f"{option}: column '{key}' is of type {counted[key].type}, which a card cannot use")
    for name in request.logged:
        if counted[name].numbers is None or not counted[name].single:
            raise UserError(f"--logged: expected a column of numbers, found '{name}' of type {counted[name].type}")
    labels = find_labels(given, parents, counted)
    split = None
    if published is not None:
        by_column = replace(wish, kind="column", column=published)
        try:
            split = _split(by_column, sample, counted, labels, markers, progress)
        except UserError as error:
            parts[published] = f"{PUBLISHED}, which cannot be used here: {error}"
        else:
            wish = by_column
            request = replace(request, wish=wish)
    split = split or _split(wish, sample, counted, labels, markers, progress)
    of_rows = assigned(split.table, wish, layout.files, sample.file, counted)
    decided = given_roles(wish, split, labels, parts, request.logged)
    group = None if wish.group is None else column_of(wish.group)
    halves = halves_of(of_rows, labels)
    together = Together(halves)
    drafts = renamed(draft_columns(layout.columns, column_of, decided, labels, of_rows, halves, together, group))
    if not any(column.role == "input" for column in drafts):
        reasons = "; ".join(f"'{column.name}' ({column.reason})" for column in drafts if column.role == "left out")
        raise UserError(
            f"no column is left as an input: {reasons or 'there are only labels and what the split goes by'}"
        )
    for task, note in together.notes([column.name for column in drafts if column.role == "input"]).items():
        labels[task] = replace(labels[task], notes=(*labels[task].notes, note))
    name, rows = request.id or _id_of(request.files), sample.table.num_rows
    proposed = tuple(proposals(column_of, drafts, labels, wish, rows, _repeated(sample)))
    return Draft(request, layout, name, rows, sample.complete, markers, labels, drafts, split, proposed)


def _looked_at(sample: Sample, known: Sequence[str | None], parts: dict[str, str]) -> Iterator[Counted]:
    """All columns, counted; those that name parts of published data go into `parts`, with the reason."""
    for name in sample.layout.columns:
        column = count_column(name, sample.table[name])
        if name not in known and is_published(column):
            parts[name] = f"{PUBLISHED}; --split column --split-column {shlex.quote(name)} uses it"
        elif name not in known and is_part(name) and len(column.counts) <= FEW:
            parts[name] = "its name says that it assigns rows to parts, as a publisher's split does"
        yield column


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


def _split(
    wish: Wish,
    sample: Sample,
    counted: Mapping[str, Counted],
    labels: Labels,
    markers: Markers,
    progress: Progress,
) -> Split:
    """Times and labels are read whole even where the other columns are not: heads of files are their oldest rows."""
    if wish.time is not None and wish.chosen in ("time", "files", "column") and not sample.complete:
        sample = read_sample(sample.layout, progress, only=list(counted))
        counted = {name: count_column(name, sample.table[name], markers.sure) for name in counted}
    return find_split(wish, sample.layout.files, sample.file, counted, labels)
