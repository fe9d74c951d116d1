"""Gradient-boosted trees, the baseline for any table: scikit-learn's histogram trees on the same store.

A task has trees of its own; one with a parent learns where its parent happened, and its joint probability is the
product along its chain. Size and number of trees are chosen on validation, as early stopping is for networks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.data import Store
from bench.data.store import Split, SplitName
from bench.errors import TrainingError
from bench.machine import peak_memory_mb
from bench.records import Job, TrialResult
from bench.seeds import derive
from bench.training.metrics import Tally, binary, regression
from bench.training.resampling import Resampling
from bench.training.tree_features import TreeFeatures

LEAVES = (15, 63)
"""Leaves of a tree: the grid."""
MOST_TREES = 100
PATIENCE = 10
"""Trees without a smaller loss on validation before no more are added."""
RATE = 0.1
COLUMNS_A_SPLIT = 0.5
"""Share of the columns that a split may choose from, drawn by the seed."""
ROWS = 1_000_000
"""Of a larger train split so many rows are drawn, by the seed."""
Predictions = dict[SplitName, NDArray[np.float32]]


def run_trees(job: Job, store: Store) -> TrialResult:
    """Trains a job's trees and measures them on its splits.

    Raises:
        FloatingPointError: a task has one class only on train, so that there is nothing to learn.
    """
    from threadpoolctl import threadpool_limits  # scikit-learn takes a second to import, and no other job needs it

    schema, started = store.schema, time.perf_counter()
    names: tuple[SplitName, ...] = ("valid", *job.splits)
    splits = {name: store.split(name) for name in names}
    train = store.split("train")
    rng = np.random.default_rng(derive(job.seed, "rows"))
    rows = np.arange(len(train))
    if len(rows) > ROWS:
        rows = np.sort(rng.choice(len(rows), ROWS, replace=False))
    config: dict[str, int] = {}
    conditional: list[Predictions] = []
    with threadpool_limits(job.threads):
        for at, parent in enumerate(schema.parents):
            name = schema.tasks[at].name
            leaves, said = _task(store, at, parent, train, rows, splits, derive(job.seed, name))
            config[f"trees.{name}.leaves"] = leaves
            conditional.append(said)
    seconds = time.perf_counter() - started
    metrics: dict[str, float] = {}
    resampled: dict[str, list[float]] = {}
    for split in job.splits:
        data = splits[split]
        given = np.stack([said[split] for said in conditional], axis=1)
        chains = [list(schema.chain(at)) for at in range(len(schema.tasks))]
        joint = np.stack([given[:, chain].prod(axis=1) for chain in chains], axis=1)
        tally = Tally(schema.tasks, f"{split}/")
        tally.add(data.labels, given, joint, data.group)
        metrics |= tally.result()
        if job.resamples:
            resampling = Resampling(schema.tasks, split, job.resamples)
            resampling.add(data.labels, given, joint, data.group)
            resampled |= resampling.result()
    speed = {"train_seconds": seconds, "peak_rss_mb": peak_memory_mb()}
    return TrialResult(metrics, speed, [], {**config}, resampled=resampled)


def _task(
    store: Store,
    at: int,
    parent: int | None,
    train: Split,
    rows: NDArray[np.int64],
    splits: Mapping[SplitName, Split],
    seed: int,
) -> tuple[int, Predictions]:
    """The best of the grid for a task by validation: its leaves, and what it says of every split's rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    task = store.schema.tasks[at]
    labels = _labels(train, at, parent)[rows]
    rows, labels = rows[~np.isnan(labels)], labels[~np.isnan(labels)]
    if len(labels) == 0 or (task.kind == "binary" and labels.min() == labels.max()):
        raise TrainingError(f"task '{task.name}' has no two classes on train")
    features = TreeFeatures(store.schema, train, labels, rows, seed)
    columns = {name: features.of(split) for name, split in splits.items()}
    truth = _labels(splits["valid"], at, parent)
    known = ~np.isnan(truth)
    stops = known.any() and (task.kind == "regression" or truth[known].min() < truth[known].max())
    best: tuple[float, int, Predictions] | None = None
    for leaves in LEAVES:
        model = (HistGradientBoostingClassifier if task.kind == "binary" else HistGradientBoostingRegressor)(
            learning_rate=RATE,
            max_iter=MOST_TREES if stops else MOST_TREES // 3,
            max_leaf_nodes=leaves,
            max_features=COLUMNS_A_SPLIT,
            categorical_features=features.categorical,
            early_stopping=bool(stops),
            n_iter_no_change=PATIENCE,
            random_state=seed,
        )
        if stops:
            model.fit(features.train, labels, X_val=columns["valid"][known], y_val=truth[known])
        else:
            model.fit(features.train, labels)
        said = {name: _say(model, each, task.kind == "binary") for name, each in columns.items()}
        if task.kind == "binary":
            merit = binary(truth, said["valid"], splits["valid"].group).get("auc", 0.0)
        else:
            merit = -regression(truth, said["valid"]).get("rmse", 0.0)
        if best is None or merit > best[0]:
            best = merit, leaves, said
    assert best is not None
    return best[1], best[2]


def _labels(split: Split, at: int, parent: int | None) -> NDArray[np.float32]:
    """(N,) of a task, NaN where its parent did not happen."""
    own = split.labels[:, at]
    return own if parent is None else np.where(split.labels[:, parent] == 1, own, np.float32(np.nan))


def _say(model: object, columns: NDArray[np.float32], is_binary: bool) -> NDArray[np.float32]:
    said = model.predict_proba(columns)[:, 1] if is_binary else model.predict(columns)  # type: ignore[attr-defined]
    return np.asarray(said, np.float32)
