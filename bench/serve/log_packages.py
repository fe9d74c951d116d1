"""What packaged models predict for the rows of a log, as columns that it then has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bench.core.arrays import Singles
from bench.core.errors import UserError, missing
from bench.core.schema import SCORE
from bench.core.system.data_files import partitions
from bench.core.system.progress import Progress
from bench.data.readers.base import RawTable
from bench.data.readers.folders import read_file
from bench.deciding.logged.asked import Asked, made_column
from bench.deciding.logged.logged_rows import delimiter, files_of
from bench.deciding.score import prediction_names
from bench.serve.package import Package
from bench.serve.scorer import Scorer


def made_columns(
    asked: Asked, packages: Mapping[str, Package], table: object, progress: Progress
) -> dict[str, Singles]:
    """By column (N,) the joint predictions and the score of each package, by the model's name.

    Args:
        table: the rows; None reads the log's files.

    Raises:
        UserError: a package does not predict a label, or rows lack its inputs.
    """
    columns: dict[str, Singles] = {}
    for model, package in packages.items():
        scorer = package.scorer("eager")
        names = _names_of(asked, model, scorer)
        parts: dict[str, list[Singles]] = {name: [] for name in names}
        for rows in _tables(asked, scorer, table, progress):
            checked = scorer.rows.checked(rows.table, rows.place)
            predictions = scorer.predict_encoded(*scorer.encode(checked), rows.place)
            for name, column in parts.items():
                column.append(predictions[names[name]].astype(np.float32))
        columns |= {name: np.concatenate(column) for name, column in parts.items()}
    return columns


def _names_of(asked: Asked, model: str, scorer: Scorer) -> dict[str, str]:
    """By column which prediction of a package it is: of a label with its parents, or the score."""
    tasks = {task.name: task for task in scorer.schema.tasks}
    names = {made_column(model, SCORE): SCORE}
    for label in asked.labels:
        if label not in tasks:
            raise UserError(f"--model {model}: {missing('prediction', label, list(tasks))}")
        names[made_column(model, label)] = prediction_names(tasks[label])[-1]
    return names


def _tables(asked: Asked, scorer: Scorer, table: object, progress: Progress) -> Iterator[RawTable]:
    """The raw rows, part by part."""
    if table is not None:
        yield RawTable("the table", scorer.rows.arrow(table), lambda row: f"row {row} of the table")
        return
    for file, partition in partitions(files_of(asked)).items():
        separator = delimiter(file)
        kinds = scorer.rows.kinds
        for rows in read_file(file, partition, kinds, progress, separator=separator):
            if rows.table.num_rows:
                yield from rows.parts()
            else:
                _check_columns(file, rows, scorer)


def _check_columns(file: Path, rows: RawTable, scorer: Scorer) -> None:
    names = rows.columns or rows.table.column_names
    absent = scorer.rows.absent(names)
    if absent:
        lacks = missing("column", absent[0], names)
        raise UserError(f"{file}: for the package, which was made for {scorer.dataset}, {lacks}")
