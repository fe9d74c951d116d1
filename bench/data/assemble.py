"""From a reader's parts to rows: labels read, exact duplicates dropped, side tables joined, rows assigned to splits.

What is held from part to part: the side tables, the distinct groups, a fingerprint of each row where duplicates are
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.checks import Labels, Rejects, Sieve, check_times, checked, read_labels
from bench.data.codes import ABSENT, Codes, TextCodes
from bench.data.duplicates import RowSet
from bench.data.readers.base import RawTable, SideTable
from bench.data.sources import Join
from bench.data.splits import TRAIN, VALID, Assignment, HashSplit, SplitInput, ValidOfTrain, halved
from bench.data.values import Text, as_numbers, as_text
from bench.data.weights import Weights, read_weights, undo_rates, weight_columns
from bench.errors import UserError, unknown
from bench.progress import Progress


class Numbering:
    """The values of a raw column, numbered as they first appear."""

    def __init__(self, column: str, missing: Collection[str]) -> None:
        self.column, self.missing, self.values = column, missing, TextCodes()

    def take(self, table: Any) -> Codes:
        """(n,) the number of each row's value, -1 where it is missing."""
        return self.values.code_column(table[self.column], self.missing)


class Assigner:
    """Assigns rows by the card's split and halves its validation, as if it saw all rows at once.

    Attributes:
        rows: assigned so far.
    """

    def __init__(self, card: Card, groups: Numbering | None) -> None:
        self.card, self.rows = card, 0
        hashed = card.split.column if isinstance(card.split, HashSplit) else None
        self._hashed = None if hashed is None else Numbering(hashed, card.missing)
        self._groups = groups
        self._units = groups if card.split_by_group else self._hashed
        self._together = groups or self._hashed  # what halving leaves on one side
        self._split = np.empty(0, np.int8)  # of each unit
        self._half = np.empty(0, np.int8)  # of each of what stays together, were it in validation

    def assign(self, file: int, table: Any, group: Codes, time: NDArray[np.float64] | Text | None) -> Assignment:
        """(n,) the split of each row of a part.

        Args:
            file: index of the rows' file.
            group: (n,) the number of each row's group, -1 for none.
        """
        files = np.full(table.num_rows, file, np.int16)
        none = Text(np.full(table.num_rows, ABSENT, np.int32), ())
        column = none if self._hashed else None
        if column is None and self.card.split_column is not None:
            column = as_text(table[self.card.split_column], self.card.missing)
        value = self._hashed.take(table) if self._hashed else group
        rows = self._input(files, time, none, column)
        split = self.card.split.assign(rows)
        if self._units is not None:
            unit = value if self._units is self._hashed else group
            self._split = self._known(self._split, self._units, self._drawn)
            drawn = unit >= 0
            if isinstance(self.card.split, ValidOfTrain):  # only train's rows are drawn for
                drawn &= (split == TRAIN) | (split == VALID)
            split[drawn] = self._split[unit[drawn]]
        of_valid = split == VALID
        apart = of_valid
        if self._together is not None:
            unit = group if self._groups else value
            self._half = self._known(self._half, self._together, self._halved)
            kept, apart = of_valid & (unit >= 0), of_valid & (unit < 0)
        if apart.any():  # these are drawn for one by one
            split[apart] = halved(split, rows, None)[apart]
        if self._together is not None:
            split[kept] = self._half[unit[kept]]
        self.rows += table.num_rows
        return split

    def _known(self, known: Assignment, units: Numbering, draw: Callable[[SplitInput, Text], Assignment]) -> Assignment:
        """What is drawn for each unit, after those that are new were drawn for."""
        first, names = len(known), units.values
        if len(names) == first:
            return known
        new = Text(np.arange(len(names) - first, dtype=np.int32), tuple(names.texts(range(first, len(names)))))
        files = np.zeros(len(new.codes), np.int16)
        return np.append(known, draw(self._input(files, None, new, new), new))

    def _drawn(self, rows: SplitInput, new: Text) -> Assignment:
        rule = self.card.split
        if isinstance(rule, ValidOfTrain):
            return rule.carve(np.full(len(new.codes), TRAIN, np.int8), rows)
        return rule.assign(rows)

    def _halved(self, rows: SplitInput, new: Text) -> Assignment:
        return halved(np.full(len(new.codes), VALID, np.int8), rows, new)

    def _input(self, files: NDArray[np.int16], time: Any, group: Text, column: Text | None) -> SplitInput:
        return SplitInput(self.card.row_files, files, time, group, column, self.rows)


@dataclass(frozen=True)
class Rows:
    """Rows of a data set, still raw.

    Attributes:
        table: n rows of raw columns.
        labels: (n, T).
        group: (n,), numbered as groups first appear; -1 where there is none.
        split: (n,), index into `SPLITS`, -1 for none.
        weights: (n, 0 to 2), see `bench.data.weights`.
        bounds: (n, T), the most that each label can be; None where no task is censored.
    """

    table: Any
    labels: Labels
    group: NDArray[np.int32]
    split: Assignment
    weights: Weights
    bounds: Labels | None = None


def _kept(rows: NDArray[np.bool_], table: Any, labels: Labels, weights: Weights) -> tuple[Any, Labels, Weights]:
    return table.filter(pa.array(rows)), labels[rows], weights[rows]


class Assembler:
    """Takes the parts of a card's files, in order.

    Attributes:
        duplicates: rows dropped because an equal one came before.
        outside: rows that fall into no split, `untimed` of them because they have no time.
        times: the smallest and largest time seen, where times are numbers.
    """

    def __init__(self, card: Card, sides: Sequence[tuple[Join, RawTable]], rejects: Rejects) -> None:
        """Takes in the side tables.

        Raises:
            UserError: a side table without its key, or with one twice.
        """
        self.card, self.rejects = card, rejects
        self.sides = [SideTable(raw, join.on, card.missing) for join, raw in sides]
        self.duplicates = self.outside = self.untimed = 0
        self.times = (np.inf, -np.inf)
        self._seen = RowSet() if card.reader.drop_duplicates else None
        self._groups = None if card.group is None else Numbering(card.group, card.missing)
        self._assigner = Assigner(card, self._groups)

    def take(self, raw: RawTable) -> Rows:
        """The rows of the next part.

        Raises:
            UserError: a raw column that the file lacks, or a bad row where these are not dropped.
        """
        card, missing = self.card, self.card.missing
        self._check_columns(raw)
        for reason, sentence in raw.bad:
            self.rejects.refuse(reason, sentence)
        self.rejects.unpaired += raw.unpaired
        sieve = Sieve(self.rejects, raw.place, raw.table.num_rows)
        table = checked(raw.table, card.raw_columns, missing, sieve, card.vectors)
        if card.time is not None and card.textual_time:
            check_times(table[card.time], card.time, card.split_times, missing, sieve)
        labels = read_labels(table, card.task_rules, missing, sieve)
        weights = read_weights(table, card.weight, card.sampling, labels[:, card.thinned], missing, sieve)
        if sieve.bad.any():
            table, labels, weights = _kept(~sieve.bad, table, labels, weights)
        if self._seen is not None:
            new = self._seen.new(table)
            self.duplicates += int((~new).sum())
            table, labels, weights = _kept(new, table, labels, weights)
        for side in self.sides:
            table = side.beside(table, side.rows(table))
        table = table.select(list(card.raw_columns))
        for at, rule in enumerate(card.task_rules):
            if rule.where:
                labels[~rule.counts(table, missing), at] = np.nan
        undo_rates(weights, labels[:, card.thinned])
        bounds = None
        if any(rule.censored for rule in card.task_rules):
            bounds = np.stack([rule.bounds(table, missing) for rule in card.task_rules], axis=1)
            labels = np.where(labels > bounds, bounds, labels)

        none = np.full(len(labels), -1, np.int32)
        group = none if self._groups is None else self._groups.take(table)
        time = self._time(table)
        split = self._assigner.assign(card.row_files.index(raw.file), table, group, time)
        self.outside += int((split < 0).sum())
        if time is not None:
            self.untimed += int((time.codes < 0).sum() if isinstance(time, Text) else np.isnan(time).sum())
        return Rows(table, labels, group, split, weights, bounds)

    @property
    def rows(self) -> int:
        """That were kept so far."""
        return self._assigner.rows

    def note(self, progress: Progress) -> None:
        """Tells the user what is left out."""
        self.rejects.note(self.card.key, progress)
        if self.duplicates:
            progress.note(f"{self.card.key}: dropped {self.duplicates:,} rows that are equal to an earlier one")
        if self.outside:
            untimed = f", {self.untimed:,} of them because '{self.card.time}' is empty" if self.untimed else ""
            progress.note(f"{self.card.key}: left out {self.outside:,} rows that fall into no split{untimed}")

    def empty_reason(self) -> str:
        """Why a split may have no rows."""
        if self.times[0] <= self.times[1]:
            low, high = self.times
            return f"'{self.card.time}' runs from {low:.0f} to {high:.0f} in {', '.join(self.card.row_files)}"
        return "no row falls into it"

    def _check_columns(self, raw: RawTable) -> None:
        own = set(raw.table.column_names)
        where = raw.file if raw.table.num_rows else raw.place(0)  # readers begin each file with a part without rows
        known = own.union(*(side.names for side in self.sides))
        for column in self.card.raw_columns:
            if column not in known:
                raise UserError(f"{where}: {unknown('raw column', column, known)}")
        for rule in self.card.task_rules:
            for column in rule.sources:
                if column not in own:
                    raise UserError(f"{where}: {unknown('label column', column, own)}")
        for column, key in weight_columns(self.card.weight, self.card.sampling):
            if column not in own:
                raise UserError(f"{where}: {key}: {unknown('column beside the labels', column, own)}")

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
