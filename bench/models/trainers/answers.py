"""Predictions that a trainer answers with, checked and put in the order of rows: (N, T)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.arrays import Singles
from bench.core.errors import TrainerError, missing, shortened
from bench.core.schema import Schema
from bench.data.handed_rows import ROW
from bench.models.training.evaluation import PIECE, BothPredictions

LEAST_CHANCE = 1e-12
"""Of a parent, by which a joint chance is divided."""


def read_answer(
    path: Path, split: str, keys: pd.DataFrame | None, rows: int, schema: Schema
) -> Singles:
    """The predictions of a split in a parquet file: a column a task, beside `row` or keys.

    Args:
        keys: (N, K) those of the split's rows, where the trainer names rows by keys.
        rows: of the split.

    Raises:
        TrainerError: there is no such file, it is none of parquet, or its rows or values are wrong.
    """
    if not path.is_file():
        raise TrainerError(f"expected predictions of {split} in {path.name}, found no such file")
    try:
        table = pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise TrainerError(
            f"{path.name}: expected a parquet file: {shortened(str(error))}"
        ) from None
    wanted = [ROW] if keys is None else [*keys.columns]
    for column in (*wanted, *(task.name for task in schema.tasks)):
        if column not in table:
            raise TrainerError(f"{path.name}: {missing('column', column, map(str, table.columns))}")
    places = _places(table, keys, rows, path.name)
    predictions = table[[task.name for task in schema.tasks]].iloc[places]
    return checked(predictions, split, rows, schema)


def _places(table: pd.DataFrame, keys: pd.DataFrame | None, rows: int, name: str) -> np.ndarray:
    """(N,) the place in the answer of each row of a split."""
    if keys is None:
        expected = pd.Index(np.arange(rows))
        given = pd.Index(table[ROW])
    else:
        expected = pd.MultiIndex.from_frame(keys.astype(str))
        given = pd.MultiIndex.from_frame(table[[*keys.columns]].astype(str))
    if given.has_duplicates:
        again = given[given.duplicated()][0]
        raise TrainerError(f"{name}: expected each row once, found {again} twice")
    places = given.get_indexer(expected)
    lacking = np.flatnonzero(places < 0)
    if len(lacking):
        raise TrainerError(
            f"{name}: expected a prediction of each of {rows:,} rows, found none of "
            f"{len(lacking):,}, the first of them {expected[lacking[0]]}"
        )
    return np.asarray(places)


def checked(predictions: Any, split: str, rows: int, schema: Schema) -> Singles:
    """Predictions as (N, T) float32: from an array, or from columns by task.

    Raises:
        TrainerError: another shape, a value that is not finite, a chance outside 0 to 1, or the
            same prediction of all rows.
    """
    names = [task.name for task in schema.tasks]
    if isinstance(predictions, pa.Table):
        predictions = predictions.to_pandas()
    if isinstance(predictions, pd.DataFrame | Mapping):
        for name in names:
            if name not in predictions:
                raise TrainerError(
                    f"{split}: {missing('task', name, map(str, predictions.keys()))}"
                )
        predictions = np.stack([np.asarray(predictions[name]) for name in names], axis=1)
    try:
        values = np.asarray(predictions, np.float32)
    except (TypeError, ValueError):
        raise TrainerError(
            f"{split}: expected predictions that are numbers, found {type(predictions).__name__}"
        ) from None
    if values.ndim == 1 and len(names) == 1:
        values = values[:, None]
    if values.shape != (rows, len(names)):
        raise TrainerError(
            f"{split}: expected predictions of {rows:,} rows and {len(names)} tasks, found an "
            f"array of {' x '.join(map(str, values.shape))}"
        )
    for task, column in zip(schema.tasks, values.T, strict=True):
        _check_column(column, f"{split}: '{task.name}'", task.kind == "binary")
    return values


def _check_column(column: Singles, where: str, binary: bool) -> None:
    wrong = np.flatnonzero(~np.isfinite(column))
    if len(wrong):
        raise TrainerError(
            f"{where}: expected numbers, found {column[wrong[0]]} in {len(wrong):,} rows, the "
            f"first of them {wrong[0]:,}"
        )
    lowest, highest = column.min(), column.max()
    if binary and (lowest < 0 or highest > 1):
        outside = lowest if lowest < 0 else highest
        raise TrainerError(f"{where}: expected probabilities from 0 to 1, found {outside:g}")
    if lowest == highest and len(column) > 1:
        raise TrainerError(
            f"{where}: expected predictions that differ, found {lowest:g} in every row"
        )


def both_predictions(
    predictions: Singles, conditional: Sequence[str], schema: Schema
) -> Iterator[BothPredictions]:
    """Conditional and joint predictions, piece by piece, of (N, T) that are one or the other.

    Args:
        conditional: tasks whose predictions are given that the parent happened.
    """
    for start in range(0, len(predictions), PIECE):
        given = predictions[start : start + PIECE].astype(np.float64)
        alone, joint = given.copy(), given.copy()
        for task, parent in enumerate(schema.parents):  # a parent stands before its children
            if parent is None:
                continue
            if schema.tasks[task].name in conditional:
                joint[:, task] = given[:, task] * joint[:, parent]
            else:
                alone[:, task] = given[:, task] / np.maximum(joint[:, parent], LEAST_CHANCE)
                if schema.tasks[task].kind == "binary":
                    alone[:, task] = np.minimum(alone[:, task], 1.0)
        yield alone.astype(np.float32), joint.astype(np.float32)
