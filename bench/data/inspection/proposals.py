"""Keys that a card could also have: units, a weight, repeated rows and parents, each with the evidence for it.

The card has them as comments, so nothing changes until somebody decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.data.inspection.column import Counted
from bench.data.inspection.kinds import WEIGHT
from bench.data.inspection.labels import Label, Labels
from bench.data.inspection.names import is_unit
from bench.data.inspection.roles import ColumnDraft
from bench.data.inspection.telling import LEAST
from bench.data.units import WholeGroups

REPEATS = 0.95
"""Values of a column for each row, or value of the group, up to which it repeats."""


class Proposal(NamedTuple):
    """Keys of the card, in the table `at` (the top level, `reader` or `tasks.NAME`), and why they may hold."""

    at: str
    keys: dict[str, Any]
    why: str


def proposals(
    column_of: Callable[[str], Counted],
    columns: Sequence[ColumnDraft],
    labels: Labels,
    group: Counted | None,
    rows: int,
    repeated: int,
) -> Iterator[Proposal]:
    """All that there is to propose, where `repeated` of the rows equal an earlier one."""
    yield from _units(
        [column_of(each.name) for each in columns if is_unit(each.name) and each.role != "label"], group, rows
    )
    if weight := next((draft.name for draft in columns if draft.why == WEIGHT), None):
        why = "This seems to say how many rows a row stands for. Uncomment it to weigh losses and metrics."
        yield Proposal("", {"weight": weight}, why)
    if repeated:
        why = f"{repeated:,} of {rows:,} rows equal an earlier one. If logged twice, uncomment this."
        yield Proposal("reader", {"drop_duplicates": True}, why)
    for name, label in labels.items():
        if label.rule.parent is None and (parent := find_parent(label, labels)) is not None:
            what = f"{name} = 1" if label.binary else f"another {name} than 0"
            why = (
                f"No row has {what} where {parent} = 0. If '{name}' can happen only after '{parent}', or is a stricter "
                "form of it, uncomment this."
            )
            yield Proposal(f"tasks.{name}", {"parent": parent}, why)


def _units(named: Sequence[Counted], group: Counted | None, rows: int) -> Iterator[Proposal]:
    """The coarsest column of somebody, or of a visit, that repeats and parts no group."""
    of, what = (rows, "rows") if group is None else (len(group.counts), f"values of '{group.name}'")
    repeat = [column for column in named if column.single and 10 <= len(column.counts) <= REPEATS * of]
    whole = [each for each in repeat if group is None or WholeGroups().parted(group.codes, each.codes) is None]
    for found in sorted(whole, key=lambda column: len(column.counts))[:1]:
        why = (
            f"{len(found.counts):,} values of '{found.name}' have {of:,} {what}, which intervals take for "
            "independent. If those of one are alike, as a user's are, intervals are too narrow. The line "
            f"units = '{found.name}' on the card resamples them together."
        )
        yield Proposal("", {"units": found.name}, why)


def find_parent(label: Label, labels: Labels) -> str | None:
    """The rarest binary task without which a label is 0 or missing in every row; more frequent than a binary label."""
    something = np.nan_to_num(label.y) != 0
    happened = int(something.sum())
    found: dict[str, float] = {}
    for task, of in labels.items():
        chance = happened * (1 - of.mean)  # rows that would be expected without the parent, were they unrelated
        if of.binary and chance >= LEAST and not something[of.y == 0].any():
            found[task] = float(np.nansum(of.y))
    enough = [task for task, rows in found.items() if rows >= happened + label.binary]
    return min(enough, key=found.__getitem__, default=None)
