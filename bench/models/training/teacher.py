"""Boosted trees as the teacher of a network: train labels are mixed with the trees' predictions.

A label is 0 or 1, and mostly noise; a good model's probability has less of it (Hinton et al.,
2015). Trees find patterns in tables that networks miss, and the trained network is served without
them. A teacher that has seen a row memorises its label, so train is cut into folds, and each is
predicted by trees of the others. Predictions lie beside the store, one file for each task, made by
the first training that needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.seeds import derive
from bench.core.system.atomic import atomic_path
from bench.core.system.lock import in_turn
from bench.core.system.machine import tree_threads
from bench.data import Store
from bench.data.store import StoredSplit, stored
from bench.measure.spaces import given_parent
from bench.models.training.tree_data import Share, width
from bench.models.training.tree_settings import TreeSettings, configurations
from bench.models.training.trees import TaskTrees, train_trees

FOLDS = 5
TRIES = 4
"""Settings to try on the first fold, compared by their loss on validation."""
FOLDER = "teacher"


def taught(store: Store, share: float, threads: int, note: Callable[[str], None]) -> StoredSplit:
    """Train with labels mixed with the trees' predictions, whose weight is a `share` above 0 and up
    to 1.

    Unchanged are the labels of regressions, of a task with thinned negatives, and of parents: there
    a label also decides which rows count, and how much. `note` is called for each task whose trees
    must first be trained.
    """
    train = store.split("train")
    labels = np.array(train.labels)
    for at in _learners(store):
        said = _predictions(store, at, threads, note)
        mixed = (1 - share) * labels[:, at] + share * said
        labels[:, at] = np.where(np.isnan(mixed), labels[:, at], mixed)
    return replace(train, stored_labels=labels, columns=None)


def trainings_left(store: Store) -> float:
    """Cost of the missing predictions, in trainings of the trees of all tasks."""
    lacking = [at for at in _learners(store) if not _file(store, at).exists()]
    of_a_task = (
        (TRIES + FOLDS - 1) * (FOLDS - 1) / FOLDS
    )  # trying settings already trains one of the folds
    return of_a_task * len(lacking) / len(store.schema.tasks)


def _learners(store: Store) -> list[int]:
    """Indices of the tasks whose labels are mixed."""
    thinned = store.weights.task if store.weights else None
    tasks, followed = store.schema.tasks, set(store.schema.parents)
    return [
        at
        for at, task in enumerate(tasks)
        if task.kind == "binary" and at not in followed and task.name != thinned
    ]


def _file(store: Store, at: int) -> Path:
    return store.path / FOLDER / f"{store.schema.tasks[at].name}.npy"


def _predictions(
    store: Store, at: int, threads: int, note: Callable[[str], None]
) -> NDArray[np.float32]:
    """(N,), made if they are missing; NaN where the task does not count."""
    path = _file(store, at)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with in_turn(path.with_suffix(".lock")):
            if not path.exists():
                note(f"boosted trees learn task '{path.stem}' first, once for this data set")
                said = _made(store, at, threads)
                with atomic_path(path) as temporary, temporary.open("wb") as file:
                    np.save(file, said)
    return np.array(stored(store.path, f"{FOLDER}/{path.name}", len(store.split("train"))))


def _made(store: Store, at: int, threads: int) -> NDArray[np.float32]:
    train, schema = store.split("train"), store.schema
    task = schema.tasks[at].name
    counts = ~np.isnan(given_parent(train.labels, at, schema.parents[at]))
    rng = np.random.default_rng(derive(0, FOLDER, task))
    fold = rng.integers(FOLDS, size=len(train), dtype=np.uint8)
    share = Share.of(train, width(schema))

    def trees(settings: TreeSettings, of: int) -> TaskTrees:
        others = np.flatnonzero(counts & (fold != of))
        if len(others) > share.train:
            others = np.sort(rng.choice(others, share.train, replace=False))
        return train_trees(
            store, at, settings, share, derive(0, FOLDER, task, of), train.taken(others)
        )

    settings = [TreeSettings.of(each, task) for each in configurations([task], TRIES, 0)]
    predicted = np.full(len(train), np.nan, np.float32)
    with tree_threads(threads):
        tried = [(each, trees(each, 0)) for each in settings]
        best, first = max(tried, key=lambda each: each[1].merit)
        for of in range(FOLDS):
            made = trees(best, of) if of else first
            own = np.flatnonzero(counts & (fold == of))
            for start in range(0, len(own), share.piece):
                rows = own[start : start + share.piece]
                predicted[rows] = made.predict(train.ids_of(rows), np.asarray(train.dense[rows]))
    return predicted
