"""A store's rows as the columns that boosted trees split on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.schema import Schema

MOST_CATEGORIES = 255
"""Of a field that trees take as it is: scikit-learn's limit."""
FOLDS = 5
PRIOR_ROWS = 10.0
"""Additive smoothing of a value's rate: rows with the mean of all that are added to its own."""
PIECE = 1 << 16
"""Rows whose columns are made at once."""
Columns = NDArray[np.float32]
Ids = NDArray[np.int32]


def width(schema: Schema) -> int:
    """F, how many columns there are."""
    return len(schema.dense) + sum(1 if _small(slots, many) else 2 for slots, many in _shapes(schema.without_ranges))


class TreeFeatures:
    """Dense columns and small fields as they are; of each large or multi-valued field its values' rates.

    Trees divide numbers themselves: the ranges that a store has of them are left out.

    A value's rate is its mean label on train, and how often it is there is a column as well. A train row's own label
    must not be in its rate, or trees learn labels by heart: train is divided into folds, and a row has the rates of the
    other folds. A row of several values has their mean.

    Made by `learn`.
    """

    def __init__(self, schema: Schema, mean: float) -> None:
        self._schema, self._mean = schema.without_ranges, mean
        self._tables: list[tuple[Columns, Columns] | None] = []

    @classmethod
    def learn(
        cls,
        schema: Schema,
        ids: Ids,
        dense: Columns,
        labels: NDArray[np.float32],
        seed: int,
        weights: NDArray[np.float32] | None = None,
    ) -> tuple[TreeFeatures, Columns]:
        """The columns of a task, and (N, F) what the train rows have there.

        Args:
            ids: (N, S) of the train rows.
            dense: (N, D) of these.
            labels: (N,) of these; none is NaN.
            seed: of the folds.
            weights: (N,), how many rows a row stands for; None for one each.
        """
        mean = labels.mean(dtype=np.float64) if weights is None else np.average(labels.astype(float), weights=weights)
        features = cls(schema, float(mean))
        return features, features._learn(ids, dense, labels, seed, weights)

    def _learn(
        self, ids: Ids, dense: Columns, labels: NDArray[np.float32], seed: int, weights: NDArray[np.float32] | None
    ) -> Columns:
        fold = np.random.default_rng(seed).integers(FOLDS, size=len(ids), dtype=np.uint8)
        found = np.empty((len(ids), width(self._schema)), np.float32)
        found[:, : dense.shape[1]] = dense
        column, at = dense.shape[1], 0
        for (slots, many), offset in zip(_shapes(self._schema), self._schema.offsets, strict=True):
            values = ids[:, at : at + slots]
            at += slots
            if _small(slots, many):
                self._tables.append(None)
                found[:, column] = np.maximum(values[:, 0] - offset, 0)
                column += 1
                continue
            sums = np.zeros((many, FOLDS))
            counts = np.zeros((many, FOLDS), np.int32 if weights is None else np.float64)
            for rows in _pieces(len(ids)):
                there = values[rows] > 0
                cells = ((values[rows] - offset)[there], np.broadcast_to(fold[rows, None], there.shape)[there])
                values_of = labels[rows] if weights is None else labels[rows] * weights[rows]
                np.add.at(sums, cells, np.broadcast_to(values_of[:, None], there.shape)[there])
                one: Any = 1 if weights is None else np.broadcast_to(weights[rows, None], there.shape)[there]
                np.add.at(counts, cells, one)
            total, often = sums.sum(1), counts.sum(1)
            for rows in _pieces(len(ids)):
                there, value, own = _looked_up(values[rows], offset, fold[rows])
                seen = often[value] - counts[value, own]
                rate = self._rate(total[value] - sums[value, own], seen)
                found[rows, column : column + 2] = self._means(there, rate, np.log1p(seen))
            self._tables.append((self._rate(total, often).astype(np.float32), np.log1p(often).astype(np.float32)))
            column += 2
        return found

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """(F,), which columns are categories."""
        kinds = [[True] if table is None else [False, False] for table in self._tables]
        return np.array([*([False] * len(self._schema.dense)), *(kind for those in kinds for kind in those)], bool)

    def of(self, ids: Ids, dense: Columns) -> Columns:
        """(N, F) of rows that are none of train's."""
        found = np.empty((len(ids), width(self._schema)), np.float32)
        found[:, : dense.shape[1]] = dense
        column, at = dense.shape[1], 0
        for (slots, _), offset, table in zip(_shapes(self._schema), self._schema.offsets, self._tables, strict=True):
            values = ids[:, at : at + slots]
            at += slots
            if table is None:
                found[:, column] = np.maximum(values[:, 0] - offset, 0)
                column += 1
                continue
            there, value, _ = _looked_up(values, offset, None)
            found[:, column : column + 2] = self._means(there, table[0][value], table[1][value])
            column += 2
        return found

    def _rate(self, sums: NDArray[np.float64], counts: NDArray[Any]) -> NDArray[np.float64]:
        return (sums + PRIOR_ROWS * self._mean) / (counts + PRIOR_ROWS)

    def _means(self, there: NDArray[np.bool_], rate: NDArray[np.floating], often: NDArray[np.floating]) -> Columns:
        """(n, 2), over the values of a row; of a row without any the mean of all, and 0."""
        several = np.maximum(there.sum(1), 1)
        means = np.where(there.any(1), (rate * there).sum(1) / several, self._mean)
        return np.stack([means, (often * there).sum(1) / several], axis=1).astype(np.float32)


def _shapes(schema: Schema) -> list[tuple[int, int]]:
    return [(field.slots, field.cardinality) for field in schema.fields]


def _small(slots: int, cardinality: int) -> bool:
    return slots == 1 and cardinality <= MOST_CATEGORIES


def _pieces(rows: int) -> list[slice]:
    return [slice(start, start + PIECE) for start in range(0, rows, PIECE)]


def _looked_up(
    values: Ids, offset: int, fold: NDArray[np.uint8] | None
) -> tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.uint8]]:
    """Which slots hold a value, the values' numbers in their field, and the rows' folds; each (n, slots) or (n, 1)."""
    there = values > 0
    own = np.zeros(0, np.uint8) if fold is None else fold[:, None]
    return there, np.where(there, values - offset, 0), own
