"""What becomes of each column: an input of some kind, or why not; and whether it is described by target rates."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.columns import KINDS
from bench.data.columns.base import Finding
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import LEAST, Labels, out_of_fold
from bench.data.inspection.leaks import Together, find_leak
from bench.data.inspection.names import TIMES, exposure_key, has_word, is_id, is_todays_score, is_visit, is_weight
from bench.data.inspection.split import Split, Wish
from bench.data.splits import TEST, TRAIN, VALID

EXAMPLES = 4
Role = Literal["input", "left out", "post-exposure", "label", "time", "split", "logged"]
Decided = tuple[Role, str]
"""A role, and why."""
LATER = "later rows have times that train never saw"
SHOWN = "its name is that of how a row came to be shown, which nobody knows before ranking"
WEIGHT = "its name is that of a weight of the sample's design, which belongs to the survey, not to the row"


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


def given_roles(wish: Wish, split: Split, labels: Labels, logged: Sequence[str]) -> dict[str, Decided]:
    """The columns that are no inputs whatever they hold, and why."""
    said: Decided = "logged", "the score that ranked when the log was written, as --logged says"
    roles = dict.fromkeys(logged, said)
    together = wish.group if split.table.get("unit") == "group" else wish.hashed
    if wish.column is not None:
        roles[wish.column] = "split", "it assigns rows to splits"
    if together is not None:
        roles[together] = "split", "the split goes by its hash, so valid and test hold no value that train knows"
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
) -> tuple[list[ColumnDraft], list[tuple[str, str]]]:
    """The drafts in order; and (task, note) on what all inputs together tell, where it is suspicious.

    Args:
        split: (N,).
        group: the column whose rows are ranked together.
    """
    train = {name: replace(label, y=np.where(split == TEST, np.nan, label.y)) for name, label in labels.items()}
    together, taken = Together(train), set(names)
    drafts: list[ColumnDraft] = []
    for name in names:
        column = column_of(name)
        finding, rate = find_kind(column, train), None
        role, why = given.get(name) or _decided(column, finding, labels, split, group)
        if role == "time" and not finding.makes_input:
            why = finding.why
        if role == "input":
            together.add(column)
            rate = find_rate(column, train, split) if finding.category else None
        examples = tuple(column.texts(EXAMPLES)) if column.readable else ()
        counted = column.type, len(column.counts), 1 - column.known / len(column.codes), examples
        finding = _renamed(name, finding, taken)
        drafts.append(ColumnDraft(name, role, why, *counted, finding.name or name, finding.option, rate))
    return drafts, together.notes()


def _decided(
    column: Counted, finding: Finding, labels: Labels, split: NDArray[np.int8], group: Counted | None
) -> Decided:
    if column.single and column.numbers is not None and is_todays_score(column.name):
        return "logged", "its name is that of the score by which the log was ranked"
    if column.numbers is not None and len(column.counts) > 1 and exposure_key(column.name):
        return "left out", SHOWN
    if finding.why != WEIGHT and (late := find_leak(column, labels, group)):
        return "post-exposure", late
    if not finding.makes_input:
        return "left out", finding.why
    if finding.category and (new := _find_new(column, split)):
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


MOST = 20_000
"""Distinct texts that are looked at."""
UNREAD = {
    r"^\[.*\]$": "lists in brackets, which no reader takes apart; write them as 3|17|5",
    r"^-?(0|[1-9]\d{0,2})(,\d{3})*(\.\d+)?$": "numbers that no reader takes for such; write 1234, not 1,234",
    r"^-?\d+,\d+$": "numbers with a decimal comma, which no reader takes for such; write 1.5, not 1,5",
}
"""Form of texts -> why they make no input."""


def find_kind(column: Counted, labels: Labels) -> Finding:
    """The input that a column makes, by the first kind that claims it, or why it makes none."""
    constant = len(column.counts) == 1 and column.known == len(column.codes) and not column.vector
    unread = UNREAD if column.type == "text" and column.numbers is None else {}
    reasons = {
        "it has no name": not column.name,
        f"values of type {column.type} make no input; write them as text or numbers": not column.readable,
        "always missing": len(column.counts) == 0,
        "constant": constant,
    }
    reasons |= {why: bool(column.matching(form).all()) for form, why in unread.items()}
    if any(reasons.values()):
        return Finding(None, next(why for why, holds in reasons.items() if holds))
    for kind in KINDS.values():
        if not kind.by_form and (why := _identity(column)):
            break
        if (found := kind.draft(column, labels)) is not None:
            return found
    return Finding(None, why or "no kind of input fits it")


def _identity(column: Counted) -> str | None:
    """Why single values say nothing of later rows: a time, a weight, free text, or an id of a row or a visit."""
    numbers, distinct = column.numbers, len(column.counts)
    if numbers is None:
        if distinct > column.known / 2 and np.mean([text.count(" ") for text in column.texts(MOST)]) >= 3:
            return "free text"
        each = "another value in (almost) every row, as an id of the row or free text has"
        return _visit(column) or (each if column.one_each else None)
    if _yyyymmdd(numbers):
        return f'a date: {LATER}; derive = "weekday_of_yyyymmdd" makes an input of it'
    timed = has_word(column.name, TIMES) or distinct > column.known / 2
    if unit := next((unit for unit, fits in column.epochs.items() if timed and fits.all()), None):
        suffix = {"seconds": "s", "milliseconds": "ms"}.get(unit)
        derived = f'; derive = "hour_of_unix_{suffix}" makes an input of it' if suffix else ""
        return f"a point in time, in {unit} since 1970: {LATER}{derived}"
    if is_weight(column.name) and numbers.min() >= 0 and numbers.max() > 0:
        return WEIGHT
    # Not in all rows does a number count up: several files may begin again.
    if column.whole and column.one_each and (is_id(column.name) or (np.diff(column.of_rows) > 0).mean() > 0.99):
        return "another value in (almost) every row, as a row's number or id has"
    return _visit(column) if column.whole else None


def _yyyymmdd(numbers: NDArray[np.float64]) -> bool:
    """Whether numbers are dates such as 20240301."""
    year, month, day = numbers // 10000, numbers // 100 % 100, numbers % 100
    fits = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (day % 1 == 0)
    return len(numbers) > 1 and bool(fits.all())


def _visit(column: Counted) -> str | None:
    """Why it is the id of a household or a visit: many values with few rows each, and such a name."""
    each = column.known / len(column.counts)
    if len(column.counts) < 50 or not 1.05 < each <= 20 or not is_visit(column.name):
        return None
    return (
        f"the id of a household or a visit, by its name, with {each:.1f} rows each; without --time, "
        f"--group {shlex.quote(column.name)} keeps them in one split"
    )


def _find_new(column: Counted, split: NDArray[np.int8]) -> str | None:
    """Why a category is no input, by the splits (N,): train has hardly any of the values of validation or of test."""
    known = column.codes[split == TRAIN]
    for part, name in ((VALID, "validation"), (TEST, "test")):
        new = ~np.isin(column.codes[split == part], known)
        if len(new) >= LEAST and new.mean() >= 0.99:
            return f"{new.mean():.0%} of {name}'s rows have a value that train lacks, as a month or a request's id does"
    return None


OFTEN = 5
"""Rows of train from which on a value's rate says something."""


def find_rate(column: Counted, labels: Labels, split: NDArray[np.int8]) -> str | None:
    """Why a category of over 100 values is also described by target rates; None where it is not.

    Half of validation's rows must have a value that train has often, and the rates tell a label, by .05 of AUC or R2.
    """
    cells, many = column.cells(), len(column.counts)
    often = np.append(np.bincount(cells[split == TRAIN], minlength=many + 1)[:-1] >= OFTEN, False)
    tried = VALID if (split == VALID).any() else TRAIN  # the heads of files may have no validation
    covered = float(often[column.codes[split == tried]].mean())
    if many <= 100 or covered < 0.5:
        return None
    told = [(out_of_fold(cells, of, 20.0) - of.chance, name) for name, of in labels.items() if of.fewest >= LEAST]
    beyond, task = max(told, default=(0.0, ""), key=lambda each: each[0])
    if beyond < 0.05:
        return None
    return (
        f"{covered:.0%} of validation's rows have a value that {OFTEN} rows of train or more have, and the rates alone "
        f"tell '{task}' ({labels[task].measure} {beyond + labels[task].chance:.4f})"
    )
