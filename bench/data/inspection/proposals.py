"""What else a card could say of the columns: weights, scenarios, where a task counts, numbers to predict, and so on.

Each is a rule with the evidence for it. The card has it as a comment, so nothing changes until somebody decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.arrays import Floats
from bench.data.inspection.column import Counted
from bench.data.inspection.kinds import DESIGN, FEW, Finding
from bench.data.inspection.labels import Labels, task_names
from bench.data.inspection.leaks import LEAST, group_auc
from bench.data.inspection.names import (
    LASTING,
    RATINGS,
    has_word,
    is_id,
    is_number,
    is_sampling_rate,
    is_scenario,
    is_score,
    is_unit,
    is_watching,
    is_weight,
)
from bench.data.inspection.roles import ColumnDraft
from bench.data.inspection.split import Wish
from bench.data.inspection.times import epoch_unit, is_yyyymmdd
from bench.data.inspection.toml import toml
from bench.data.tasks import skewness
from bench.data.units import WholeGroups
from bench.errors import listed

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
REPEATS = 0.95
"""Values of a column for each row, or value of the group, up to which it repeats."""
Keys = dict[str, Any]


class Proposal(NamedTuple):
    """Keys of the card, and why they may hold.

    Attributes:
        at: the table that they belong to: `reader`, `tasks.NAME`, `sampling` or `history`; empty at the top level.
    """

    at: str
    keys: Keys
    why: str

    @property
    def name(self) -> str:
        """`scenario`, `reader.drop_duplicates`, `tasks.buy.where`, or the table, where all of it is proposed."""
        return self.at if len(self.keys) > 1 else ".".join(filter(None, (self.at, *self.keys)))


def proposals(
    column_of: Callable[[str], Counted],
    columns: Sequence[ColumnDraft],
    labels: Labels,
    wish: Wish,
    rows: int,
    repeated: int,
) -> Iterator[Proposal]:
    """All that there is to propose.

    Of several columns that the same could be said of, the first has the proposal, which names the others.

    Args:
        repeated: how many of the rows equal an earlier one.
    """
    found: dict[str, Proposal] = {}
    others, recorded = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for draft in columns:
        for proposal in _of_column(draft, column_of, labels):
            first = found.setdefault(proposal.name, proposal)
            if len(proposal.keys.get("where", {}).get(draft.name, ())) == draft.distinct:  # elsewhere it is missing
                recorded[proposal.name].append(toml(draft.name))
            elif first is not proposal:
                others[proposal.name].append(toml(draft.name))
    for name, also in others.items():
        found[name] = found[name]._replace(why=f"{found[name].why} The same may hold for {listed(also)}.")
    for name, also in recorded.items():
        late = (
            f"{listed(also)} {'is' if len(also) == 1 else 'are'} missing in exactly the rows without the label. If one "
            "was recorded with the label, move it to post_exposure."
        )
        found[name] = found[name]._replace(why=f"{found[name].why} {late}")
    top = [found.pop(key) for key in ("weight", "scenario") if key in found]
    if not any(draft.role == "logged" for draft in columns):
        top += _of_scores(column_of, columns, labels)
    if repeated:
        why = f"{repeated:,} of {rows:,} rows equal an earlier one. If logged twice, uncomment this."
        top.append(Proposal("reader", {"drop_duplicates": True}, why))
    of_tasks = *_of_events(labels), *_of_numbers(column_of, columns, labels)
    of_units = _units(column_of, columns, None if wish.group is None else column_of(wish.group), rows)
    yield from (*of_units, *top, *found.values(), *of_tasks, *_history(columns, labels, wish, rows))


def _units(
    column_of: Callable[[str], Counted], columns: Sequence[ColumnDraft], group: Counted | None, rows: int
) -> Iterator[Proposal]:
    """The coarsest column of somebody, or of a visit, that repeats and parts no group."""
    of, what = (rows, "rows") if group is None else (len(group.counts), f"values of '{group.name}'")
    named = (draft.name for draft in columns if is_unit(draft.name) and draft.role != "label")
    repeat = [column for column in map(column_of, named) if column.single and 10 <= len(column.counts) <= REPEATS * of]
    whole = [each for each in repeat if group is None or WholeGroups().parted(group.codes, each.codes) is None]
    for found in sorted(whole, key=lambda column: len(column.counts))[:1]:
        why = (
            f"{len(found.counts):,} values of {toml(found.name)} have {of:,} {what}, which intervals take for "
            "independent. If those of one are alike, as a user's are, intervals are too narrow. The line "
            f"units = {toml(found.name)} on the card resamples them together."
        )
        yield Proposal("", {"units": found.name}, why)


def _of_column(draft: ColumnDraft, column_of: Callable[[str], Counted], labels: Labels) -> Iterator[Proposal]:
    """What one column may be: a weight, a rate of sampling, a scenario, a score, where a task counts."""
    name = draft.name
    if draft.role == "left out" and draft.reason == DESIGN:
        why = "This seems to say how many rows a row stands for. Uncomment it to weigh losses and metrics."
        yield Proposal("", {"weight": name}, why)
    elif draft.role == "input" and _is_numeric(draft) and is_weight(name) is None:
        why = f"If {toml(name)} says how many rows a row stands for, uncomment this line, and delete that in [columns]."
        yield Proposal("", {"weight": name}, why)
    roots = [task for task, label in labels.items() if label.binary and label.rule.parent is None]
    kept = is_sampling_rate(name) and all(is_number(text, 0, 1) for text in draft.examples)
    if kept and roots and draft.role in ("input", "left out", "post-exposure"):
        out = " and take the column out of [columns]" if draft.role == "input" else ""
        why = (
            f"{toml(name)} seems to be the share of rows that was kept. If negatives of a label were thinned out, "
            f"uncomment this{out}: probabilities are then of all rows."
        )
        yield Proposal("sampling", {"task": roots[0], "rate": name}, why)
    partly = [task for task, label in labels.items() if np.isnan(label.y).any()]
    if draft.role != "input" or not (partly or is_scenario(name)):
        return
    column = column_of(name)
    if evidence := find_scenario(column, labels):
        why = f"{toml(name)} seems to say where something was shown: {evidence}. Uncomment it to see metrics for each."
        yield Proposal("", {"scenario": name}, why)
    for task in partly:
        if space := find_space(column, draft.finding, labels[task].y):
            why = f"{upper(space[1])}. Uncomment it so that no other row counts, whatever it holds."
            yield Proposal(f"tasks.{task}", {"where": space[0]}, why)


def _of_scores(
    column_of: Callable[[str], Counted], columns: Sequence[ColumnDraft], labels: Labels
) -> Iterator[Proposal]:
    """Of inputs named like scores, the one whose order tells most of the labels."""
    named = [draft.name for draft in columns if draft.role == "input" and _is_numeric(draft) and is_score(draft.name)]
    tells = {
        column.name: max(((orders(column, of.y), task) for task, of in labels.items() if of.binary), default=(0.0, ""))
        for column in map(column_of, named)
        if not column.whole
    }
    if not tells:
        return
    name, *others = sorted(tells, key=lambda each: -tells[each][0])
    auc, task = tells[name]
    why = (
        f"If {toml(name)} is the score that ranked this log, say --logged {name}, or uncomment this line and delete "
        f"that in [columns]. Models can then be compared with it: `column = {toml(name)}` in the file of `--current`."
    )
    why += f" Ordered by it, rows have AUC {auc:.2f} of '{task}'." if task else ""
    why += f" The same may hold for {listed([*map(toml, others)])}." if others else ""
    yield Proposal("", {"logged": [name]}, why)


def orders(column: Counted, y: Floats) -> float:
    """AUC of a binary label (N,) by a column's numbers."""
    known = ~np.isnan(y) & ~np.isnan(column.of_rows)
    return group_auc(column.of_rows[known], y[known], 1 - y[known])


def _is_numeric(draft: ColumnDraft) -> bool:
    return draft.finding.option is not None and draft.finding.option["kind"] == "numeric"


def _of_events(labels: Labels) -> Iterator[Proposal]:
    """The parent of a binary task that never happens without another, more frequent one."""
    for name, label in labels.items():
        if not label.binary or label.rule.parent is not None:
            continue
        happened = float(np.nansum(label.y))  # of which LEAST, at least, would come without the parent by chance
        others = {
            other: of
            for other, of in labels.items()
            if of.binary and np.nansum(of.y) > happened and happened * (1 - of.mean) >= LEAST
        }
        if (parent := find_parent(label.y, others)) is not None:
            why = (
                f"No row has {name} = 1 where {parent} = 0. If '{name}' can happen only after '{parent}', or is a "
                "stricter form of it, uncomment this."
            )
            yield Proposal(f"tasks.{name}", {"parent": parent}, why)


def _of_numbers(
    column_of: Callable[[str], Counted], columns: Sequence[ColumnDraft], labels: Labels
) -> Iterator[Proposal]:
    """Keys of tasks that are numbers, and new tasks: columns of numbers that are known only afterwards."""
    numbers = dict[str, tuple[str | None, Floats]]()  # task -> the column, where it is no task yet, and its values
    numbers |= {name: (None, label.y) for name, label in labels.items() if not label.binary}
    afterwards = [draft.name for draft in columns if draft.role == "post-exposure"]
    names = task_names([*labels, *afterwards])
    for name in afterwards:
        if is_amount(column := column_of(name)):
            numbers[names[name]] = name, column.of_rows
    inputs = [draft.name for draft in columns if draft.role == "input" and _is_numeric(draft)] if numbers else []
    lasting = next((name for name in inputs if has_word(name, LASTING)), None)
    limit: dict[str, str] = {}
    for name in inputs:
        column = column_of(name)
        limit |= {task: name for task, (_, y) in numbers.items() if task not in limit and limits(y, column)}
    for task, (own, y) in numbers.items():
        keys, why = Keys(), list[str]()
        if own is not None:
            keys |= {"name": task, "column": own, "kind": "regression"}
            why.append(f"{toml(own)} is a number that is known only afterwards and never negative")
        has_parent = task in labels and labels[task].rule.parent is not None
        if (parent := None if has_parent else find_parent(y, labels)) is not None:
            keys["parent"] = parent
            why.append(f"it is 0 or missing in every row without '{parent}'")
        if task in limit:
            keys |= {"duration": limit[task], "censored": limit[task]}
            why.append(f"it hardly ever exceeds '{limit[task]}' and often equals it, so it may have been cut there")
        elif lasting is not None and is_watching(own or task):
            keys["duration"] = lasting
            why.append(f"'{lasting}' seems to say how long it could last")
        if own is not None:
            yield Proposal(f"tasks.{task}", keys, f"{'. '.join(map(upper, why))}. To predict it, uncomment this.")
        elif keys:
            yield Proposal(f"tasks.{task}", keys, f"{upper('; '.join(why))}. Uncomment what holds.")


def upper(text: str) -> str:
    """As a sentence begins."""
    return text[0].upper() + text[1:]


def find_space(column: Counted, finding: Finding, label: Floats) -> tuple[Keys, str] | None:
    """The condition on an input column that holds in exactly the rows that have the label (N,), and why."""
    known = ~np.isnan(label)
    if min(int(known.sum()), int((~known).sum())) < LEAST or finding.option is None or not column.single:
        return None
    kind, name = finding.option["kind"], column.name
    if kind == "categorical" and len(column.counts) <= FEW:
        cell = column.cells
        labelled, all_rows = (np.bincount(cell[rows], minlength=len(column.counts) + 1) for rows in (known, cell >= 0))
        if ((labelled > 0) & (labelled < all_rows)).any() or labelled[-1]:
            return None
        values = [text for text, count in zip(column.texts(), labelled.tolist(), strict=False) if count]
        shown = f"one of {', '.join(values)}" if len(values) > 1 else values[0]
        return {name: values}, f"the label is known where '{name}' is {shown}, and nowhere else"
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
                return {name: {key: bound}}, f"the label is known where '{name}' is {bound} or {way}"
    return None


def find_scenario(column: Counted, labels: Labels) -> str | None:
    """Why a column may be a scenario: its name says so, it has few values, and two or more have enough rows."""
    if not column.single or not is_scenario(column.name) or not 2 <= len(column.counts) <= SCENARIOS:
        return None
    cell = column.cells
    enough = np.append(column.counts >= SHARE * column.rows, False)
    for label in labels.values():
        for wanted in (1, 0) if label.binary else ():
            enough &= np.bincount(cell[label.y == wanted], minlength=len(enough)) >= LEAST
    if enough.sum() < 2:
        return None
    name, label = next(iter(labels.items()))
    rows = ~np.isnan(label.y)
    sums, each = (np.bincount(cell[rows], by, len(enough)) for by in (label.y[rows], None))
    mean = (sums / np.maximum(each, 1))[enough]
    low, high = (f"{value:.1%}" if label.binary else f"{value:.4g}" for value in (mean.min(), mean.max()))
    return (
        f"{int(enough.sum())} of its {len(column.counts)} values have {SHARE:.0%} of the rows or more, and "
        f"'{name}' is {low} to {high} there"
    )


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
    for task, label in labels.items():
        without, happened = label.y == 0, label.y == 1
        enough = min(int(without.sum()), int(something[happened].sum())) >= LEAST
        if label.binary and enough and not something[without].any():
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


def _history(columns: Sequence[ColumnDraft], labels: Labels, wish: Wish, rows: int) -> Iterator[Proposal]:
    """Inputs of earlier rows: requests must then bring them, so nobody gets them unasked."""
    by_name = {column.name: column for column in columns}
    if wish.group is None or wish.time is None or not all(map(is_number, by_name[wish.time].examples)):
        return
    if by_name[wish.group].role == "left out":  # nothing recurs later
        return
    each = rows / max(1, by_name[wish.group].distinct)
    plain = (
        column for column in columns if column.role == "input" and column.finding.option == {"kind": "categorical"}
    )
    categories = sorted((column for column in plain if column.name != wish.group), key=lambda column: -column.distinct)
    same = [column.input for column in categories if column.distinct <= 100 * each]
    actions = [name for name, label in labels.items() if label.binary]
    why = (
        f"A value of {toml(wish.group)} has {each:.1f} of the rows inspected. What its earlier rows say often tells "
        "most: uncomment this for counts, rates and times since by action (docs/cards.md). Rows to be scored then "
        "bring them, or `seesaw history` does. Labels count as known before the next row: if yours come later, say in "
        "label_delay how much, or the test will be too good."
    )
    yield Proposal("history", {"time": wish.time, "actions": actions, "same": same[:2]}, why)
