"""The store's rows as the public libraries take them: one array a field, ids counted within the
field.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bench.core.records import SplitName
from bench.data import Store
from speed.job import Job


class Arrays(NamedTuple):
    """Columns of ids by name, and labels (N, 2) of click and buy."""

    columns: dict[str, NDArray[np.int32]]
    labels: NDArray[np.float32]


def sizes(store: Store) -> dict[str, int]:
    """Rows of each field's table."""
    return {field.name: field.cardinality for field in store.schema.fields}


def rows(store: Store, job: Job) -> int:
    """How many rows of train the job asks for."""
    return round(job.epochs * len(store.split("train")))


def arrays(store: Store, name: SplitName, rows: int | None = None) -> Arrays:
    """The first rows of a split, or all."""
    split = store.split(name)
    offsets = zip(store.schema.fields, store.schema.offsets, strict=True)
    ids = split.ids_of(slice(rows))
    columns = {
        field.name: ids[:, column] - np.int32(start)
        for column, (field, start) in enumerate(offsets)
    }
    return Arrays(columns, np.ascontiguousarray(split.labels[:rows, :2]))


def aucs(labels: NDArray[np.float32], predictions: NDArray[np.float64]) -> dict[str, float]:
    """Exact AUC of both tasks as the libraries take it, from scikit-learn."""
    names = ("click", "buy")
    return {
        name: float(roc_auc_score(labels[:, column], predictions[:, column]))
        for column, name in enumerate(names)
    }
