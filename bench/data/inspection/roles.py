"""What becomes of each column: an input of some kind, or why not; and whether it is described by
target rates.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.core.arrays import Floats
from bench.data.columns import KINDS
from bench.data.columns.base import Finding
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import LEAST_LABELS, Labels, out_of_fold
from bench.data.inspection.leaks import find_leak, find_place, joint_leaks, rows_of_trees
from bench.data.inspection.names import (
    TIMES,
    exposure_key,
    has_word,
    is_id,
    is_named_otherwise,
    is_todays_score,
    is_visit,
    is_weight,
)
from bench.data.inspection.sample import InspectedRows
from bench.data.splits import TEST, TRAIN, VALID, Assignment

EXAMPLES = 4
ColumnRole = Literal["input", "left out", "post-exposure", "label", "time", "split", "logged"]
LATER = "later rows have times that train never saw"
SHOWN = "its name is that of how a row came to be shown, which nobody knows before ranking"
WEIGHT = (
    "its name is that of a weight of the sample's design, which belongs to the survey, not "
    "to the row"
)


@dataclass(frozen=True)
class ColumnDraft:
    """One column: what was counted, and what becomes of it."""

    name: str
    role: ColumnRole
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


def draft_columns(
    sample: InspectedRows,
    decided: Mapping[str, tuple[ColumnRole, str]],
    labels: Labels,
    split: Assignment,
    group: Counted | None,
) -> tuple[list[ColumnDraft], dict[str, str]]:
    """The drafts in order; and task -> a note on what all inputs together tell, where it is
    suspicious.

    Args:
        decided: columns that are no inputs whatever they hold, and why.
        group: the column whose rows are ranked together.
    """
    train_labels = {
        name: replace(label, y=np.where(split == TEST, np.nan, label.y))
        for name, label in labels.items()
    }
    tree_rows = rows_of_trees(train_labels)
    tree_inputs = dict[str, Floats]()
    taken = set(sample.table.column_names)
    drafts = []
    for name in sample.table.column_names:
        column = sample.column(name)
        finding = find_kind(column, train_labels)
        if name in decided:
            role, why = decided[name]
        else:
            role, why = _role(column, finding, labels, split, group)
        if role == "time" and not finding.makes_input:
            why = finding.why
        rate = None
        if role == "input":
            values = column.codes.astype(np.float64)
            if column.numbers is not None:
                values = column.row_numbers
            tree_inputs[name] = values[tree_rows]
            if finding.category:
                rate = find_rate(column, train_labels, split)
        if role == "post-exposure" and find_place(column, group) is not None:
            finding = Finding({"kind": "position"}, why)
        finding = _renamed(name, finding, taken)
        draft = ColumnDraft(
            name,
            role,
            why,
            type=column.type,
            distinct=len(column.counts),
            missing_rate=1 - column.n_present / len(column.codes),
            examples=tuple(column.texts(EXAMPLES)) if column.readable else (),
            input=finding.name or name,
            option=finding.option,
            rate=rate,
        )
        drafts.append(draft)
    return drafts, joint_leaks(train_labels, tree_rows, tree_inputs)


def _role(
    column: Counted, finding: Finding, labels: Labels, split: Assignment, group: Counted | None
) -> tuple[ColumnRole, str]:
    """What a column that nobody named is, and why."""
    if column.numbers is not None and is_todays_score(column.name):
        return "logged", "its name is that of the score by which the log was ranked"
    if column.numbers is not None and len(column.counts) > 1 and exposure_key(column.name):
        return "left out", SHOWN
    leak = None if finding.why == WEIGHT else find_leak(column, labels, group)
    if leak is not None:
        return "post-exposure", leak
    novelty = _find_new(column, split) if finding.category else None
    if novelty is not None:
        return "left out", novelty
    return ("input" if finding.makes_input else "left out"), finding.why


def _renamed(column: str, finding: Finding, taken: set[str]) -> Finding:
    """An input under a name that no other column or input, nor its range or missing flag, has; it
    is then taken.
    """
    if finding.option is None:
        return finding
    name = finding.name or column
    other_names = taken - {column}
    suffixes = [""]
    if finding.option["kind"] == "numeric":
        suffixes += ["_bucket", "_missing"]
    while any(f"{name}{suffix}" in other_names for suffix in suffixes):
        name += "_value"
    taken.add(name)
    if name == column:
        return finding
    option = {"kind": finding.option["kind"], "from": column} | dict(finding.option)
    return replace(finding, name=name, option=option)


UNREAD = {
    r"^\[.*\]$": "lists in brackets, which no reader takes apart; write them as 3|17|5",
    r"^-?(0|[1-9]\d{0,2})(,\d{3})*(\.\d+)?$": (
        "numbers that no reader takes for such; write 1234, not 1,234"
    ),
    r"^-?\d+,\d+$": (
        "numbers with a decimal comma, which no reader takes for such; write 1.5, not 1,5"
    ),
}
"""Form of texts -> why they make no input."""


def find_kind(column: Counted, labels: Labels) -> Finding:
    """The input that a column makes, by the first kind that claims it, or why it makes none."""
    fault = _unread(column)
    if fault is not None:
        return Finding(None, fault)
    for kind in KINDS.values():
        identity = None if kind.by_form else _identity(column)
        if identity is not None:
            return Finding(None, identity)
        finding = kind.draft(column, labels)
        if finding is not None:
            return finding
    raise AssertionError(f"no kind of column claims '{column.name}'")


def _unread(column: Counted) -> str | None:
    """Why no kind can read a column, or has anything to read."""
    if not column.name:
        return "it has no name"
    if not column.readable:
        return f"values of type {column.type} make no input; write them as text or numbers"
    if len(column.counts) == 0:
        return "always missing"
    if len(column.counts) == 1 and column.everywhere and not column.vector:
        return "constant"
    if column.type == "text" and column.numbers is None:
        for form, why in UNREAD.items():
            if column.matching(form).all():
                return why
    return None


LEAST_RUNS = 1_000
"""Distinct values from which on a column may be the id of a household, by the order of its rows
alone.
"""


def _in_runs(column: Counted) -> bool:
    """Whether rows of each value follow each other without a gap."""
    starts = 1 + int(np.count_nonzero(np.diff(column.codes)))
    return column.everywhere and starts == len(column.counts)


def _identity(column: Counted) -> str | None:
    """Why single values say nothing of later rows: a time, a weight, free text, or an id of a row
    or a visit.
    """
    n_values = len(column.counts)
    nearly_unique = column.n_present >= 20 and n_values > 0.95 * column.n_present
    if column.numbers is not None:
        reason = _identity_of_numbers(column, column.numbers, nearly_unique)
        if reason is not None:
            return reason
    elif n_values > column.n_present / 2 and _mean_blanks(column) >= 3:
        return "free text"
    rows_each = column.n_present / n_values
    if (column.numbers is None or column.whole) and n_values >= 50 and 1.05 < rows_each <= 20:
        advice = (
            f"{rows_each:.1f} rows each; without --time, --group {shlex.quote(column.name)} keeps "
            "them in one split"
        )
        if is_visit(column.name):
            return f"the id of a household or a visit, by its name, with {advice}"
        if n_values >= LEAST_RUNS and not is_named_otherwise(column.name) and _in_runs(column):
            return (
                "rows of one value follow each other, as those of a household or a visit do, "
                f"with {advice}"
            )
    if column.numbers is None and nearly_unique:
        return "another value in (almost) every row, as an id of the row or free text has"
    return None


def _mean_blanks(column: Counted) -> float:
    """Mean number of blanks in a text."""
    blanks = pc.count_substring(column.distinct.cast(pa.string()), " ")
    return float(pc.mean(blanks).as_py())


def _identity_of_numbers(column: Counted, numbers: Floats, nearly_unique: bool) -> str | None:
    if _yyyymmdd(numbers):
        return f'a date: {LATER}; derive = "weekday_of_yyyymmdd" makes an input of it'
    fine = len(column.counts) > column.n_present / 2
    for unit, fits in column.epochs.items():
        if fits.all() and (fine or has_word(column.name, TIMES)):
            why = f"a point in time, in {unit} since 1970: {LATER}"
            suffix = {"seconds": "s", "milliseconds": "ms"}.get(unit)
            if suffix is not None:
                why += f'; derive = "hour_of_unix_{suffix}" makes an input of it'
            return why
    if is_weight(column.name) and numbers.min() >= 0 and numbers.max() > 0:
        return WEIGHT
    # Several files may begin again.
    counts_up = (np.diff(column.row_numbers) > 0).mean() > 0.99
    if column.whole and nearly_unique and (is_id(column.name) or counts_up):
        return "another value in (almost) every row, as a row's number or id has"
    return None


def _yyyymmdd(numbers: Floats) -> bool:
    """Whether numbers are dates such as 20240301."""
    is_year = (numbers >= 1900_00_00) & (numbers < 2101_00_00)
    is_month = np.isin(numbers // 100 % 100, range(1, 13))
    is_day = np.isin(numbers % 100, range(1, 32))
    return len(numbers) > 1 and bool((is_year & is_month & is_day).all())


def _find_new(column: Counted, split: Assignment) -> str | None:
    """Why a category is no input, by the splits (N,): train has hardly any of the values of
    validation or of test.
    """
    train_codes = column.codes[split == TRAIN]
    for number, name in ((VALID, "validation"), (TEST, "test")):
        new = ~np.isin(column.codes[split == number], train_codes)
        if len(new) >= LEAST_LABELS and new.mean() >= 0.99:
            return (
                f"{new.mean():.0%} of {name}'s rows have a value that train lacks, as a month "
                "or a request's id does"
            )
    return None


OFTEN = 5
"""Rows of train from which on a value's rate says something."""


def find_rate(column: Counted, labels: Labels, split: Assignment) -> str | None:
    """Why a category of over 100 values is also described by target rates; None where it is not.

    Half of validation's rows must have a value that train has often, and the rates tell a label, by
    .05 of AUC or R2.
    """
    cells = column.cells()
    is_often = np.bincount(cells[split == TRAIN], minlength=cells.max() + 1) >= OFTEN
    # The heads of files may have no validation.
    tried = split == (VALID if (split == VALID).any() else TRAIN)
    covered = float((is_often[cells] & (column.codes >= 0))[tried].mean())
    if len(column.counts) <= 100 or covered < 0.5:
        return None

    best, gain = None, 0.05
    for label in labels.values():
        if label.fewest >= LEAST_LABELS:
            label_gain = out_of_fold(cells, label, 20.0) - label.chance
            if label_gain >= gain:
                best, gain = label, label_gain
    if best is None:
        return None
    return (
        f"{covered:.0%} of validation's rows have a value that {OFTEN} rows of train or more have, "
        f"and the rates alone tell '{best.rule.name}' ({best.measure} {gain + best.chance:.4f})"
    )
