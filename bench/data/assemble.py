"""From a reader's parts to rows: labels read, exact duplicates dropped, side tables joined, rows assigned to splits.

What is held from part to part: the side tables, the distinct groups, a fingerprint of each row where duplicates are
dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.checks import check_times, checked
from bench.data.dealing import Dealer, Numbering
from bench.data.duplicates import RowSet
from bench.data.labels import Labels, read_labels
from bench.data.reader_config import Join, SyntheticReader
from bench.data.readers.base import RawTable
from bench.data.readers.sides import SideTable
from bench.data.rejects import Rejects, Sieve
from bench.data.splits import Assignment
from bench.data.values import Text, as_numbers, as_text
from bench.errors import UserError, unknown
from bench.progress import Progress


@dataclass(frozen=True)
class Rows:
    """Rows of a data set, still raw.

    Attributes:
        table: n rows of raw columns.
        labels: (n, T).
        group: (n,), numbered as groups first appear; -1 where there is none.
        split: (n,), index into `SPLITS`, -1 for none.
    """

    table: Any
    labels: Labels
    group: NDArray[np.int32]
    split: Assignment


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
        drop_duplicates = not isinstance(card.reader, SyntheticReader) and card.reader.drop_duplicates
        self._seen = RowSet() if drop_duplicates else None
        self._groups = None if card.group is None else Numbering(card.group, card.missing)
        self._dealer = Dealer(card, self._groups)

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
        labels = read_labels(RawTable(raw.file, table, raw.place), card.task_rules, missing, sieve)
        if sieve.bad.any():
            table, labels = table.filter(pa.array(~sieve.bad)), labels[~sieve.bad]
        if self._seen is not None:
            new = self._seen.new(table)
            self.duplicates += int((~new).sum())
            table, labels = table.filter(pa.array(new)), labels[new]
        for side in self.sides:
            table = side.beside(table, side.rows(table))
        table = table.select(list(card.raw_columns))

        none = np.full(len(labels), -1, np.int32)
        group = none if self._groups is None else self._groups.take(table)
        time = self._time(table)
        split = self._dealer.deal(card.row_files.index(raw.file), table, group, time)
        self.outside += int((split < 0).sum())
        if time is not None:
            self.untimed += int((time.codes < 0).sum() if isinstance(time, Text) else np.isnan(time).sum())
        return Rows(table, labels, group, split)

    @property
    def rows(self) -> int:
        """That were kept so far."""
        return self._dealer.rows

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
