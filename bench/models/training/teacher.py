"""Boosted trees as the teacher of a network: train labels are mixed with the trees' predictions.

A label is 0 or 1, and mostly noise; a good model's probability has less of it (Hinton et al.,
2015). Trees find patterns in tables that networks miss, and the trained network is served without
them. A teacher that has seen a row memorises its label, so train is cut into folds, and each is
predicted by trees of the others. Predictions lie beside the store, one file for each task, made by
the first training that needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from bench.models.training.tree_data import RowLimits, width
from bench.models.training.tree_settings import TreeSettings, configurations
from bench.models.training.tree_training import TaskTrees, train_trees

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
    for task in _learners(store):
        predicted = _predictions(store, task, threads, note)
        mixed = (1 - share) * labels[:, task] + share * predicted
        labels[:, task] = np.where(np.isnan(mixed), labels[:, task], mixed)
    return replace(train, stored_labels=labels, columns=None)


def trainings_left(store: Store) -> float:
    """Cost of the missing predictions, in trainings of the trees of all tasks."""
    lacking = [task for task in _learners(store) if not _file(store, task).exists()]
    trainings = TRIES + FOLDS - 1  # trying settings already trains one of the folds
    trainings_of_task = trainings * (FOLDS - 1) / FOLDS
    return trainings_of_task * len(lacking) / len(store.schema.tasks)


def _learners(store: Store) -> list[int]:
    """Indices of the tasks whose labels are mixed."""
    thinned = store.weights.task if store.weights else None
    learners = []
    for index, task in enumerate(store.schema.tasks):
        is_parent = index in store.schema.parents
        if task.kind == "binary" and not is_parent and task.name != thinned:
            learners.append(index)
    return learners


def _file(store: Store, task: int) -> Path:
    return store.path / FOLDER / f"{store.schema.tasks[task].name}.npy"


def _predictions(
    store: Store, task: int, threads: int, note: Callable[[str], None]
) -> NDArray[np.float32]:
    """(N,), made if they are missing; NaN where the task does not count."""
    path = _file(store, task)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with in_turn(path.with_suffix(".lock")):
            if not path.exists():
                note(f"boosted trees learn task '{path.stem}' first, once for this data set")
                predicted = _predicted(_Folds.of(store, task), threads)
                with atomic_path(path) as temporary, temporary.open("wb") as file:
                    np.save(file, predicted)
    return np.array(stored(store.path, f"{FOLDER}/{path.name}", len(store.split("train"))))


def _predicted(folds: _Folds, threads: int) -> NDArray[np.float32]:
    """Predicts each fold by trees of the others, with the settings that are best on the first."""
    predicted = np.full(len(folds.fold), np.nan, np.float32)
    with tree_threads(threads):
        tried = []
        for config in configurations([folds.task_name], TRIES, 0):
            tried.append(folds.trees_without(0, TreeSettings.of(config, folds.task_name)))
        trees = max(tried, key=lambda trees: trees.merit)
        folds.predict(0, trees, predicted)
        for fold in range(1, FOLDS):
            folds.predict(fold, folds.trees_without(fold, trees.settings), predicted)
    return predicted


@dataclass(frozen=True)
class _Folds:
    """Folds of train's rows for a task.

    Attributes:
        counts: (N,), whether the task counts in a row.
        fold: (N,).
        rng: draws the rows that trees learn from, if memory does not hold all.
    """

    store: Store
    task: int
    counts: NDArray[np.bool_]
    fold: NDArray[np.uint8]
    limits: RowLimits
    rng: np.random.Generator

    @classmethod
    def of(cls, store: Store, task: int) -> _Folds:
        train, schema = store.split("train"), store.schema
        counts = ~np.isnan(given_parent(train.labels, task, schema.parents[task]))
        rng = np.random.default_rng(derive(0, FOLDER, schema.tasks[task].name))
        fold = rng.integers(FOLDS, size=len(train), dtype=np.uint8)
        return cls(store, task, counts, fold, RowLimits.of(train, width(schema)), rng)

    @property
    def task_name(self) -> str:
        return self.store.schema.tasks[self.task].name

    def trees_without(self, fold: int, settings: TreeSettings) -> TaskTrees:
        """Trees that learn from the other folds."""
        rows = np.flatnonzero(self.counts & (self.fold != fold))
        if len(rows) > self.limits.train:
            rows = np.sort(self.rng.choice(rows, self.limits.train, replace=False))
        seed = derive(0, FOLDER, self.task_name, fold)
        train = self.store.split("train").taken(rows)
        return train_trees(self.store, self.task, settings, self.limits, seed, train)

    def predict(self, fold: int, trees: TaskTrees, predicted: NDArray[np.float32]) -> None:
        """Fills the predictions (N,) of a fold."""
        train = self.store.split("train")
        rows_of_fold = np.flatnonzero(self.counts & (self.fold == fold))
        for start in range(0, len(rows_of_fold), self.limits.piece):
            rows = rows_of_fold[start : start + self.limits.piece]
            predicted[rows] = trees.predict(train.ids_of(rows), np.asarray(train.dense[rows]))
