"""Target rates: the mean label of train rows with the same user, item or author.

For known ids these are the strongest inputs, and the easiest way to leak. Rows outside train get
the rate over all of train. A train row must never see its own label, so it gets the rate over the
other folds (Micci-Barreca, SIGKDD Explorations 2001, for the smoothing; out-of-fold as in stacking,
Wolpert 1992).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import model_validator

from bench.core.arrays import Floats, Singles
from bench.core.schema import Task
from bench.core.seeds import derive
from bench.core.system.intrinsics import jit
from bench.data.codes import UNKNOWN, Codes
from bench.data.columns.base import DensePart, Source
from bench.data.columns.categorical import frequent
from bench.data.columns.moments import RunningMoments
from bench.data.columns.vocabulary import Lookup


class TargetRates(DensePart):
    """For one column, standardised: a rate for each task, and the log of the number of rows behind
    them.

    A rate is (sum of labels + smoothing * mean) / (labels + smoothing), for a binary task as its
    logit.
    """

    kind: Literal["target_rates"] = "target_rates"
    name: str
    source: Source
    tasks: tuple[str, ...]
    binary: tuple[bool, ...]
    smoothing: float
    folds: int
    seed: int
    values: tuple[str | None, ...]
    """Values of the column in train, in order of appearance, missing last."""
    table: tuple[tuple[float, ...], ...]
    """For each value, and last for an unknown one: T rates and a log count, before
    standardisation.
    """
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @model_validator(mode="after")
    def _of_one_shape(self) -> TargetRates:
        width = len(self.tasks) + 1
        rows = (*self.table, self.mean, self.scale)
        if len(self.binary) != len(self.tasks) or any(len(row) != width for row in rows):
            raise ValueError(
                f"expected {width} numbers for {len(self.tasks)} tasks everywhere, found another "
                "number"
            )
        if len(self.table) != len(self.values) + 1:
            raise ValueError(
                f"expected a row for each of {len(self.values)} values and one more, found "
                f"{len(self.table)}"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its dense columns."""
        rates = [f"{self.name}_{task}_rate" for task in self.tasks]
        return (*rates, f"{self.name}_count")

    def encode(self, table: pa.Table) -> Singles:
        """(N, T + 1), for rows outside train."""
        return self._lookup.meanings(self.source, table)

    def examples(self) -> list[Any]:
        """Train's first categories."""
        if self.source.derive is not None:
            return super().examples()
        return list(frequent(self.values))

    @cached_property
    def _lookup(self) -> Lookup:
        rows = self.standardised(np.array(self.table))
        return Lookup(self.values, rows[:-1], rows[-1], rows[-1])

    def standardised(self, values: Floats) -> Singles:
        """Standardises rates and log counts (N, T + 1)."""
        standard = (values - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(standard, np.float32)


STEP = 1 << 16
"""Values processed at a time."""


def folds(seed: int, number: int, start: int, rows: int) -> NDArray[np.int64]:
    """(rows,) folds of train rows `start`, `start` + 1, ..; one draw a row, however rows are split
    into parts.
    """
    generator = np.random.PCG64(derive(seed, "folds"))
    generator.advance(start)
    return (np.random.Generator(generator).random(rows) * number).astype(np.int64)


class RatesFitter:
    """Fits target rates; holds folds x (12 T + 4) bytes for each distinct value: 140 with 5 folds
    and 2 tasks.
    """

    def __init__(
        self, name: str, tasks: tuple[Task, ...], smoothing: float, number: int, seed: int
    ) -> None:
        self.name, self.tasks = name, tasks
        self.smoothing, self.number, self.seed = smoothing, number, seed
        self.binary = tuple(task.kind == "binary" for task in tasks)
        # Row 0 is missing, row c + 1 is code c; the row after these stays zero and stands for
        # UNKNOWN.
        self._sums = np.zeros((2, number, len(tasks)))
        self._counts = np.zeros((2, number, len(tasks)), np.int32)
        self._rows = np.zeros((2, number), np.int32)
        self._order = np.zeros(2, np.int32)
        self._n_seen = 0
        self._n_rows = 1  # of the arrays above that are of values
        self._taken = 0  # train rows
        self._part: TargetRates | None = None

    def take(self, codes: Codes, labels: NDArray[np.float32], size: int) -> None:
        """Adds the next train rows: codes (n,) below `size`, labels (n, T)."""
        self._n_rows = size + 1
        if self._n_rows >= len(self._rows):
            capacity = max(self._n_rows + 1, len(self._rows) * 3 // 2)
            for array in (self._sums, self._counts, self._rows, self._order):
                array.resize((capacity, *array.shape[1:]), refcheck=False)  # the new end is zero
        fold = folds(self.seed, self.number, self._taken, len(codes))
        self._taken += len(codes)
        self._n_seen = _add(
            codes, fold, labels, self._sums, self._counts, self._rows, self._order, self._n_seen
        )

    def finish(
        self,
        source: Source,
        texts: Callable[[Sequence[int]], list[str]],
        before: TargetRates | None = None,
    ) -> TargetRates:
        """Rates over all of train, in units of train rows' out-of-fold values, or of earlier
        rates.
        """
        self._fold_sums, self._fold_counts = self._sums.sum(axis=0), self._counts.sum(axis=0)
        codes = np.flatnonzero(self._order[1 : self._n_rows])
        in_order = np.empty(self._n_seen, np.int64)
        in_order[self._order[1 + codes] - 1] = codes
        table = [np.empty((0, len(self.tasks) + 1))]
        for start in range(0, len(in_order), STEP):
            table.append(self._rates_of(1 + in_order[start : start + STEP]))
        table.append(self._rates_of(np.array([0, self._n_rows])))
        if before is None:
            mean, scale = self._out_of_fold_moments()
        else:
            mean, scale = before.mean, before.scale
        self._part = TargetRates(
            name=self.name,
            source=source,
            tasks=tuple(task.name for task in self.tasks),
            binary=self.binary,
            smoothing=self.smoothing,
            folds=self.number,
            seed=self.seed,
            values=(*texts(in_order.tolist()), None),
            table=tuple(map(tuple, np.concatenate(table).tolist())),
            mean=mean,
            scale=scale,
        )
        return self._part

    def _out_of_fold_moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each column (T + 1,) of train rows' out-of-fold values."""
        columns = [RunningMoments() for _ in range(len(self.tasks) + 1)]
        for start in range(0, self._n_rows, STEP):
            rows = np.arange(start, min(start + STEP, self._n_rows))
            for fold in range(self.number):
                weights = self._rows[rows, fold].astype(np.int64)
                values = self._rates_of(rows, np.full(len(rows), fold))
                for moments, column in zip(columns, values.T, strict=True):
                    moments.add(np.ascontiguousarray(column), weights)
        mean, scale = zip(*(moments.moments for moments in columns), strict=True)
        return mean, scale

    def dense(self, codes: Codes, start: int | None) -> Singles:
        """(n, T + 1) of codes (n,); `start` is the index of the first within train, None outside
        train.
        """
        assert self._part is not None
        # A value without rows gets the rates of an unknown one.
        rows = np.where(codes == UNKNOWN, self._n_rows, codes + 1)
        fold = None
        if start is not None:
            fold = folds(self.seed, self.number, start, len(codes))
        return self._part.standardised(self._rates_of(rows, fold))

    def _smoothed(self, sums: Floats, counts: Floats, rows: Floats, prior: Floats) -> Floats:
        """(n, T + 1) of sums of labels (n, T), numbers of observed labels (n, T), rows (n,), and
        the prior mean.
        """
        rate = (sums + self.smoothing * prior) / (counts.astype(np.float64) + self.smoothing)
        inside = np.clip(rate, 1e-6, 1 - 1e-6)
        rate = np.where(np.array(self.binary), np.log(inside / (1 - inside)), rate)
        return np.concatenate([rate, np.log1p(rows[:, None].astype(np.float64))], axis=1)

    def _rates_of(self, rows: NDArray[Any], fold: NDArray[np.int64] | None = None) -> Floats:
        """(n, T + 1) over all of train, or over all folds except a given one (n,)."""
        sums, counts = self._sums[rows].sum(axis=1), self._counts[rows].sum(axis=1)
        train_rows = self._rows[rows].sum(axis=1)
        all_sums, all_counts = self._fold_sums.sum(axis=0), self._fold_counts.sum(axis=0)
        if fold is None:
            return self._smoothed(sums, counts, train_rows, _mean(all_sums, all_counts))
        prior = _mean(all_sums - self._fold_sums, all_counts - self._fold_counts)
        return self._smoothed(
            sums - self._sums[rows, fold],
            counts - self._counts[rows, fold],
            train_rows - self._rows[rows, fold],
            prior[fold],
        )


def _mean(sums: Floats, counts: NDArray[Any]) -> Floats:
    return np.asarray(sums / np.maximum(counts, 1))


@jit()
def _add(
    codes: Any, fold: Any, labels: Any, sums: Any, counts: Any, rows: Any, order: Any, n_seen: int
) -> int:
    """Adds rows to totals, in order; `order` records the rank, from 1, of each value's first
    appearance.
    """
    for row in range(len(codes)):
        value = codes[row] + 1
        if order[value] == 0 and value > 0:
            n_seen += 1
            order[value] = n_seen
        rows[value, fold[row]] += 1
        for task in range(labels.shape[1]):
            if not np.isnan(labels[row, task]):
                sums[value, fold[row], task] += np.float64(labels[row, task])
                counts[value, fold[row], task] += 1
    return n_seen
