"""Gradient-boosted trees, as good as any network on many tables: scikit-learn's histogram trees on
the same store.

Each task has its own trees; one with a parent learns where its parent happened, and its joint
probability is the product along its chain. Validation decides the number of trees, like early
stopping of networks; the other settings come from the job's configuration, tuned by
`bench.search.confirm.baselines`. Trees learn from as many rows as the memory limit for samples
holds (see `tree_data`); others are read and predicted in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Ids
from bench.core.errors import TrainingError
from bench.core.seeds import derive
from bench.data import Store
from bench.data.store import StoredSplit
from bench.models.training.tree_data import RowLimits, TreeColumns, TreeFeatures, draw
from bench.models.training.tree_settings import TreeSettings

MOST_TREES = 2000
PATIENCE = 20
"""Trees without a smaller loss on validation before training stops."""
BLIND = 100
"""Number of trees if validation cannot decide when to stop."""


@dataclass(frozen=True)
class TaskTrees:
    """Trained trees of one task."""

    task: str
    settings: TreeSettings
    features: TreeFeatures
    model: Any
    binary: bool

    @property
    def trees(self) -> int:
        """Number of trees."""
        return int(self.model.n_iter_)

    @property
    def merit(self) -> float:
        """Minus the best loss on validation; minus infinity if unknown."""
        return float(max(self.model.validation_score_, default=-np.inf))

    def predict(self, ids: Ids, dense: TreeColumns) -> TreeColumns:
        """(N,), the probability, or the value."""
        columns = self.features.of(ids, dense)
        if self.binary:
            return np.asarray(self.model.predict_proba(columns)[:, 1], np.float32)
        return np.asarray(self.model.predict(columns), np.float32)


def train_trees(
    store: Store,
    task_index: int,
    settings: TreeSettings,
    limits: RowLimits,
    seed: int,
    train: StoredSplit | None = None,
) -> TaskTrees:
    """Trains the trees of the task at an index; raises FloatingPointError if it has only one class
    on train.

    `train` are the rows to learn from, by default all of train.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    schema = store.schema
    task, parent = schema.tasks[task_index], schema.parents[task_index]
    binary = task.kind == "binary"
    if train is None:
        train = store.split("train")
    rows = draw(train, task_index, parent, limits.train, derive(seed, "rows"))
    if not len(rows) or (binary and not _varies(rows.labels)):
        raise TrainingError(f"task '{task.name}' has no two classes on train")
    features, columns = TreeFeatures.learn(
        schema, rows.ids, rows.dense, rows.labels, derive(seed, "folds"), rows.weights
    )
    labels, weights = rows.labels, rows.weights
    del rows  # only the columns stay in memory while trees are trained

    judges = draw(store.split("valid"), task_index, parent, limits.valid, derive(seed, "judges"))
    stops = len(judges) > 0 and (not binary or _varies(judges.labels))
    kind = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    model = kind(
        learning_rate=settings.learning_rate,
        max_iter=MOST_TREES if stops else BLIND,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.rows_a_leaf,
        l2_regularization=settings.l2,
        max_features=settings.columns,
        categorical_features=features.categorical,
        early_stopping=stops,
        n_iter_no_change=PATIENCE,
        random_state=seed,
    )
    if stops:
        model.fit(
            columns,
            labels,
            weights,
            X_val=features.of(judges.ids, judges.dense),
            y_val=judges.labels,
            sample_weight_val=judges.weights,
        )
    else:
        model.fit(columns, labels, weights)
    return TaskTrees(task.name, settings, features, model, binary)


def _varies(labels: NDArray[np.float32]) -> bool:
    return bool(labels.min() < labels.max())
