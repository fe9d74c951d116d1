"""From a reader's parts to rows: labels read, exact duplicates dropped, side tables joined, rows
assigned to splits.

What is held from part to part: the side tables, the distinct groups and their draws, a fingerprint
of each row where duplicates are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.errors import UserError, unknown
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.checks import LabelArray, Rejects, Sieve, check_times, checked, read_labels
from bench.data.codes import TextCodes
from bench.data.duplicates import RowSet
from bench.data.readers.base import RawTable, SideTable
from bench.data.sources import Join
from bench.data.splits import TEST, Assignment, CutSplit, GroupDraws, HashSplit, SplitInput, halved
from bench.data.times import hours
from bench.data.values import Text, as_numbers, as_text
from bench.data.weights import Weights, read_weights, undo_rates, weight_columns


@dataclass(frozen=True)
class AssembledRows:
    """n rows of a data set, their columns still raw."""

    table: Any
    labels: LabelArray
    """(n, T)."""
    group: NDArray[np.int32]
    """(n,), numbered as groups first appear; -1 where there is none."""
    split: Assignment
    weights: Weights
    bounds: LabelArray | None = None
    """(n, T), the most that each label can be; None where no task is censored."""
    units: NDArray[np.int32] | None = None
    """(n,), numbered as units first appear; -1 for a row alone. None where the card has none."""


def with_groups(unit: Text, group: Text | None) -> Text:
    """The unit of each row; of a row without one its group, after a mark that no unit has. By first
    appearance.
    """
    if group is None or (unit.codes >= 0).all():
        return unit
    of_group = np.where(group.codes >= 0, group.codes + len(unit.values), -1)
    codes = np.where(unit.codes >= 0, unit.codes, of_group).astype(np.int32)
    known, values = codes >= 0, (*unit.values, *(f"\0{value}" for value in group.values))
    distinct, first, place = np.unique(codes[known], return_index=True, return_inverse=True)
    order = np.argsort(first)
    codes[known] = np.argsort(order)[place]
    return Text(codes, tuple(values[at] for at in distinct[order]))


class WholeGroups:
    """Tells whether all rows of a group are of one unit; takes rows part by part."""

    def __init__(self) -> None:
        self._unit_of: NDArray[np.int32] = np.empty(0, np.int32)

    def parted(self, group: NDArray[np.int32], unit: NDArray[np.int32]) -> int | None:
        """The first row of a part (n,) whose group has had another unit; None where there is
        none.
        """
        rows = np.flatnonzero(group >= 0)
        group, unit = group[rows], unit[rows]
        new = max(0, 1 + int(group.max(initial=-1)) - len(self._unit_of))
        known = self._unit_of = np.append(self._unit_of, np.full(new, -2, np.int32))
        distinct, first = np.unique(group, return_index=True)
        known[distinct] = np.where(known[distinct] == -2, unit[first], known[distinct])
        apart = rows[known[group] != unit]
        return int(apart[0]) if len(apart) else None


def _kept(
    rows: NDArray[np.bool_], table: Any, labels: LabelArray, weights: Weights
) -> tuple[Any, LabelArray, Weights]:
    return table.filter(pa.array(rows)), labels[rows], weights[rows]


class Assembler:
    """Takes the parts of a card's files, in order.

    Attributes:
        rows: that were kept so far.
        duplicates: rows dropped because an equal one came before.
        outside: rows that fall into no split, `untimed` of them because they have no time.
        times: the smallest and largest time seen, where times are numbers.
        open: by task, rows whose label is not known yet.
    """

    def __init__(self, card: Card, sides: Sequence[tuple[Join, RawTable]]) -> None:
        self.card, self._wanted = card, card.raw_columns
        self.rejects = Rejects(card.reader.drops, card.reader.bad_row_limit)
        self.sides = [SideTable(raw, join.on, card.missing) for join, raw in sides]
        self.rows = self.duplicates = self.outside = self.untimed = 0
        self.times = (np.inf, -np.inf)
        self.open = dict[str, int]()
        self._seen = RowSet() if card.reader.drop_duplicates else None
        self._groups, self._units, self._whole, self._draws = (
            TextCodes(),
            TextCodes(),
            WholeGroups(),
            GroupDraws(),
        )
        self._begun, self._there = set[str](), set[str]()

    def take(self, raw: RawTable) -> AssembledRows:
        """The rows of the next part; raises UserError for an absent raw column, or a bad row unless
        dropped.
        """
        card, missing = self.card, self.card.missing
        self._check_columns(raw)
        for reason, sentence in raw.bad:
            self.rejects.refuse(reason, sentence)
        self.rejects.unpaired += raw.unpaired
        sieve = Sieve(self.rejects, raw.place, raw.table.num_rows)
        table = checked(raw.table, self._wanted, missing, sieve, card.checks)
        if card.time is not None and card.textual_time:
            check_times(table[card.time], card.time, card.split_times, missing, sieve)
        labels = read_labels(table, card.task_rules, missing, sieve)
        weights = read_weights(
            table, card.weight, card.sampling, labels[:, card.thinned], missing, sieve
        )
        if sieve.bad.any():
            table, labels, weights = _kept(~sieve.bad, table, labels, weights)
        if self._seen is not None:
            new = self._seen.new(table)
            self.duplicates += int((~new).sum())
            table, labels, weights = _kept(new, table, labels, weights)
        for side in self.sides:
            table = side.beside(table, side.rows(table))
        table = table.select(list(self._wanted))
        for at, rule in enumerate(card.task_rules):
            if rule.where:
                labels[~rule.counts(table, missing), at] = np.nan
        bounds = None
        if any(rule.censored for rule in card.task_rules):
            bounds = np.stack([rule.bounds(table, missing) for rule in card.task_rules], axis=1)
            labels = np.where(labels > bounds, bounds, labels)

        group, time = self._text(table, card.group), self._time(table)
        codes, numbers, units, together = (
            np.full(len(labels), -1, np.int32),
            np.empty(0, np.int32),
            None,
            group,
        )
        if group is not None:
            numbers = self._groups.code(pa.array(group.values, pa.string()))
            codes = np.append(numbers, np.int32(-1))[group.codes]
        if (own := self._text(table, card.units)) is not None:
            together = with_groups(own, group)
            numbers = self._units.code(pa.array(together.values, pa.string()))
            units = np.append(numbers, np.int32(-1))[together.codes]
            if (row := self._whole.parted(codes, units)) is not None:
                raise UserError(
                    f"{card.key}: units: expected all rows of one '{card.group}' to have one "
                    f"'{card.units}', found {self._groups.texts([codes[row]])[0]!r} with two of "
                    "them"
                )
        draws = None if together is None else partial(self._draws.of, together.values, numbers)
        file = np.full(table.num_rows, card.row_files.index(raw.file), np.int16)
        by_hash = isinstance(card.split_rule, HashSplit) and card.split_by_group
        column = together if by_hash else self._text(table, card.split_column)
        split = self._split(
            SplitInput(card.row_files, file, time, together, column, self.rows, draws)
        )
        self._leave_open(table, labels, split)
        undo_rates(weights, labels[:, card.thinned])
        self.outside += int((split < 0).sum())
        if time is not None:
            self.untimed += int(
                (time.codes < 0).sum() if isinstance(time, Text) else np.isnan(time).sum()
            )
        self.rows += len(labels)
        return AssembledRows(table, labels, codes, split, weights, bounds, units)

    def _leave_open(self, table: Any, labels: LabelArray, split: Assignment) -> None:
        """Takes labels away that are not known yet: by the card's `as_of`, and before a cut by the
        cut's time.
        """
        card, rule = self.card, self.card.split
        if card.as_of is None or card.time is None:
            return
        as_of = np.full(len(labels), hours(card.as_of))
        if isinstance(rule, CutSplit):
            as_of[split != TEST] = min(as_of[0], hours(rule.first)) if len(as_of) else 0.0
        for at, task in enumerate(card.task_rules):
            if task.matures is None:
                continue
            known = task.known(table, card.time, as_of, card.missing)
            if task.parent is not None:
                above = labels[:, [each.name for each in card.task_rules].index(task.parent)]
                labels[known & (above == 0) & np.isnan(labels[:, at]), at] = (
                    0.0  # it did not happen, surely
                )
            self.open[task.name] = self.open.get(task.name, 0) + int((~known & (split >= 0)).sum())
            labels[~known, at] = np.nan

    def _split(self, rows: SplitInput) -> Assignment:
        """(n,) the split of each row of a part: by the card's rule, with validation halved."""
        rule = self.card.split
        if isinstance(rule, CutSplit) and rule.known_before is not None:
            return rule.assign(rows)
        return halved(
            rule.assign(rows),
            rows,
            rows.group or (rows.column if isinstance(rule, HashSplit) else None),
        )

    def _text(self, table: Any, column: str | None) -> Text | None:
        return None if column is None else as_text(table[column], self.card.missing)

    def check(self) -> None:
        """Raises UserError where more rows were dropped as bad than the card allows."""
        self.rejects.check(self.card.key, self.rows + self.duplicates)

    def note(self, progress: Progress) -> None:
        """Tells the user what is left out."""
        self.rejects.note(self.card.key, progress)
        if self.duplicates:
            progress.note(
                f"{self.card.key}: dropped {self.duplicates:,} rows that are equal to an earlier "
                "one"
            )
        if self.outside:
            untimed = (
                f", {self.untimed:,} of them because '{self.card.time}' is empty"
                if self.untimed
                else ""
            )
            progress.note(
                f"{self.card.key}: left out {self.outside:,} rows that fall into no split{untimed}"
            )

        for task, many in self.open.items():
            progress.note(
                f"{self.card.key}: {many:,} labels of '{task}' are not known yet, and do not count"
            )

    def empty_reason(self) -> str:
        """Why a split may have no rows."""
        if self.times[0] <= self.times[1]:
            low, high = self.times
            return (
                f"'{self.card.time}' runs from {low:.0f} to {high:.0f} in "
                f"{', '.join(self.card.row_files)}"
            )
        return "no row falls into it"

    def check_post_exposure(self, raw: RawTable) -> None:
        """Refuses a name under `post_exposure` that no file has: the column that was meant may be
        an input.

        The first part of a file names its columns. Of joined files only those that are needed are
        known, so with joins nothing is checked.
        """
        if not raw.columns or self.card.reader.joins:
            return
        self._begun.add(raw.file)
        self._there.update(raw.columns)
        if self._begun.issuperset(self.card.row_files):
            for column in self.card.post_exposure:
                if column not in self._there:
                    raise UserError(
                        f"{raw.place(0)}: post_exposure: "
                        f"{unknown('raw column', column, self._there)}"
                    )

    def _check_columns(self, raw: RawTable) -> None:
        own = set(raw.table.column_names)
        there = own.union(raw.columns)
        where = (
            raw.file if raw.table.num_rows else raw.place(0)
        )  # readers begin each file with a part without rows
        known = own.union(*(side.columns for side in self.sides))
        for column in self._wanted:
            if column not in known:
                raise UserError(f"{where}: {unknown('raw column', column, known | there)}")
        for rule in self.card.task_rules:
            for column in rule.sources:
                if column not in own:
                    raise UserError(f"{where}: {unknown('label column', column, there)}")
        for column, key in weight_columns(self.card.weight, self.card.sampling):
            if column not in own:
                raise UserError(
                    f"{where}: {key}: {unknown('column beside the labels', column, there)}"
                )

    def _time(self, table: Any) -> NDArray[np.float64] | Text | None:
        card = self.card
        if card.time is None or not card.split_times:
            return None
        if card.textual_time:
            return as_text(table[card.time], card.missing)
        time = as_numbers(table[card.time], card.missing, card.time)
        if (known := time[np.isfinite(time)]).size:
            self.times = (min(self.times[0], known.min()), max(self.times[1], known.max()))
        return time
