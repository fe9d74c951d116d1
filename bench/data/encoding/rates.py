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
from bench.data.columns.vocabulary import Known


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
        wide = len(self.tasks) + 1
        rows = (*self.table, self.mean, self.scale)
        if len(self.binary) != len(self.tasks) or any(len(row) != wide for row in rows):
            raise ValueError(
                f"expected {wide} numbers for {len(self.tasks)} tasks everywhere, found another "
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
        return (*(f"{self.name}_{task}_rate" for task in self.tasks), f"{self.name}_count")

    def encode(self, table: pa.Table) -> Singles:
        """(N, T + 1), for rows outside train."""
        return self._known.of(self.source, table)

    def examples(self) -> list[Any]:
        """Train's first categories."""
        return super().examples() if self.source.derive is not None else list(frequent(self.values))

    @cached_property
    def _known(self) -> Known:
        rows = self.standardised(np.array(self.table))
        return Known(self.values, rows[:-1], rows[-1], rows[-1])

    def standardised(self, values: Floats) -> Singles:
        """Standardises rates and log counts (N, T + 1)."""
        dense: Singles = ((values - np.array(self.mean)) / np.array(self.scale)).astype(np.float32)
        return dense


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
        self._order, self._seen = np.zeros(2, np.int32), 0
        self._used = 1
        self._taken = 0
        self._part: TargetRates | None = None

    def take(self, codes: Codes, labels: NDArray[np.float32], size: int) -> None:
        """Adds the next train rows: codes (n,) below `size`, labels (n, T)."""
        self._used = size + 1
        if self._used >= len(self._rows):
            capacity = max(self._used + 1, len(self._rows) * 3 // 2)
            for array in (self._sums, self._counts, self._rows, self._order):
                array.resize((capacity, *array.shape[1:]), refcheck=False)  # the new end is zero
        fold = folds(self.seed, self.number, self._taken, len(codes))
        self._taken += len(codes)
        self._seen = _add(
            codes, fold, labels, self._sums, self._counts, self._rows, self._order, self._seen
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
        order = np.empty(self._seen, np.int64)
        at = np.flatnonzero(self._order[1 : self._used])
        order[self._order[1 + at] - 1] = at
        full = np.concatenate(
            [np.empty((0, len(self.tasks) + 1))]
            + [self._of(1 + order[i : i + STEP]) for i in range(0, len(order), STEP)]
        )
        moments = [
            RunningMoments() for _ in range(len(self.tasks) + 1)
        ]  # of the out-of-fold columns
        for start in range(0, self._used, STEP):
            at = np.arange(start, min(start + STEP, self._used))
            for fold in range(self.number):
                weights = self._rows[at, fold].astype(np.int64)
                for own, column in zip(
                    moments, self._of(at, np.full(len(at), fold)).T, strict=True
                ):
                    own.add(np.ascontiguousarray(column), weights)
        mean, scale = zip(*(each.moments for each in moments), strict=True)
        self._part = TargetRates(
            name=self.name,
            source=source,
            tasks=tuple(task.name for task in self.tasks),
            binary=self.binary,
            smoothing=self.smoothing,
            folds=self.number,
            seed=self.seed,
            values=(*texts(order.tolist()), None),
            table=tuple(
                map(tuple, np.concatenate([full, self._of(np.array([0, self._used]))]).tolist())
            ),
            mean=before.mean if before else mean,
            scale=before.scale if before else scale,
        )
        return self._part

    def dense(self, codes: Codes, start: int | None) -> Singles:
        """(n, T + 1) of codes (n,); `start` is the index of the first within train, None outside
        train.
        """
        assert self._part is not None
        at = np.where(codes == UNKNOWN, self._used, codes + 1)
        fold = None if start is None else folds(self.seed, self.number, start, len(codes))
        return self._part.standardised(
            self._of(at, fold)
        )  # a value without rows gets the rates of an unknown one

    def _rates(self, sums: Floats, counts: Floats, rows: Floats, prior: Floats) -> Floats:
        """(n, T + 1) of sums of labels (n, T), numbers of observed labels (n, T), rows (n,), and
        the prior mean.
        """
        rate = (sums + self.smoothing * prior) / (counts.astype(np.float64) + self.smoothing)
        inside = np.clip(rate, 1e-6, 1 - 1e-6)
        rate = np.where(np.array(self.binary), np.log(inside / (1 - inside)), rate)
        return np.concatenate([rate, np.log1p(rows[:, None].astype(np.float64))], axis=1)

    def _of(self, at: NDArray[Any], fold: NDArray[np.int64] | None = None) -> Floats:
        """(n, T + 1) over all of train, or over all folds except a given one (n,)."""
        sums, counts, rows = (
            array[at].sum(axis=1) for array in (self._sums, self._counts, self._rows)
        )
        all_sums, all_counts = self._fold_sums.sum(axis=0), self._fold_counts.sum(axis=0)
        if fold is None:
            return self._rates(sums, counts, rows, _mean(all_sums, all_counts))
        sums, counts, rows = (
            sums - self._sums[at, fold],
            counts - self._counts[at, fold],
            rows - self._rows[at, fold],
        )
        prior = _mean(all_sums - self._fold_sums, all_counts - self._fold_counts)
        return self._rates(sums, counts, rows, prior[fold])


def _mean(sums: Floats, counts: NDArray[Any]) -> Floats:
    mean: Floats = sums / np.maximum(counts, 1)
    return mean


@jit()
def _add(
    codes: Any, fold: Any, labels: Any, sums: Any, counts: Any, rows: Any, order: Any, seen: int
) -> int:
    """Adds rows to totals, in order; `order` records the rank, from 1, of each value's first
    appearance.
    """
    for row in range(len(codes)):
        at = codes[row] + 1
        if order[at] == 0 and at > 0:
            seen += 1
            order[at] = seen
        rows[at, fold[row]] += 1
        for task in range(labels.shape[1]):
            if not np.isnan(labels[row, task]):
                sums[at, fold[row], task] += np.float64(labels[row, task])
                counts[at, fold[row], task] += 1
    return seen
