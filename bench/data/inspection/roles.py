"""What becomes of each column: an input, or why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.columns.base import Finding
from bench.data.inspection.column import Counted
from bench.data.inspection.kinds import LATER, WEIGHT, find_kind, find_new, find_rate
from bench.data.inspection.labels import Labels
from bench.data.inspection.leaks import Together, find_leak
from bench.data.inspection.names import is_todays_score
from bench.data.inspection.split import Split, Wish
from bench.data.inspection.telling import halves_of

EXAMPLES = 4
Role = Literal["input", "left out", "post-exposure", "label", "time", "split", "logged"]
Decided = tuple[Role, str]
"""A role, and why."""


@dataclass(frozen=True)
class ColumnDraft:
    """One column: what was counted, and what becomes of it."""

    name: str
    role: Role
    why: str
    """Why it is no input; of an input, why it is of its kind."""
    type: str
    distinct: int
    missing_rate: float
    examples: tuple[str, ...]
    """The most frequent values."""
    input: str
    """Name of the input that it makes, or would make."""
    option: Mapping[str, Any] | None
    """The input's options for the card; None where it can make none."""
    rate: str | None = None
    """Why it is also described by target rates; None where it is not."""


def given_roles(
    wish: Wish, split: Split, labels: Labels, published: Mapping[str, str], logged: Sequence[str]
) -> dict[str, Decided]:
    """The columns that are no inputs whatever they hold, and why; `published` ones name the publisher's splits."""
    roles: dict[str, Decided] = {name: ("left out", why) for name, why in published.items()}
    roles |= dict.fromkeys(logged, ("logged", "the score that ranked when the log was written, as --logged says"))
    together = wish.group if split.table.get("unit") == "group" else wish.hashed
    if together is not None:
        roles[together] = "split", "the split goes by its hash, so valid and test hold no value that train knows"
    if wish.column is not None and wish.column != together:
        roles[wish.column] = "split", "it assigns rows to splits"
    if wish.time is not None:
        roles[wish.time] = "time", LATER
    return roles | {column: ("label", "") for label in labels.values() for column in label.rule.sources}


def draft_columns(
    names: Sequence[str],
    column_of: Callable[[str], Counted],
    given: Mapping[str, Decided],
    labels: Labels,
    split: NDArray[np.int8],
    group: Counted | None,
) -> tuple[list[ColumnDraft], dict[str, str]]:
    """The drafts in order, and what all inputs together tell of a task, where it is suspicious.

    Args:
        split: (N,).
        group: the column whose rows are ranked together.
    """
    halves = halves_of(split, labels)
    together, taken = Together(halves), set(names)
    drafts: list[ColumnDraft] = []
    for name in names:
        column = column_of(name)
        finding, rate = find_kind(column, halves), None
        role, why = given.get(name) or _decided(column, finding, labels, split, group)
        if role == "time" and not finding.makes_input:
            why = finding.why
        if role == "input":
            together.add(column)
            rate = find_rate(column, halves) if finding.category else None
        counted = column.type, len(column.counts), column.missing_rate
        examples = tuple(column.texts(EXAMPLES)) if column.readable else ()
        finding = _renamed(name, finding, taken)
        drafts.append(ColumnDraft(name, role, why, *counted, examples, finding.name or name, finding.option, rate))
    return drafts, together.notes()


def _decided(
    column: Counted, finding: Finding, labels: Labels, split: NDArray[np.int8], group: Counted | None
) -> Decided:
    if column.single and column.numbers is not None and is_todays_score(column.name):
        return "logged", "its name is that of the score by which the log was ranked"
    if finding.why != WEIGHT and (late := find_leak(column, labels, group)):
        return "post-exposure", late
    if not finding.makes_input:
        return "left out", finding.why
    if finding.category and (new := find_new(column, split)):
        return "left out", new
    return "input", finding.why


def _renamed(column: str, finding: Finding, taken: set[str]) -> Finding:
    """An input under a name that no other column or input, nor its range or missing flag, has; it is then taken."""
    if finding.option is None:
        return finding
    name, others = finding.name or column, taken - {column}
    made = ("", "_bucket", "_missing") if finding.option["kind"] == "numeric" else ("",)
    while any(f"{name}{end}" in others for end in made):
        name += "_value"
    taken.add(name)
    if name == column:
        return finding
    return replace(finding, name=name, option={"kind": finding.option["kind"], "from": column} | dict(finding.option))
