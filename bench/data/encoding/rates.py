"""Target rates: how often train rows of the same user, item or author had each label.

The strongest inputs there are for known ids, and the easiest way to leak. Rows outside train get the rate over all of
train. A train row must never see its own label, so it gets the rate over the other folds (Micci-Barreca, SIGKDD
Explorations 2001, for the smoothing; out-of-fold as in stacking, Wolpert 1992).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.encoding.base import Source
from bench.data.encoding.numeric import Dense, moments
from bench.data.values import Text
from bench.registry import Config
from bench.schema import Task
from bench.seeds import derive

Values = NDArray[np.float64]


class TargetRates(Config):
    """For one column: a rate for each task, and the log of the number of rows behind them; all standardised.

    A rate is (sum of labels + smoothing * mean) / (labels + smoothing), for a binary task as its logit.
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
    """Values of the column in train, missing last."""
    table: tuple[tuple[float, ...], ...]
    """For each value, and last for an unknown one: T rates and a log count, not yet standardised."""
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        name: str,
        source: Source,
        tasks: tuple[Task, ...],
        smoothing: float,
        folds: int,
        seed: int,
        train: Any,
        labels: NDArray[np.float32],
    ) -> TargetRates:
        """Rates over all of train; the standardisation is that of the out-of-fold values, which train rows get."""
        text = source.text(train)
        size = len(text.values) + 1
        binary = tuple(task.kind == "binary" for task in tasks)
        sums, counts, rows = _totals(_with_missing(text), size, labels)
        full = _rates(sums, counts, rows, labels_mean(sums, counts), smoothing, binary)
        unknown = _rates(sums[:1] * 0, counts[:1] * 0, rows[:1] * 0, labels_mean(sums, counts), smoothing, binary)
        part = cls(
            name=name,
            source=source,
            tasks=tuple(task.name for task in tasks),
            binary=binary,
            smoothing=smoothing,
            folds=folds,
            seed=seed,
            values=(*text.values, None),
            table=tuple(map(tuple, np.concatenate([full, unknown]).tolist())),
            mean=(0.0,) * (len(tasks) + 1),
            scale=(1.0,) * (len(tasks) + 1),
        )
        mean, scale = zip(*(moments(column) for column in part._out_of_fold(text, labels).T), strict=True)
        return part.model_copy(update={"mean": mean, "scale": scale})

    @property
    def names(self) -> tuple[str, ...]:
        """Of its dense columns."""
        return (*(f"{self.name}_{task}_rate" for task in self.tasks), f"{self.name}_count")

    def encode(self, table: Any) -> Dense:
        """(N, T + 1), for rows outside train."""
        text = self.source.text(table)
        index = {value: row for row, value in enumerate(self.values)}
        at = np.array([index.get(value, len(self.values)) for value in (*text.values, None)])
        return self._standardised(np.array(self.table)[at][text.codes])

    def encode_train(self, train: Any, labels: NDArray[np.float32]) -> Dense:
        """(N, T + 1), for the very rows it was fitted on: out of fold."""
        return self._standardised(self._out_of_fold(self.source.text(train), labels))

    def _standardised(self, values: Values) -> Dense:
        dense: Dense = ((values - np.array(self.mean)) / np.array(self.scale)).astype(np.float32)
        return dense

    def _out_of_fold(self, text: Text, labels: NDArray[np.float32]) -> Values:
        codes, size = _with_missing(text), len(text.values) + 1
        fold = np.random.default_rng(derive(self.seed, "folds")).permutation(len(codes)) % self.folds
        sums, counts, rows = _totals(codes, size, labels)
        values = np.empty((len(codes), labels.shape[1] + 1))
        for number in range(self.folds):
            inside = fold == number
            own_sums, own_counts, own_rows = _totals(codes[inside], size, labels[inside])
            other = (sums - own_sums, counts - own_counts, rows - own_rows)
            rates = _rates(*other, labels_mean(*other[:2]), self.smoothing, self.binary)
            values[inside] = rates[codes[inside]]
        return values


def _with_missing(text: Text) -> NDArray[np.int64]:
    return np.where(text.codes < 0, len(text.values), text.codes).astype(np.int64)


def _totals(codes: NDArray[np.int64], size: int, labels: NDArray[np.float32]) -> tuple[Values, Values, Values]:
    """Of each value: sum of labels (size, T), labels that are observed (size, T), rows (size, 1)."""
    observed = ~np.isnan(labels)
    filled = np.where(observed, labels, 0.0)
    tasks = range(labels.shape[1])
    sums = np.stack([np.bincount(codes, filled[:, task], size) for task in tasks], axis=1)
    counts = np.stack([np.bincount(codes, observed[:, task], size) for task in tasks], axis=1)
    rows = np.bincount(codes, minlength=size)[:, None]
    return sums.astype(np.float64), counts.astype(np.float64), rows.astype(np.float64)


def labels_mean(sums: Values, counts: Values) -> Values:
    """(T,), 0 for a task without labels."""
    mean: Values = sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    return mean


def _rates(
    sums: Values, counts: Values, rows: Values, prior: Values, smoothing: float, binary: tuple[bool, ...]
) -> Values:
    """(size, T + 1), rates and log count."""
    rates = (sums + smoothing * prior) / (counts + smoothing)
    inside = np.clip(rates, 1e-6, 1 - 1e-6)
    rates = np.where(np.array(binary), np.log(inside / (1 - inside)), rates)
    return np.concatenate([rates, np.log1p(rows)], axis=1)
