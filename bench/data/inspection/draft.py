"""From files and a few names to everything that a card says, with the reasons."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.core.errors import UserError, check_known
from bench.core.system.progress import Progress
from bench.data.assemble import WholeGroups
from bench.data.codes import RowSet
from bench.data.inspection.column import Counted, markers_in
from bench.data.inspection.labels import (
    LEAST_LABELS,
    Label,
    Labels,
    find_labels,
    pairs_of,
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
    matures: tuple[str, ...] = ()
    """`LABEL=7d`, or `LABEL=COLUMN` with the time from which it is known."""
    logged: tuple[str, ...] = ()
    """Columns of scores that ranked when the log was written."""
    units: str | None = None
    """The column whose rows are resampled together."""
    folder: str = "."
    """Where the files are, as seen from the card's folder."""
    rows: int = INSPECTED


class Proposal(NamedTuple):
    """Keys of the card, in the table `at` (the top level, `reader` or `tasks.NAME`), and why they
    may hold.

    The card has them as comments, so nothing changes until somebody decides.
    """

    at: str
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
        files = self.request.files
        called = files[0].name.split(".")[0] if len(files) == 1 else files[0].resolve().parent.name
        return (
            self.request.id
            or re.sub(r"[^a-z0-9_-]+", "-", called.lower()).strip("-_")[:100]
            or "data"
        )

    def of_role(self, role: ColumnRole) -> list[ColumnDraft]:
        """Columns of one role, in order."""
        return [column for column in self.columns if column.role == role]


def draft_card(request: CardRequest, progress: Progress) -> Draft:
    """Inspects the files; a UserError for a file or a name that does not fit, a label of one class,
    no input left.
    """
    if len(folders := sorted({path.resolve().parent for path in request.files})) > 1:
        raise UserError(
            f"expected files in one folder, which a card can name, found {folders[0]} and "
            f"{folders[1]}"
        )
    request.check()
    layout = layout_of(request.files, request.separator, request.names)
    free = not any((request.kind, request.time, request.group, request.column))
    if free and is_published(layout.files):
        request, free = replace(request, kind="files"), False
    with_name = [*filter(None, layout.columns)]
    if not request.labels:
        raise UserError("expected at least one --label COLUMN, found none")
    given = pairs_of("--label", request.labels, with_name, "buy=yes")
    parents = pairs_of("--parent", request.parents, given, "buy=click")
    late = pairs_of("--matures", request.matures, given, "buy=7d")
    for parent in parents.values():
        check_known("label", parent, given, "--parent")
    named = _named(request, given, with_name)
    sample = layout.read(progress, request.rows)
    missing, published = dict[str, None](), list[str]()
    for name in layout.columns:
        column = sample.column(name)
        missing |= dict.fromkeys(markers_in(column))
        if name not in given and column.single and len(column.counts) <= 10:
            published += [name] * is_published(column.texts(), each=True)
    if published and free:
        request = replace(request, kind="column", column=published[0])
    sample = replace(sample, missing=tuple(missing))
    for name, option in named.items():
        column, score = sample.column(name), option == "--logged"
        if not column.single or (score and column.numbers is None):
            expected = f"expected a column of {'numbers' if score else 'texts or numbers'}"
            raise UserError(f"{option}: {expected}, found '{name}' of type {column.type}")
    labels = find_labels(given, parents, sample)
    if late and not sample.complete:
        raise UserError(
            f"--matures: expected all rows to be inspected, found more than {request.rows:,}: see "
            "--rows"
        )
    taken, why_seen = (*given, *named, *published), list[str]()
    ranked = request.group or seen_group(sample, taken, is_request)
    if free and not published:
        request, why_seen = _with_seen(request, sample, labels, ranked, taken)
    keys = list(
        dict.fromkeys((*given, *named, *published, *filter(None, (request.time, request.group))))
    )
    as_of, labels = _late(request, labels, late, sample)
    whole = sample
    if (
        request.time is not None
        and request.chosen in ("time", "files", "column")
        and not sample.complete
    ):
        # Heads of files are the oldest rows: times and labels are read of all rows.
        whole = replace(layout.read(progress, only=keys), missing=sample.missing)
    split = find_split(request, whole, labels)
    split = replace(split, why=(*split.why, *why_seen))
    if request.units is not None:
        _check_units(request.units, sample, request.group)
    within = None if ranked is None else sample.column(ranked)
    group = None if request.group is None else sample.column(request.group)
    decided = _decided(request, split, labels, published)
    drafts, notes = draft_columns(
        sample, decided, labels, assigned(split.table, request, sample), within
    )
    if not any(column.role == "input" for column in drafts):
        reasons = "; ".join(
            f"'{column.name}' ({column.why})" for column in drafts if column.role == "left out"
        )
        raise UserError(
            "no column is left as an input: "
            f"{reasons or 'there are only labels and what the split needs'}"
        )
    if request.time is not None and sample.complete and request.chosen == "time":
        place = timeline(sample.column(request.time))[1]
        notes += [
            (task, note)
            for task, label in labels.items()
            if (note := thin_end(label, place)) is not None
        ]
    for task, note in notes:
        labels[task] = replace(labels[task], notes=(*labels[task].notes, note))
    proposed = tuple(proposals(sample, drafts, labels, group))
    if request.units is not None:
        proposed = tuple(proposal for proposal in proposed if "units" not in proposal.keys)
    return Draft(request, layout, sample, as_of, labels, drafts, split, proposed)


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
    somebody = seen_group(sample, taken, is_person)
    if group is None and (time is None or somebody is None):
        return request, []
    grouped, why = replace(request, group=group), list[str]()
    if group is not None:
        why.append(f"'{group}' is taken for the group, by its name and since its values repeat.")
    elif somebody is not None:
        why.append(
            f"If rows of one '{somebody}' are ranked against each other, say --group "
            f"{shlex.quote(somebody)}."
        )
    if time is None:
        return grouped, why
    timed = replace(grouped, time=time)
    fault = _fault_of_times(timed, sample, labels)
    if fault is not None:
        return grouped, [*why, f"A split by the time '{time}' {fault}."]
    return timed, [
        *why,
        f"'{time}' is taken for the time. If something is wrong, say --time, --group or --split.",
    ]


def _fault_of_times(request: CardRequest, sample: InspectedRows, labels: Labels) -> str | None:
    """Why a split by the time that was seen is not taken: a split lacks a class, or a group is
    parted.
    """
    try:
        split = assigned(find_split(request, sample, labels).table, request, sample).astype(
            np.int32
        )
    except UserError:
        return f"fails, see --time {shlex.quote(str(request.time))}"
    if request.group is None:
        return None
    in_a_split = np.where(split < 0, -1, sample.column(request.group).codes)
    parted = WholeGroups().parted(in_a_split, split)
    return None if parted is None else f"would part values of '{request.group}'"


def _check_units(units: str, sample: InspectedRows, group: str | None) -> None:
    """Raises UserError for units of lists, or a value of the group that has two of them."""
    column = sample.column(units)
    if not column.single:
        raise UserError(
            f"--units: expected a column of texts or numbers, found '{units}' of type {column.type}"
        )
    if (
        group is not None
        and WholeGroups().parted(sample.column(group).codes, column.codes) is not None
    ):
        raise UserError(
            f"--units: expected one value of '{units}' for each '{group}', found several for one"
        )


def _named(request: CardRequest, labels: Collection[str], known: Sequence[str]) -> dict[str, str]:
    """Column -> the option that names it, beside labels; UserError for one that is not there or is
    two things.
    """
    named = {request.time: "--time", request.group: "--group", request.column: "--split-column"}
    if both := next((name for name in request.logged if name in named), None):
        raise UserError(
            f"--logged: expected the column of a score, found '{both}', which the split or the "
            "group has"
        )
    named |= dict.fromkeys(request.logged, "--logged")
    found = {column: option for column, option in named.items() if column is not None}
    if request.units is not None:
        found.setdefault(request.units, "--units")
    for column, option in found.items():
        check_known("column", column, known, option)
        if column in labels:
            raise UserError(f"{option}: '{column}' is a label")
    return found


def _late(
    request: CardRequest, labels: dict[str, Label], late: Mapping[str, str], sample: InspectedRows
) -> tuple[str | None, dict[str, Label]]:
    """When the log was written, by its latest time; and the labels, without those that were open
    then.
    """
    if not late:
        return None, labels
    if request.time is None:
        raise UserError(
            "--matures: expected --time COLUMN beside it, the time of each row, found none"
        )
    table, missing, closed = sample.table, sample.missing, dict(labels)
    times = hours_in(table[request.time], missing)
    latest = int(np.nanargmax(times))
    written, as_of = str(table[request.time][latest].as_py()), np.full(len(times), times[latest])
    for name, label in labels.items():
        if (matures := late.get(label.rule.sources[-1])) is not None:
            if not is_span(matures):
                check_known("column", matures, table.column_names, "--matures")
            rule = label.rule.model_copy(update={"matures": matures})
            known = rule.known(table, request.time, as_of, missing)
            note = (
                f"{(~known).sum():,} of {len(known):,} labels are open: they are known after "
                f"{written}"
            )
            closed[name] = Label(rule, np.where(known, label.y, np.nan), (*label.notes, note))
    return written, closed


def _decided(
    request: CardRequest, split: ProposedSplit, labels: Labels, published: Sequence[str]
) -> dict[str, tuple[ColumnRole, str]]:
    """The columns that are no inputs whatever they hold, and why; of two reasons the last."""
    together = request.group if split.table.get("unit") == "group" else request.hashed
    ranked = request.group if request.group is not None and is_request(request.group) else None
    named = (
        "its values name train and test, so it is the publisher's split, which --split-column uses"
    )
    roles: list[tuple[str | None, ColumnRole, str]] = [
        *((name, "left out", named) for name in published),
        (ranked, "left out", "its rows are ranked together, and tomorrow's values are new ones"),
        *(
            (name, "logged", "the score that ranked when the log was written, as --logged says")
            for name in request.logged
        ),
        (request.column, "split", "it assigns rows to splits"),
        (
            together,
            "split",
            "the split goes by its hash, so valid and test hold no value that train knows",
        ),
        (request.time, "time", LATER),
        *((name, "label", "") for label in labels.values() for name in label.rule.sources),
        *(
            (label.rule.matures, "left out", "from this time on a label is known")
            for label in labels.values()
        ),
    ]
    return {name: (role, why) for name, role, why in roles if name is not None}


def proposals(
    sample: InspectedRows, columns: Sequence[ColumnDraft], labels: Labels, group: Counted | None
) -> Iterator[Proposal]:
    """Keys that a card could also have: units, a weight, repeated rows and parents, each with the
    evidence for it.
    """
    yield from _units(
        [each.name for each in columns if is_unit(each.name) and each.role != "label"],
        sample,
        group,
    )
    if weight := next((draft.name for draft in columns if draft.why == WEIGHT), None):
        why = (
            "This seems to say how many rows a row stands for. Uncomment it to weigh losses and "
            "metrics."
        )
        yield Proposal("", {"weight": weight}, why)
    if shown := next((draft.name for draft in columns if draft.why == SHOWN), None):
        why = (
            f"'{shown}' seems to say how a row came to be shown. Uncomment it to judge rankings "
            "by that."
        )
        yield Proposal("", {str(exposure_key(shown)): shown}, why)
    with suppress(UserError):  # a column of records, by which rows are not compared
        if equal := int((~RowSet().new(sample.table)).sum()):
            rows = f"{equal:,} of {sample.table.num_rows:,} rows"
            why = f"{rows} equal an earlier one. If logged twice, uncomment this."
            yield Proposal("reader", {"drop_duplicates": True}, why)
    for name, label in labels.items():
        if label.rule.parent is None and (parent := find_parent(label, labels)) is not None:
            what = f"{name} = 1" if label.binary else f"another {name} than 0"
            why = (
                f"No row has {what} where {parent} = 0. If '{name}' can happen only after "
                f"'{parent}', or is a stricter form of it, uncomment this."
            )
            yield Proposal(f"tasks.{name}", {"parent": parent}, why)


def _units(
    names: Sequence[str], sample: InspectedRows, group: Counted | None
) -> Iterator[Proposal]:
    """The coarsest column of somebody, or of a visit, that repeats and parts no group."""
    of, what = (
        (sample.table.num_rows, "rows")
        if group is None
        else (len(group.counts), f"values of '{group.name}'")
    )
    repeat = [
        each
        for each in map(sample.column, names)
        if each.single and 10 <= len(each.counts) <= 0.95 * of
    ]
    whole = [
        each
        for each in repeat
        if group is None or WholeGroups().parted(group.codes, each.codes) is None
    ]
    if found := min(whole, key=lambda column: len(column.counts), default=None):
        why = (
            f"{len(found.counts):,} values of '{found.name}' have {of:,} {what}, which intervals "
            "take for independent. If those of one are alike, as a user's are, intervals are too "
            f"narrow. The line units = '{found.name}' on the card resamples them together."
        )
        everywhere = found.known == len(found.codes)
        sure = everywhere and group is not None and is_request(group.name) and is_person(found.name)
        yield Proposal("", {"units": found.name}, why, sure)


def find_parent(label: Label, labels: Labels) -> str | None:
    """The rarest binary task without which a label is 0 or missing in every row; more frequent than
    a binary label.
    """
    something = np.nan_to_num(label.y) != 0
    happened = int(something.sum())
    found: dict[str, float] = {}
    for task, of in labels.items():
        chance = happened * (
            1 - of.mean
        )  # rows that would be expected without the parent, were they unrelated
        if of.binary and chance >= LEAST_LABELS and not something[of.y == 0].any():
            found[task] = float(np.nansum(of.y))
    enough = [task for task, rows in found.items() if rows >= happened + label.binary]
    return min(enough, key=found.__getitem__, default=None)
