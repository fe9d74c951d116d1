"""What else a card could say of the columns: where a task counts, scenarios, and numbers that could be predicted.

Each is a rule with the evidence for it. The card proposes it as a comment, so nothing changes until somebody decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bench.data.inspection.column import Counted
from bench.data.inspection.kinds import FEW, Finding, skewness
from bench.data.inspection.leaks import LEAST, Floats, Labels
from bench.data.inspection.names import RATINGS, epoch_unit, has_word, is_id, is_scenario, is_score, is_yyyymmdd

SCENARIOS = 20
"""The most values of a scenario."""
SHARE = 0.01
"""Share of rows, at least, of a scenario that counts as one."""
TAIL = 1.0
"""Skewness from which a number has a long tail; videos end, and so do the times for which they are watched."""
OVER = 0.01
"""Share of a number's positive values that may exceed the column that limits it."""
AT_LIMIT = 0.01
"""Share of them, at least, that must equal it."""
FAR = 5
"""How much more often it must be exceeded in other rows."""


class Space(NamedTuple):
    """Where a task counts, for the card, and a sentence that says why."""

    where: Mapping[str, Any]
    why: str


def find_space(column: Counted, finding: Finding, label: Floats) -> Space | None:
    """The condition on an input column that holds in exactly the rows that have the label (N,)."""
    known = ~np.isnan(label)
    if min(int(known.sum()), int((~known).sum())) < LEAST or finding.option is None or not column.single:
        return None
    kind, name = finding.option["kind"], column.name
    if kind == "categorical" and len(column.counts) <= FEW:
        cell = np.where(column.codes < 0, len(column.counts), column.codes)
        labelled, all_rows = (np.bincount(cell[rows], minlength=len(column.counts) + 1) for rows in (known, cell >= 0))
        if ((labelled > 0) & (labelled < all_rows)).any() or labelled[-1]:
            return None
        values = [text for text, count in zip(column.texts(), labelled.tolist(), strict=False) if count]
        shown = f"one of {', '.join(values)}" if len(values) > 1 else values[0]
        return Space({name: values}, f"the label is known where '{name}' is {shown}, and nowhere else")
    if kind == "numeric":
        inside, outside = column.of_rows[known], column.of_rows[~known]
        outside = outside[~np.isnan(outside)]
        if np.isnan(inside).any() or len(outside) < LEAST:
            return None
        for key, way, end, apart in (
            ("first", "more, not below", inside.min(), outside.max() < inside.min()),
            ("last", "less, not above", inside.max(), outside.min() > inside.max()),
        ):
            if apart:
                bound = int(end) if column.whole else float(end)
                return Space({name: {key: bound}}, f"the label is known where '{name}' is {bound} or {way}")
    return None


def find_scenario(column: Counted, labels: Labels) -> str | None:
    """Why a column may be a scenario: its name says so, it has few values, and two or more have enough rows."""
    if not column.single or not is_scenario(column.name) or not 2 <= len(column.counts) <= SCENARIOS:
        return None
    cell = np.where(column.codes < 0, len(column.counts), column.codes)
    enough = np.append(column.counts >= SHARE * column.rows, False)
    for y, binary in labels.values():
        for wanted in (1, 0) if binary else ():
            enough &= np.bincount(cell[y == wanted], minlength=len(enough)) >= LEAST
    if enough.sum() < 2:
        return None
    y, binary = next(iter(labels.values()))
    rows = ~np.isnan(y)
    mean = np.bincount(cell[rows], y[rows], len(enough)) / np.maximum(np.bincount(cell[rows], minlength=len(enough)), 1)
    low, high = (f"{value:.1%}" if binary else f"{value:.4g}" for value in (mean[enough].min(), mean[enough].max()))
    return (
        f"{int(enough.sum())} of its {len(column.counts)} values have {SHARE:.0%} of the rows or more, and "
        f"'{next(iter(labels))}' is {low} to {high} there"
    )


def is_logged(column: Counted) -> bool:
    """Whether a column may be the score that ranked the log: a number with a fraction that is named like a score."""
    return column.single and not column.whole and is_score(column.name)


class Amount(NamedTuple):
    """A number to predict: a column that is known only afterwards, or (None) a task; its further keys, and why."""

    task: str
    column: str | None
    keys: dict[str, str]
    why: tuple[str, ...]


def is_amount(column: Counted) -> bool:
    """Whether a column that is known only afterwards could be predicted as a number: none negative, and a long tail.

    A rating has few values and no tail; its name says so.
    """
    numbers = column.numbers
    if numbers is None or len(numbers) < 3 or numbers.min() < 0 or not column.single:
        return False
    if epoch_unit(column) or is_yyyymmdd(column) or int(column.counts[numbers > 0].sum()) < LEAST:
        return False
    if has_word(column.name, RATINGS):
        return True
    return not is_id(column.name) and len(numbers) > FEW and skewness(numbers, column.counts) > TAIL


def find_parent(y: Floats, labels: Labels) -> str | None:
    """The rarest binary task without which a number (N,) is 0 or missing in every row."""
    something = np.nan_to_num(y) != 0
    found: dict[str, int] = {}
    for task, (label, binary) in labels.items():
        without, happened = label == 0, label == 1
        enough = min(int(without.sum()), int(something[happened].sum())) >= LEAST
        if binary and enough and not something[without].any():
            found[task] = int(happened.sum())
    return min(found, key=found.__getitem__) if found else None


def limits(y: Floats, other: Counted) -> bool:
    """Whether a column limits a number (N,): it is hardly ever exceeded, and often reached.

    Both must be more than chance, that is, than with the values of the column in other rows: small counts seldom exceed
    large ones, and often equal small ones.
    """
    if other.numbers is None or len(other.counts) < 3 or not other.single:
        return False
    limit, known = other.of_rows, ~np.isnan(y)
    there = known & (y > 0) & (limit > 0)
    if int(there.sum()) < LEAST or (limit[known] > 0).mean() < 0.5:
        return False
    y, limit = y[there], limit[there]
    others = np.random.default_rng(0).permutation(limit)
    exceeded, reached = (y > limit).mean(), (y == limit).mean()
    no_chance = (y > others).mean() >= FAR * OVER and reached >= 2 * (y == others).mean()
    return bool(exceeded <= OVER and reached >= AT_LIMIT and no_chance)


def amount_of(
    task: str, column: str | None, parent: str | None, limit: str | None, lasting: str | None = None
) -> Amount:
    """What was found of a number.

    Args:
        limit: the column that limits it.
        lasting: a column whose name says how long something lasts, for a number whose name says how long it was
            watched.
    """
    keys, why = dict[str, str](), list[str]()
    if parent is not None:
        keys["parent"] = parent
        why.append(f"it is 0 or missing in every row without '{parent}'")
    if limit is not None:
        keys |= {"duration": limit, "censored": limit}
        why.append(f"it hardly ever exceeds '{limit}' and often equals it, so it may have been cut there")
    elif lasting is not None:
        keys["duration"] = lasting
        why.append(f"'{lasting}' seems to say how long it could last")
    return Amount(task, column, keys, tuple(why))
