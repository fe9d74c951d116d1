"""From a reader's parts to rows: labels read, exact duplicates dropped, side tables joined, rows
assigned to splits.

What is held from part to part: the side tables, the distinct groups and their draws, a fingerprint
of each row where duplicates are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from bench.core.arrays import Floats, Ids, Mask
from bench.core.errors import UserError, unknown
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.checks import LabelArray, Rejects, Sieve, check_times, checked, read_labels
from bench.data.codes import RowSet, TextCodes
from bench.data.readers.base import RawTable, SideTable
from bench.data.sources import Join
from bench.data.splits import TEST, Assignment, CutSplit, GroupDraws, HashSplit, SplitInput, halved
from bench.data.values import Text, as_numbers, as_text, hours
from bench.data.weights import Weights, read_weights, undo_rates, weight_columns


@dataclass(frozen=True)
class AssembledRows:
    """n rows of a data set, their columns still raw."""

    table: pa.Table
    labels: LabelArray
    """(n, T)."""
    group: Ids
    """(n,), numbered as groups first appear; -1 where there is none."""
    split: Assignment
    weights: Weights
    bounds: LabelArray | None = None
    """(n, T), the most that each label can be; None where no task is censored."""
    units: Ids | None = None
    """(n,), numbered as units first appear; -1 for a row alone. None where the card has none."""


def with_groups(unit: Text, group: Text | None) -> Text:
    """The unit of each row; of a row without one its group, after a mark that no unit has. By first
    appearance.
    """
    has_unit = unit.codes >= 0
    if group is None or has_unit.all():
        return unit
    group_codes = np.where(group.codes >= 0, group.codes + len(unit.values), -1)
    codes = np.where(has_unit, unit.codes, group_codes).astype(np.int32)
    values = [*unit.values, *(f"\0{value}" for value in group.values)]

    present = codes >= 0
    distinct, first_rows, places = np.unique(codes[present], return_index=True, return_inverse=True)
    by_appearance = np.argsort(first_rows)
    codes[present] = np.argsort(by_appearance)[places]
    return Text(codes, tuple(values[code] for code in distinct[by_appearance]))


class WholeGroups:
    """Tells whether all rows of a group are of one unit; takes rows part by part."""

    def __init__(self) -> None:
        self._unit_of_group: Ids = np.empty(0, np.int32)

    def parted(self, group: Ids, unit: Ids) -> int | None:
        """The first row of a part (n,) whose group has had another unit; None where there is
        none.
        """
        rows = np.flatnonzero(group >= 0)
        group, unit = group[rows], unit[rows]
        new_groups = max(0, 1 + int(group.max(initial=-1)) - len(self._unit_of_group))
        unit_of_group = np.append(self._unit_of_group, np.full(new_groups, -2, np.int32))
        distinct, first_rows = np.unique(group, return_index=True)
        is_new = unit_of_group[distinct] == -2
        unit_of_group[distinct[is_new]] = unit[first_rows[is_new]]
        self._unit_of_group = unit_of_group
        parted = rows[unit_of_group[group] != unit]
        return int(parted[0]) if len(parted) else None


@dataclass(frozen=True)
class _LabelledRows:
    table: pa.Table
    labels: LabelArray
    weights: Weights

    def where(self, rows: Mask) -> _LabelledRows:
        table = self.table.filter(pa.array(rows))
        return _LabelledRows(table, self.labels[rows], self.weights[rows])


@dataclass(frozen=True)
class _Groups:
    """Groups and units of n rows."""

    group: Text | None
    group_numbers: Ids
    """(n,) over all parts, -1 where there is none."""
    together: Text | None
    """Whose rows a split by group keeps together: units, by default groups."""
    together_numbers: Ids
    """The number over all parts of each value of `together`."""
    unit_numbers: Ids | None
    """(n,) over all parts, -1 where there is none; None where the card has no units."""


class Assembler:
    """Takes the parts of a card's files, in order."""

    def __init__(self, card: Card, sides: Sequence[tuple[Join, RawTable]]) -> None:
        self.card, self._wanted = card, card.raw_columns
        self.rejects = Rejects(card.reader.drops, card.reader.bad_row_limit)
        self.sides = [SideTable(raw, join.on, card.missing) for join, raw in sides]
        self.rows = 0
        """Rows that were kept so far."""
        self.duplicates = 0
        """Rows dropped because an equal one came before."""
        self.outside = 0
        """Rows that fall into no split."""
        self.untimed = 0
        """Rows that have no time."""
        self.first_time, self.last_time = np.inf, -np.inf
        """Of all rows so far, where times are numbers."""
        self.unknown_labels = dict[str, int]()
        """By task, rows whose label is not known yet."""
        self._earlier_rows = RowSet() if card.reader.drop_duplicates else None
        self._group_codes, self._unit_codes = TextCodes(), TextCodes()
        self._whole_groups = WholeGroups()
        self._draws = GroupDraws()
        self._begun_files, self._file_columns = set[str](), set[str]()

    def take(self, raw: RawTable) -> AssembledRows:
        """The rows of the next part; raises UserError for an absent raw column, or a bad row unless
        dropped.
        """
        rows = self._without_duplicates(self._labelled(raw))
        table, labels, weights = self._with_sides(rows.table), rows.labels, rows.weights
        for task, rule in enumerate(self.card.task_rules):
            if rule.where:
                labels[~rule.counts(table, self.card.missing), task] = np.nan
        bounds = self._bounds(table)
        if bounds is not None:
            labels = np.where(labels > bounds, bounds, labels)

        groups, time = self._groups(table), self._time(table)
        split = self._split(raw.file, table, groups, time)
        self._drop_unknown_labels(table, labels, split)
        undo_rates(weights, labels[:, self.card.thinned_task])

        self.outside += int((split < 0).sum())
        if time is not None:
            untimed = time.codes < 0 if isinstance(time, Text) else np.isnan(time)
            self.untimed += int(untimed.sum())
        self.rows += len(labels)
        return AssembledRows(
            table, labels, groups.group_numbers, split, weights, bounds, groups.unit_numbers
        )

    def _labelled(self, raw: RawTable) -> _LabelledRows:
        """The rows of a part that are not bad."""
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
        thinned_label = labels[:, card.thinned_task]
        weights = read_weights(table, card.weight, card.sampling, thinned_label, missing, sieve)
        rows = _LabelledRows(table, labels, weights)
        return rows.where(~sieve.bad) if sieve.bad.any() else rows

    def _without_duplicates(self, rows: _LabelledRows) -> _LabelledRows:
        if self._earlier_rows is None:
            return rows
        new = self._earlier_rows.new(rows.table)
        self.duplicates += int((~new).sum())
        return rows.where(new)

    def _with_sides(self, table: pa.Table) -> pa.Table:
        for side in self.sides:
            table = side.beside(table, side.rows(table))
        return table.select(list(self._wanted))

    def _bounds(self, table: pa.Table) -> LabelArray | None:
        rules = self.card.task_rules
        if not any(rule.censored for rule in rules):
            return None
        return np.stack([rule.bounds(table, self.card.missing) for rule in rules], axis=1)

    def _groups(self, table: pa.Table) -> _Groups:
        group, units = self._text(table, self.card.group), self._text(table, self.card.units)
        if group is None:
            group_numbers = np.full(table.num_rows, -1, np.int32)
            value_numbers = np.empty(0, np.int32)
        else:
            value_numbers = _numbers_of_values(self._group_codes, group)
            group_numbers = _by_row(value_numbers, group)
        if units is None:
            return _Groups(group, group_numbers, group, value_numbers, None)

        together = with_groups(units, group)
        value_numbers = _numbers_of_values(self._unit_codes, together)
        unit_numbers = _by_row(value_numbers, together)
        parted = self._whole_groups.parted(group_numbers, unit_numbers)
        if parted is not None:
            name = self._group_codes.texts([group_numbers[parted]])[0]
            raise UserError(
                f"{self.card.key}: units: expected all rows of one '{self.card.group}' to have one "
                f"'{self.card.units}', found {name!r} with two of them"
            )
        return _Groups(group, group_numbers, together, value_numbers, unit_numbers)

    def _split(
        self, file: str, table: pa.Table, groups: _Groups, time: Floats | Text | None
    ) -> Assignment:
        """(n,) the split of each row of a part: by the card's rule, with validation halved."""
        card, together = self.card, groups.together
        file_index = np.full(table.num_rows, card.row_files.index(file), np.int16)
        if isinstance(card.split_rule, HashSplit) and card.split_by_group:
            column = together
        else:
            column = self._text(table, card.split_column)
        draws = None
        if together is not None:
            draws = partial(self._draws.draw, together.values, groups.together_numbers)
        rows = SplitInput(card.row_files, file_index, time, together, column, self.rows, draws)

        rule = card.split
        split = rule.assign(rows)
        if isinstance(rule, CutSplit) and rule.known_before is not None:
            return split
        halves = together
        if halves is None and isinstance(rule, HashSplit):
            halves = column
        return halved(split, rows, halves)

    def _drop_unknown_labels(self, table: pa.Table, labels: LabelArray, split: Assignment) -> None:
        """Takes labels away that are not known yet: by the card's `as_of`, and before a cut by the
        cut's time.
        """
        card, rule = self.card, self.card.split
        if card.as_of is None or card.time is None:
            return
        log_written = hours(card.as_of)
        as_of = np.full(len(labels), log_written)
        if isinstance(rule, CutSplit) and len(as_of):
            as_of[split != TEST] = min(log_written, hours(rule.first))

        tasks = {task.name: index for index, task in enumerate(card.task_rules)}
        for index, task in enumerate(card.task_rules):
            if task.matures is None:
                continue
            label_known = task.known(table, card.time, as_of, card.missing)
            if task.parent is not None:
                # Where its parent did not happen, it surely did not.
                without_parent = labels[:, tasks[task.parent]] == 0
                unlabelled = np.isnan(labels[:, index])
                labels[label_known & without_parent & unlabelled, index] = 0.0
            unknown_labels = int((~label_known & (split >= 0)).sum())
            self.unknown_labels[task.name] = self.unknown_labels.get(task.name, 0) + unknown_labels
            labels[~label_known, index] = np.nan

    def _text(self, table: pa.Table, column: str | None) -> Text | None:
        return None if column is None else as_text(table[column], self.card.missing)

    def _time(self, table: pa.Table) -> Floats | Text | None:
        """(n,) times by which the split goes; None where it does not go by time."""
        card = self.card
        if card.time is None or not card.split_times:
            return None
        if card.textual_time:
            return as_text(table[card.time], card.missing)
        time = as_numbers(table[card.time], card.missing, card.time)
        finite = time[np.isfinite(time)]
        self.first_time = min(self.first_time, finite.min(initial=np.inf))
        self.last_time = max(self.last_time, finite.max(initial=-np.inf))
        return time

    def check(self) -> None:
        """Raises UserError where more rows were dropped as bad than the card allows."""
        self.rejects.check(self.card.key, self.rows + self.duplicates)

    def note(self, progress: Progress) -> None:
        """Tells the user what is left out."""
        key = self.card.key
        self.rejects.note(key, progress)
        if self.duplicates:
            progress.note(
                f"{key}: dropped {self.duplicates:,} rows that are equal to an earlier one"
            )
        if self.outside:
            untimed = ""
            if self.untimed:
                untimed = f", {self.untimed:,} of them because '{self.card.time}' is empty"
            progress.note(f"{key}: left out {self.outside:,} rows that fall into no split{untimed}")
        for task, labels in self.unknown_labels.items():
            progress.note(
                f"{key}: {labels:,} labels of '{task}' are not known yet, and do not count"
            )

    def empty_reason(self) -> str:
        """Why a split may have no rows."""
        if self.first_time <= self.last_time:
            return (
                f"'{self.card.time}' runs from {self.first_time:.0f} to {self.last_time:.0f} in "
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
        self._begun_files.add(raw.file)
        self._file_columns.update(raw.columns)
        if not self._begun_files.issuperset(self.card.row_files):
            return
        for column in self.card.post_exposure:
            if column not in self._file_columns:
                error = unknown("raw column", column, self._file_columns)
                raise UserError(f"{raw.place(0)}: post_exposure: {error}")

    def _check_columns(self, raw: RawTable) -> None:
        read = set(raw.table.column_names)
        in_file = read.union(raw.columns)
        readable = read.union(*(side.columns for side in self.sides))
        # Readers begin each file with a part without rows.
        where = raw.file if raw.table.num_rows else raw.place(0)
        for column in self._wanted:
            if column not in readable:
                raise UserError(f"{where}: {unknown('raw column', column, readable | in_file)}")
        for rule in self.card.task_rules:
            for column in rule.sources:
                if column not in read:
                    raise UserError(f"{where}: {unknown('label column', column, in_file)}")
        for column, key in weight_columns(self.card.weight, self.card.sampling):
            if column not in read:
                error = unknown("column beside the labels", column, in_file)
                raise UserError(f"{where}: {key}: {error}")


def _numbers_of_values(codes: TextCodes, text: Text) -> Ids:
    return codes.code(pa.array(text.values, pa.string()))


def _by_row(value_numbers: Ids, text: Text) -> Ids:
    """(n,) the number of each row's value; -1 where missing."""
    return np.append(value_numbers, np.int32(-1))[text.codes]
