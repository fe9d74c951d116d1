"""Writes the files that `bench.measure.predictions` reads: the rows of a store, and each
replicate's predictions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bench.core.arrays import Ints, Singles
from bench.core.records import SplitName
from bench.core.schema import Schema
from bench.core.system.atomic import atomic_path, write_text
from bench.data import Store
from bench.data.npy_files import ArrayWriter
from bench.data.store import StoredSplit
from bench.measure.predictions import (
    FACTS,
    KEPT,
    Damaged,
    digest_of,
    facts_in,
    read_rows,
    sampled,
    seal,
)
from bench.measure.resamples import units_of
from bench.measure.spaces import joint_labels

BLOCK = 1 << 16
"""Rows read at a time."""
KeepRows = Callable[[Singles, NDArray[np.uint64]], None]
"""Takes joint predictions (n, T) and units (n,) of a split's next rows."""


@contextmanager
def keeping(
    path: Path | None,
    tasks: int,
    split: str,
    rows: int,
) -> Iterator[KeepRows]:
    """Gives a function that writes a split's kept predictions, (n, `tasks`) in order; the file is
    whole or absent.

    The split has that many `rows`. Without a path nothing is kept. Raises `Unwritable` if there is
    no room.
    """
    if path is None:
        yield lambda joint, units: None
        return
    with _array(path, np.float32, tasks) as writer:
        yield lambda joint, units: writer.append(joint[sampled(units, split, rows)])


@contextmanager
def _array(path: Path, kind: DTypeLike, *row: int) -> Iterator[ArrayWriter]:
    with atomic_path(path) as temporary:
        with ArrayWriter(temporary, kind, row) as writer:
            yield writer
        seal(temporary, path.name)


def write_rows(store: Store, folder: Path) -> None:
    """Writes the rows whose predictions are kept, unless they are already there; removes
    half-written files.

    No other process may write into the folder. Raises `Unwritable` if there is no room.
    """
    if folder.is_dir():
        for path in folder.glob("*.part"):
            path.unlink(missing_ok=True)

    tasks = store.schema.tasks
    identity = {
        "fingerprint": store.fingerprint,
        "tasks": [task.name for task in tasks],
        "splits": list(KEPT),
    }
    with suppress(Damaged):
        has_rows = all(read_rows(folder, split) for split in KEPT)
        if has_rows and identity.items() <= facts_in(folder).items():
            return

    facts: dict[str, object] = {
        **identity,
        "kinds": [task.kind for task in tasks],
        "rates": _rates(store.split("train"), store.schema),
        "segments": {name: list(values) for name, values in store.segments.items()},
        "logged": list(store.logged),
    }
    if store.exposure:
        facts["exposure"] = store.exposure
    if store.items:
        facts["items"] = list(store.items)
    if store.weights:
        facts["weights"] = True
    facts["seen"] = {
        split: [_write(store, split, folder), len(store.split(split))] for split in KEPT
    }
    write_text(folder / FACTS, json.dumps(facts | {"digest": digest_of(facts)}, indent=1))


def _rates(train: StoredSplit, schema: Schema) -> list[float]:
    """Each task's mean joint label."""
    sums = np.zeros(len(schema.tasks))
    counts = np.zeros(len(schema.tasks))
    for rows in _blocks(len(train)):
        labels = joint_labels(np.asarray(train.labels_of(rows)), schema)
        labels = labels.astype(np.float64)
        counted = ~np.isnan(labels)
        weights = train.weights_of(rows)
        if weights is not None:
            of_rows = weights.astype(np.float64).prod(axis=1)[:, None]
            labels, counted = labels * of_rows, counted * of_rows
        sums += np.nansum(labels, axis=0)
        counts += counted.sum(axis=0)
    return [float(rate) for rate in sums / np.where(counts > 0, counts, 1)]


def _write(store: Store, split: SplitName, folder: Path) -> int:
    """Writes the kept rows of a split; returns their number."""
    data = store.split(split)
    with ExitStack() as stack:
        writers = {}
        for name, array in _columns(data, store.schema, slice(0, 0)).items():
            file = _array(folder / f"{split}.{name}.npy", array.dtype, *array.shape[1:])
            writers[name] = stack.enter_context(file)
        for rows in _blocks(len(data)):
            columns = _columns(data, store.schema, rows)
            is_kept = sampled(columns["units"], split, len(data))
            for name, column in columns.items():
                writers[name].append(column[is_kept])
        return writers["units"].rows


def _columns(
    data: StoredSplit,
    schema: Schema,
    rows: slice,
) -> dict[str, NDArray[Any]]:
    """Arrays to keep of some rows, by the names of their files."""
    labels = joint_labels(np.asarray(data.labels_of(rows)), schema)
    columns: dict[str, NDArray[Any]] = {
        "labels": np.asarray(labels, np.float32),
        "group": np.asarray(data.group[rows], np.int32),
        "units": units_of(np.asarray(data.together[rows]), rows.start),
    }
    for name in ("segments", "logged", "weights", "items"):
        array = getattr(data, name)
        if array is not None:
            columns[name] = np.asarray(array[rows])
    return columns


def kept_places(data: StoredSplit, split: str) -> Ints:
    """(n,) indices of a split's rows whose predictions are kept, in order."""
    places = []
    for rows in _blocks(len(data)):
        units = units_of(np.asarray(data.together[rows]), rows.start)
        places.append(rows.start + np.flatnonzero(sampled(units, split, len(data))))
    return np.concatenate(places)


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, BLOCK):
        yield slice(start, min(start + BLOCK, rows))
