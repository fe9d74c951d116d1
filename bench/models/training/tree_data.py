"""Training data of boosted trees: as many rows of a store as memory holds, and the columns made of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Ids
from bench.core.schema import Schema
from bench.core.system.machine import memory_limit
from bench.data.batches import Batches
from bench.data.store import StoredSplit
from bench.models.trees import is_small

MOST_TRAIN, MOST_VALID = 1_000_000, 250_000
"""Largest numbers of train rows to learn from, and of validation rows to stop by."""
A_CELL = 24
"""Bytes for each row and column while trees are trained: 4 for the column; scikit-learn adds at its
peak 11 for a number and 17 for a category, and 22 for a category in prediction."""
A_ROW = 80
"""Further bytes for each row: label, fold, gradients, predictions, index among the leaves."""
PREDICTED = 1 << 14
"""Rows of a split to predict at once, if memory allows."""
FOLDS = 5
PRIOR_ROWS = 10.0
"""Additive smoothing of a value's rate: number of rows with the overall mean that are added to its
own.
"""
PIECE = 1 << 16
"""Rows whose columns are made at once."""
TreeColumns = NDArray[np.float32]
ALL = slice(None)


@dataclass(frozen=True)
class TreeRows:
    """Rows in memory: ids (N, S) int32, dense (N, D), one task's labels (N,) without NaN, weights
    (N,) or None.
    """

    ids: NDArray[np.int32]
    dense: NDArray[np.float32]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def taken(self, rows: NDArray[np.int64]) -> TreeRows:
        """The rows with these indices."""
        weights = None if self.weights is None else self.weights[rows]
        return TreeRows(self.ids[rows], self.dense[rows], self.labels[rows], weights)


@dataclass(frozen=True)
class RowLimits:
    """Numbers of rows that fit into memory: of train and validation in training, and of a split in
    prediction.
    """

    train: int
    valid: int
    piece: int

    @classmethod
    def of(cls, split: StoredSplit, columns: int) -> RowLimits:
        """Three quarters of the memory for train's rows of that many columns, the rest for
        validation's.
        """
        slots, numbers = split.ids_of(slice(0)).shape[1], split.dense.shape[1]
        bytes_of_row = 4 * slots + 4 * numbers + columns * A_CELL + A_ROW
        rows = memory_limit() // bytes_of_row
        return cls(
            train=max(1, min(MOST_TRAIN, rows * 3 // 4)),
            valid=max(1, min(MOST_VALID, rows // 4)),
            piece=max(256, min(PREDICTED, rows // 4)),
        )


def draw(split: StoredSplit, task: int, parent: int | None, limit: int, seed: int) -> TreeRows:
    """Draws at most `limit` of the rows with a label of a task whose parent happened, in the
    split's order.

    Reads the split in pieces, twice unless all of it fits. Every subset is equally likely.
    """
    rng = np.random.default_rng(seed)
    to_come = len(split)
    if to_come > limit:
        to_come = sum(int(counts.sum()) for _, counts in _batches(split, task, parent))
    draws_all = to_come <= limit
    wanted = min(limit, to_come)

    no_labels = np.empty(0, np.float32)
    no_weights = None if split.weights is None else no_labels
    parts = [TreeRows(split.ids_of(slice(0)), split.dense[:0], no_labels, no_weights)]
    for batch, counts in _batches(split, task, parent):
        rows = np.flatnonzero(counts)
        if not draws_all:
            drawn = 0
            if wanted:
                drawn = int(rng.hypergeometric(len(rows), to_come - len(rows), wanted))
            to_come -= len(rows)
            wanted -= drawn
            rows = np.sort(rng.choice(rows, drawn, replace=False))
        parts.append(batch.taken(rows))
    return _joined(parts)


def _joined(parts: Sequence[TreeRows]) -> TreeRows:
    ids = np.concatenate([part.ids for part in parts])
    dense = np.concatenate([part.dense for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    weights = [part.weights for part in parts if part.weights is not None]
    return TreeRows(ids, dense, labels, np.concatenate(weights) if weights else None)


def _batches(
    split: StoredSplit, task: int, parent: int | None
) -> Iterator[tuple[TreeRows, NDArray[np.bool_]]]:
    """Yields rows with all labels of the task, and which of them count."""
    for batch in Batches(split).in_order(PREDICTED):
        labels = batch.labels.numpy()
        counts = ~np.isnan(labels[:, task])
        if parent is not None:
            counts &= labels[:, parent] == 1
        weights = None
        if batch.weights is not None:
            weights = batch.weights.numpy().prod(axis=1)
            counts &= weights > 0
        yield TreeRows(batch.ids.numpy(), batch.dense.numpy(), labels[:, task], weights), counts


def width(schema: Schema) -> int:
    """F, the number of columns."""
    columns = len(schema.dense)
    for field in schema.without_ranges.fields:
        columns += 1 if is_small(field.slots, field.cardinality) else 2
    return columns


@dataclass(frozen=True)
class FieldValues:
    """Values of one field.

    Attributes:
        column: the first of its one or two columns.
        ids: (N, slots), rows of the embedding table, 0 for no value.
        offset: its first row of the table.
        cardinality: its number of rows.
    """

    column: int
    ids: Ids
    offset: int
    cardinality: int

    @property
    def is_small(self) -> bool:
        """Whether it is one column, split by category."""
        return is_small(self.ids.shape[1], self.cardinality)

    @property
    def categories(self) -> Ids:
        """(N,), the values of a small field from 0 on."""
        return np.asarray(np.maximum(self.ids[:, 0] - self.offset, 0))

    def values(self, rows: slice = ALL) -> tuple[NDArray[np.bool_], Ids]:
        """Which slots have a value, and the values from 0 on, 0 where there is none; (n, slots)."""
        ids = self.ids[rows]
        present = ids > 0
        return present, np.where(present, ids - self.offset, 0)


class RateTable(NamedTuple):
    """Rates and logarithms of 1 + counts of a field's values, (cardinality,)."""

    rates: TreeColumns
    frequencies: TreeColumns


class TreeFeatures:
    """Columns of trees: dense ones and small fields unchanged, and target rates of each large or
    multi-valued field.

    Ranges of numbers are left out, as trees split numbers. A value's rate is its mean label on
    train; its frequency is another column. A train row's own label must not be in its rate, or
    trees memorise labels: train is divided into folds, and a row has the rates of the other folds.
    A row of several values has their mean. Built by `learn`.

    Attributes:
        mean: mean label, used for a row without values.
        tables: of each field; None for an unchanged field.
    """

    def __init__(self, schema: Schema, mean: float) -> None:
        self._schema = schema.without_ranges
        self.mean = mean
        self.tables: list[RateTable | None] = []

    @classmethod
    def learn(
        cls,
        schema: Schema,
        ids: Ids,
        dense: TreeColumns,
        labels: NDArray[np.float32],
        seed: int,
        weights: NDArray[np.float32] | None = None,
    ) -> tuple[TreeFeatures, TreeColumns]:
        """Returns a task's columns, and their values (N, F) on train rows: ids (N, S), dense (N,
        D), labels (N,) without NaN.

        The seed draws the folds; `weights` (N,) count the rows that a row stands for, None for one
        each.
        """
        if weights is None:
            mean = labels.mean(dtype=np.float64)
        else:
            mean = np.average(labels.astype(float), weights=weights)
        features = cls(schema, float(mean))
        fold = np.random.default_rng(seed).integers(FOLDS, size=len(ids), dtype=np.uint8)

        columns = np.empty((len(ids), width(schema)), np.float32)
        columns[:, : dense.shape[1]] = dense
        for field in features._fields(ids):
            if field.is_small:
                features.tables.append(None)
                columns[:, field.column] = field.categories
            else:
                of_field = columns[:, field.column : field.column + 2]
                features._learn_rates(field, labels, weights, fold, of_field)
        return features, columns

    def _learn_rates(
        self,
        field: FieldValues,
        labels: NDArray[np.float32],
        weights: NDArray[np.float32] | None,
        fold: NDArray[np.uint8],
        columns: TreeColumns,
    ) -> None:
        """Learns the rates of a field, and fills its columns (N, 2) on train."""
        label_sums, counts = _by_value_and_fold(field, labels, weights, fold)
        all_label_sums, all_counts = label_sums.sum(1), counts.sum(1)

        for rows in _pieces(len(labels)):
            present, value = field.values(rows)
            own_fold = fold[rows, None]
            count = all_counts[value] - counts[value, own_fold]
            rate = self._rate(all_label_sums[value] - label_sums[value, own_fold], count)
            columns[rows] = self._means(present, rate, np.log1p(count))

        rates = self._rate(all_label_sums, all_counts).astype(np.float32)
        self.tables.append(RateTable(rates, np.log1p(all_counts).astype(np.float32)))

    def _fields(self, ids: Ids) -> Iterator[FieldValues]:
        """Trees see no position, since it is known in training alone."""
        column, slot = len(self._schema.dense), 0
        for field, offset in zip(self._schema.fields, self._schema.offsets, strict=True):
            field_ids = ids[:, slot : slot + field.slots]
            if field.name == self._schema.position:
                field_ids = np.zeros_like(field_ids)
            values = FieldValues(column, field_ids, offset, field.cardinality)
            yield values
            column += 1 if values.is_small else 2
            slot += field.slots

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """(F,), whether each column is a category."""
        kinds = [False] * len(self._schema.dense)
        for table in self.tables:
            kinds += [True] if table is None else [False, False]
        return np.array(kinds, bool)

    def of(self, ids: Ids, dense: TreeColumns) -> TreeColumns:
        """(N, F) of rows outside train."""
        columns = np.empty((len(ids), width(self._schema)), np.float32)
        columns[:, : dense.shape[1]] = dense
        for field, table in zip(self._fields(ids), self.tables, strict=True):
            if table is None:
                columns[:, field.column] = field.categories
                continue
            present, value = field.values()
            means = self._means(present, table.rates[value], table.frequencies[value])
            columns[:, field.column : field.column + 2] = means
        return columns

    def _rate(self, sums: NDArray[np.float64], counts: NDArray[Any]) -> NDArray[np.float64]:
        return (sums + PRIOR_ROWS * self.mean) / (counts + PRIOR_ROWS)

    def _means(
        self,
        present: NDArray[np.bool_],
        rates: NDArray[np.floating],
        frequencies: NDArray[np.floating],
    ) -> TreeColumns:
        """(n, 2) means over the values of a row; without values the overall mean, and 0."""
        count = np.maximum(present.sum(1), 1)
        mean_rate = (rates * present).sum(1, dtype=np.float64) / count
        mean_rate = np.where(present.any(1), mean_rate, self.mean)
        mean_frequency = (frequencies * present).sum(1, dtype=np.float64) / count
        return np.stack([mean_rate, mean_frequency], axis=1).astype(np.float32)


def _by_value_and_fold(
    field: FieldValues,
    labels: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    fold: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Sums of labels and counts (cardinality, FOLDS)."""
    label_sums = np.zeros((field.cardinality, FOLDS))
    counts = np.zeros((field.cardinality, FOLDS), np.int32 if weights is None else np.float64)
    for rows in _pieces(len(labels)):
        present, value = field.values(rows)
        cells = value[present], _by_value(fold[rows], present)
        if weights is None:
            np.add.at(label_sums, cells, _by_value(labels[rows], present))
            np.add.at(counts, cells, 1)
        else:
            np.add.at(label_sums, cells, _by_value(labels[rows] * weights[rows], present))
            np.add.at(counts, cells, _by_value(weights[rows], present))
    return label_sums, counts


def _by_value(of_rows: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[Any]:
    """Repeats numbers of rows (n,) for each value of a row."""
    return np.broadcast_to(of_rows[:, None], present.shape)[present]


def _pieces(rows: int) -> list[slice]:
    return [slice(start, start + PIECE) for start in range(0, rows, PIECE)]
