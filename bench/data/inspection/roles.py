"""What becomes of each column: an input, or why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.inspection.column import Counted
from bench.data.inspection.kinds import DESIGN, Finding, Rate, coarse_cells, find_kind, find_new, find_rate
from bench.data.inspection.labels import Labels
from bench.data.inspection.leaks import find_leak, find_named, find_place, told
from bench.data.inspection.names import is_todays_score
from bench.data.inspection.split import Split, Wish
from bench.data.inspection.trying import Halves, Others, Together, Trial

EXAMPLES = 4
Role = Literal["input", "left out", "post-exposure", "label", "time", "split", "logged"]


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
    """Why it is not an input; or of one, why it may be none; else empty."""
    rate: Rate | None = None
    """Whether it is also to be described by target rates; None where it has few values."""

    @property
    def input(self) -> str:
        """Name of the input that it makes."""
        return self.finding.name or self.name


def given_roles(
    wish: Wish, split: Split, labels: Labels, parts: Mapping[str, str], logged: Iterable[str]
) -> dict[str, tuple[Role, str]]:
    """The columns that are no inputs whatever they hold, and why.

    Args:
        parts: columns that say which part of published data a row belongs to, and why they are no inputs.
        logged: columns of the score that ranked.
    """
    roles: dict[str, tuple[Role, str]] = {name: ("left out", why) for name, why in parts.items()}
    roles |= dict.fromkeys(logged, ("logged", "the score that ranked when the log was written, as --logged says"))
    together = wish.group if split.table.get("unit") == "group" else wish.hashed
    if together is not None:
        roles[together] = "split", "the split goes by its hash, so valid and test hold no value that train knows"
    if wish.column is not None and wish.column != together:
        roles[wish.column] = "split", "it assigns rows to splits"
    if wish.time is not None:
        roles[wish.time] = "time", "later rows have times that train never saw"
    return roles | {column: ("label", "") for label in labels.values() for column in label.rule.sources}


def draft_columns(
    names: Sequence[str],
    column_of: Callable[[str], Counted],
    given: Mapping[str, tuple[Role, str]],
    labels: Labels,
    split: NDArray[np.int8],
    halves: Halves,
    together: Together,
    group: Counted | None,
) -> Iterator[ColumnDraft]:
    """The columns in order: each by itself first, then inputs again beside what all others tell.

    Args:
        given: roles that are decided whatever a column holds.
        split: (N,).
        together: is given all inputs.
        group: whose rows are ranked together.
    """
    others, drafts = Others(halves), []
    for name in names:
        column = column_of(name)
        finding = find_kind(column)
        role, reason = given.get(name) or _role(column, finding, labels, split, group)
        if role == "input":
            others.add(coarse_cells(column, finding, halves))
            together.add(column)
        examples = tuple(column.texts(EXAMPLES)) if column.readable else ()
        seen = len(column.counts), column.missing_rate, examples
        drafts.append(ColumnDraft(name, role, column.type, *seen, finding, reason))
    for draft in drafts:
        if draft.role != "input" or not draft.finding.tried:
            yield draft
            continue
        trial = Trial(column_of(draft.name), halves, others)
        finding = find_kind(trial.column, trial)
        if finding.option is None:
            yield replace(draft, role="left out", finding=finding, reason=finding.why)
        else:
            yield replace(draft, finding=finding, rate=find_rate(trial.column, finding, trial))


def _role(
    column: Counted, finding: Finding, labels: Labels, split: NDArray[np.int8], group: Counted | None
) -> tuple[Role, str]:
    if finding.why == DESIGN:
        return "left out", finding.why
    if column.single and column.numbers is not None and is_todays_score(column.name):
        return "logged", f"its name is that of the score by which the log was ranked{told(column, labels)}"
    if afterwards := find_leak(column, labels):
        return "post-exposure", afterwards
    suspected, named = find_named(column, labels) or (False, "")
    if suspected:
        return "post-exposure", named
    if len(column.counts) and (place := find_place(column, group)):
        return "post-exposure", place
    if finding.option is None:
        return "left out", "; ".join((finding.why, *(finding.notes if column is not group else ())))
    if new := find_new(column, finding, split):
        return "left out", new
    return "input", named


def renamed(columns: Iterable[ColumnDraft]) -> tuple[ColumnDraft, ...]:
    """Inputs under names that no other input, nor its range or missing flag, has."""
    columns = tuple(columns)
    taken = {column.name for column in columns}
    found = []
    for column in columns:
        finding, name = column.finding, column.input
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
