"""A store's rows as the columns that boosted trees split on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.store import Split
from bench.schema import Schema

MOST_CATEGORIES = 255
"""Of a field that trees take as it is: scikit-learn's limit."""
FOLDS = 5
PRIOR_ROWS = 10.0
"""A value's rate is drawn to the mean of all as if that had been seen on so many more rows."""
Columns = NDArray[np.float32]


class TreeFeatures:
    """Dense columns and small fields as they are; of each large or multi-valued field its values' rates.

    A value's rate is its mean label on train, and how often it is there is a column as well. A train row's own label
    must not be in its rate, or trees learn labels by heart: train is dealt into folds, and a row has the rates of the
    other folds. A row of several values has their mean.

    Args:
        labels: (N,) of train, of one task; NaN where a row does not count.
        rows: (N,), of train, ascending, to which the labels belong.
    """

    def __init__(
        self, schema: Schema, train: Split, labels: NDArray[np.float32], rows: NDArray[np.int64], seed: int
    ) -> None:
        self._schema = schema
        self._fold = np.random.default_rng(seed).integers(FOLDS, size=len(rows))
        self._mean = float(np.nanmean(labels))
        seen = ~np.isnan(labels)
        self._tables: list[tuple[NDArray[np.float64], NDArray[np.float64]] | None] = []
        at = 0
        ids = train.ids[rows]
        for field, offset in zip(schema.fields, schema.offsets, strict=True):
            slots = ids[:, at : at + field.slots]
            at += field.slots
            if field.slots == 1 and field.cardinality <= MOST_CATEGORIES:
                self._tables.append(None)
                continue
            there = (slots > 0) & seen[:, None]
            cells = ((slots - offset) * FOLDS + self._fold[:, None])[there]
            weights = np.broadcast_to(labels[:, None], slots.shape)[there]
            shape, size = (field.cardinality, FOLDS), field.cardinality * FOLDS
            counts = np.bincount(cells, minlength=size).reshape(shape).astype(float)
            sums = np.bincount(cells, weights, size).reshape(shape).astype(float)
            self._tables.append((sums, counts))
        self.train = self._columns(train, rows, self._fold)

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """(F,), which columns are categories."""
        kinds = [[True] if table is None else [False, False] for table in self._tables]
        return np.array([*([False] * len(self._schema.dense)), *(kind for those in kinds for kind in those)], bool)

    def of(self, split: Split) -> Columns:
        """(N, F) of another split."""
        return self._columns(split, np.arange(len(split)), None)

    def _columns(self, split: Split, rows: NDArray[np.int64], fold: NDArray[np.int64] | None) -> Columns:
        """(N, F); rates leave a row's own fold out where there is one."""
        found = list(np.asarray(split.dense[rows], np.float32).T)
        at, ids = 0, split.ids[rows]
        for field, offset, table in zip(self._schema.fields, self._schema.offsets, self._tables, strict=True):
            slots = ids[:, at : at + field.slots]
            at += field.slots
            if table is None:
                found.append(np.maximum(slots[:, 0] - offset, 0).astype(np.float32))
                continue
            sums, counts = table
            there = slots > 0
            value = np.where(there, slots - offset, 0)
            total, many = sums.sum(1)[value], counts.sum(1)[value]
            if fold is not None:
                total, many = total - sums[value, fold[:, None]], many - counts[value, fold[:, None]]
            rate = (total + PRIOR_ROWS * self._mean) / (many + PRIOR_ROWS)
            several = np.maximum(there.sum(1), 1)
            found.append(np.where(there.any(1), (rate * there).sum(1) / several, self._mean).astype(np.float32))
            found.append(((np.log1p(many) * there).sum(1) / several).astype(np.float32))
        return np.stack(found, axis=1)
