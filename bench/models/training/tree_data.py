"""Training data of boosted trees: as many rows of a store as memory holds, and the columns made of
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Share:
    """Numbers of rows that fit into memory: of train and validation in training, and of a split in
    prediction.
    """

    train: int
    valid: int
    piece: int

    @classmethod
    def of(cls, split: StoredSplit, columns: int) -> Share:
        """Three quarters of the memory for train's rows of that many columns, the rest for
        validation's.
        """
        row = (
            split.ids_of(slice(0)).shape[1] * 4
            + split.dense.shape[1] * 4
            + columns * A_CELL
            + A_ROW
        )
        fit = memory_limit() // row
        return cls(
            train=max(1, min(MOST_TRAIN, fit * 3 // 4)),
            valid=max(1, min(MOST_VALID, fit // 4)),
            piece=max(256, min(PREDICTED, fit // 4)),
        )


def draw(split: StoredSplit, at: int, parent: int | None, most: int, seed: int) -> TreeRows:
    """Draws at most `most` of the rows with a label of a task whose parent happened, in the split's
    order.

    Reads the split in pieces, twice unless all of it fits. Every subset is equally likely.
    """
    rng = np.random.default_rng(seed)
    total = len(split)
    if total > most:
        total = sum(int(counts.sum()) for _, counts in _batches(split, at, parent))
    left, whole = min(most, total), total <= most
    none = None if split.weights is None else np.empty(0, np.float32)
    parts = [
        TreeRows(split.ids_of(slice(0)), np.asarray(split.dense[:0]), np.empty(0, np.float32), none)
    ]
    for arrays, counts in _batches(split, at, parent):
        rows = np.flatnonzero(counts)
        if not whole:
            many = int(rng.hypergeometric(len(rows), total - len(rows), left)) if left else 0
            total, left = total - len(rows), left - many
            rows = np.sort(rng.choice(rows, many, replace=False))
        weights = None if arrays.weights is None else arrays.weights[rows]
        parts.append(TreeRows(arrays.ids[rows], arrays.dense[rows], arrays.labels[rows], weights))
    return TreeRows(
        np.concatenate([each.ids for each in parts]),
        np.concatenate([each.dense for each in parts]),
        np.concatenate([each.labels for each in parts]),
        None
        if none is None
        else np.concatenate([each.weights for each in parts if each.weights is not None]),
    )


def _batches(
    split: StoredSplit, at: int, parent: int | None
) -> Iterator[tuple[TreeRows, NDArray[np.bool_]]]:
    """Yields rows with all labels of the task, and which of them count."""
    for batch in Batches(split).in_order(PREDICTED):
        labels = batch.labels.numpy()
        counts = ~np.isnan(labels[:, at])
        if parent is not None:
            counts &= labels[:, parent] == 1
        weights = None if batch.weights is None else batch.weights.numpy().prod(axis=1)
        if weights is not None:
            counts &= weights > 0
        yield TreeRows(batch.ids.numpy(), batch.dense.numpy(), labels[:, at], weights), counts


def width(schema: Schema) -> int:
    """F, the number of columns."""
    fields = schema.without_ranges.fields
    return len(schema.dense) + sum(
        1 if is_small(field.slots, field.cardinality) else 2 for field in fields
    )


class TreeFeatures:
    """Columns of trees: dense ones and small fields unchanged, and target rates of each large or
    multi-valued field.

    Ranges of numbers are left out, as trees split numbers. A value's rate is its mean label on
    train; its frequency is another column. A train row's own label must not be in its rate, or
    trees memorise labels: train is divided into folds, and a row has the rates of the other folds.
    A row of several values has their mean. Built by `learn`.

    Attributes:
        mean: mean label, used for a row without values.
        tables: rates and log counts of each field's values; None for an unchanged field.
    """

    def __init__(self, schema: Schema, mean: float) -> None:
        self._schema, self.mean = schema.without_ranges, mean
        self.tables: list[tuple[TreeColumns, TreeColumns] | None] = []

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
        mean = (
            labels.mean(dtype=np.float64)
            if weights is None
            else np.average(labels.astype(float), weights=weights)
        )
        features = cls(schema, float(mean))
        fold = np.random.default_rng(seed).integers(FOLDS, size=len(ids), dtype=np.uint8)
        columns = np.empty((len(ids), width(schema)), np.float32)
        columns[:, : dense.shape[1]] = dense
        for column, values, offset, many in features._fields(ids):
            if is_small(values.shape[1], many):
                features.tables.append(None)
                columns[:, column] = np.maximum(values[:, 0] - offset, 0)
                continue
            sums = np.zeros((many, FOLDS))
            counts = np.zeros((many, FOLDS), np.int32 if weights is None else np.float64)
            for rows in _pieces(len(ids)):
                there = values[rows] > 0
                cells = (
                    (values[rows] - offset)[there],
                    np.broadcast_to(fold[rows, None], there.shape)[there],
                )
                values_of = labels[rows] if weights is None else labels[rows] * weights[rows]
                np.add.at(sums, cells, np.broadcast_to(values_of[:, None], there.shape)[there])
                one: Any = (
                    1
                    if weights is None
                    else np.broadcast_to(weights[rows, None], there.shape)[there]
                )
                np.add.at(counts, cells, one)
            total, often = sums.sum(1), counts.sum(1)
            for rows in _pieces(len(ids)):
                there, own = values[rows] > 0, fold[rows, None]
                value = np.where(there, values[rows] - offset, 0)
                seen = often[value] - counts[value, own]
                rate = features._rate(total[value] - sums[value, own], seen)
                columns[rows, column : column + 2] = features._means(there, rate, np.log1p(seen))
            rates = features._rate(total, often).astype(np.float32)
            features.tables.append((rates, np.log1p(often).astype(np.float32)))
        return features, columns

    def _fields(self, ids: Ids) -> Iterator[tuple[int, Ids, int, int]]:
        """For each field its first column, its values (N, slots), its first row, and its number of
        rows.

        Trees see no position, since it is known in training alone.
        """
        column, at, schema = len(self._schema.dense), 0, self._schema
        for field, offset in zip(schema.fields, schema.offsets, strict=True):
            values = ids[:, at : at + field.slots]
            yield (
                column,
                np.zeros_like(values) if field.name == schema.position else values,
                offset,
                field.cardinality,
            )
            column, at = (
                column + (1 if is_small(field.slots, field.cardinality) else 2),
                at + field.slots,
            )

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """(F,), whether each column is a category."""
        kinds = [[True] if table is None else [False, False] for table in self.tables]
        return np.array(
            [*([False] * len(self._schema.dense)), *(kind for those in kinds for kind in those)],
            bool,
        )

    def of(self, ids: Ids, dense: TreeColumns) -> TreeColumns:
        """(N, F) of rows outside train."""
        columns = np.empty((len(ids), width(self._schema)), np.float32)
        columns[:, : dense.shape[1]] = dense
        for (column, values, offset, _), table in zip(self._fields(ids), self.tables, strict=True):
            if table is None:
                columns[:, column] = np.maximum(values[:, 0] - offset, 0)
                continue
            there = values > 0
            value = np.where(there, values - offset, 0)
            columns[:, column : column + 2] = self._means(there, table[0][value], table[1][value])
        return columns

    def _rate(self, sums: NDArray[np.float64], counts: NDArray[Any]) -> NDArray[np.float64]:
        return (sums + PRIOR_ROWS * self.mean) / (counts + PRIOR_ROWS)

    def _means(
        self, there: NDArray[np.bool_], rate: NDArray[np.floating], often: NDArray[np.floating]
    ) -> TreeColumns:
        """(n, 2) means over the values of a row; without values the overall mean, and 0."""
        several = np.maximum(there.sum(1), 1)
        means = np.where(there.any(1), (rate * there).sum(1, dtype=np.float64) / several, self.mean)
        return np.stack([means, (often * there).sum(1, dtype=np.float64) / several], axis=1).astype(
            np.float32
        )


def _pieces(rows: int) -> list[slice]:
    return [slice(start, start + PIECE) for start in range(0, rows, PIECE)]
