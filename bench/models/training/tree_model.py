"""Boosted trees as they are measured and served: scikit-learn's histogram trees as the plain arrays
of a `TreeModel`.

scikit-learn's trees are private attributes. So packaging compares the predictions of the arrays
with those of the trees (`bench.serve.package`), and a test does with each available version.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.records import Job, Scalar, SplitName, TrialResult
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.core.system.machine import peak_memory_mb, tree_threads
from bench.data import Store
from bench.data.batches import Batches
from bench.models.training.evaluation import BothPredictions, latencies, measured_splits
from bench.models.training.tree_data import RowLimits, width
from bench.models.training.tree_settings import TreeSettings
from bench.models.training.tree_training import TaskTrees, train_trees
from bench.models.trees import NO_CHOICE, PASSED_BY_NONE, Columns, TreeModel, TreeSizes

MOST_TRIED = 100_000
"""Largest number of train rows for trying settings: half the time on Census-Income. With 60,000 of
its 160,000 rows smaller trees win, which lose .001 of income's AUC on all rows."""


def run_trees(job: Job, store: Store) -> TrialResult:
    """Trains a job's trees and measures them on its splits; FloatingPointError if a task has one
    class on train.
    """
    started = time.perf_counter()
    grown = grow(store, job.config, job.seed, job.threads, None if job.replicate else MOST_TRIED)
    seconds = time.perf_counter() - started
    with tree_threads(job.threads):
        metrics, resampled = measured_splits(job, store, grown.predictions)

    config: dict[str, Scalar] = {}
    for trees in grown.tasks:
        config |= trees.settings.dotted(trees.task)
    for trees in grown.tasks:
        config[f"trees.{trees.task}.trees"] = trees.trees
    speed = {"train_seconds": seconds, "peak_rss_mb": peak_memory_mb()}
    return TrialResult(metrics | grown.costs, speed, [], config, resampled=resampled)


@dataclass(frozen=True)
class Grown:
    """Trained trees of all tasks, which predict `piece` rows at once."""

    store: Store
    tasks: tuple[TaskTrees, ...]
    piece: int

    def predictions(self, split: SplitName) -> Iterator[BothPredictions]:
        """Predictions of a split, piece by piece in its order."""
        return _predictions(self.tasks, self.store, split, self.piece)

    @cached_property
    def costs(self) -> dict[str, float]:
        """As `bench.models.training.evaluation.costs`, of the trees as served."""
        size = {"cost/parameters": float(self.model.numbers)}
        return size | latencies(self.model, self.store.schema)

    @cached_property
    def model(self) -> TreeModel:
        """The trees as plain arrays."""
        return tree_model(self.tasks, self.store.schema)


def grow(
    store: Store,
    config: Mapping[str, Scalar],
    seed: int,
    threads: int,
    most_rows: int | None = None,
) -> Grown:
    """Trains the trees of all tasks with a configuration's settings, on at most `most_rows` rows of
    train.
    """
    limits = RowLimits.of(store.split("train"), width(store.schema))
    if most_rows is not None:
        limits = replace(limits, train=min(limits.train, most_rows))
    trained = []
    with tree_threads(threads):
        for index, task in enumerate(store.schema.tasks):
            settings = TreeSettings.of(config, task.name)
            trained.append(train_trees(store, index, settings, limits, derive(seed, task.name)))
    return Grown(store, tuple(trained), limits.piece)


def _predictions(
    trained: Sequence[TaskTrees], store: Store, split: SplitName, piece: int
) -> Iterator[BothPredictions]:
    chains = [list(store.schema.chain(task)) for task in range(len(trained))]
    for ids, dense, *_ in Batches(store.split(split)).in_order(piece):
        columns = [trees.predict(ids.numpy(), dense.numpy()) for trees in trained]
        conditional = np.stack(columns, axis=1)
        joint = [conditional[:, chain].prod(axis=1) for chain in chains]
        yield conditional, np.stack(joint, axis=1)


def tree_model(trained: Sequence[TaskTrees], schema: Schema) -> TreeModel:
    """Converts the trees of all tasks, in the schema's order, to one module."""
    arrays = _NodeArrays(schema.without_ranges)
    for task, trees in enumerate(trained):
        arrays.add(task, trees)
    depths = np.array(arrays.depths)
    deepest_first = np.argsort(-depths, kind="stable")
    place = np.empty_like(deepest_first)
    place[deepest_first] = np.arange(len(place))

    sizes = TreeSizes(
        trees=tuple(trees.trees for trees in trained),
        nodes=arrays.nodes,
        choices=len(arrays.goes_right),
        walking=tuple(int((depths > step).sum()) for step in range(depths.max())),
    )
    model = TreeModel(schema, sizes)
    values: dict[str, Any] = {
        "roots": np.array(arrays.roots)[deepest_first],
        "place": place,
        "base": [np.ravel(trees.model._baseline_prediction)[0] for trees in trained],
        "goes_right": arrays.goes_right,
        "rates": _rates(trained, model.places),
        "absent": [trees.features.mean for trees in trained] + [0.0] * len(trained),
    }
    for name, parts in arrays.columns.items():
        values[name] = np.concatenate(parts)

    state = {}
    for name, tensor in model.state_dict().items():
        value = torch.from_numpy(np.asarray(values[name]))
        state[name] = value.to(tensor.dtype).reshape(tensor.shape)
    model.load_state_dict(state)
    return model


def _rates(trained: Sequence[TaskTrees], places: Columns) -> NDArray[np.float32]:
    """(rows, 2 T): for each value of the large fields its rate by task, then its frequency."""
    of_fields = [np.empty((0, 2 * len(trained)), np.float32)]
    for field in places.large:
        tables = [trees.features.tables[field] for trees in trained]
        rates = [table.rates for table in tables if table is not None]
        frequencies = [table.frequencies for table in tables if table is not None]
        of_fields.append(np.stack([*rates, *frequencies], axis=1))
    return np.concatenate(of_fields)


class _NodeArrays:
    """Arrays of a `TreeModel`, to which trees are added.

    Attributes:
        roots: index of each tree's root.
        depths: of each tree.
        columns: parts of the arrays that have a number for each node, by name.
        goes_right: tables of categories, the empty one first.
        nodes: their number.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.places = Columns(schema)
        self.roots: list[int] = []
        self.depths: list[int] = []
        self.columns: dict[str, list[NDArray[np.generic]]] = defaultdict(list)
        self.goes_right = [False] * NO_CHOICE
        self.nodes = 0

    def add(self, task: int, trees: TaskTrees) -> None:
        """Adds the trees of a task.

        scikit-learn reorders columns, categories first, and renumbers them.
        """
        small = []
        numbers = list(range(len(self.schema.dense)))
        for field in range(len(self.schema.fields)):
            if field in self.places.large:
                rate = self.places.of_rate(task, field)
                numbers += [rate, rate + len(self.schema.tasks)]
            else:
                small.append(self.places.small.index(field))
        categories = []
        if small:
            encoder = trees.model._preprocessor.named_transformers_["encoder"]
            categories = [values.astype(np.int64) for values in encoder.categories_]
        sources = np.array([*small, *numbers])
        for (tree,) in trees.model._predictors:
            self._add_tree(tree, sources, categories)

    def _add_tree(
        self, tree: Any, sources: NDArray[np.int64], categories: Sequence[NDArray[np.int64]]
    ) -> None:
        """Adds a tree's nodes by level: scikit-learn's are depth first; by level, children lie side
        by side.

        Args:
            sources: for each of its columns, the index of a small field or of our column.
            categories: of small fields, whose columns come first.
        """
        order = np.argsort(tree.nodes["depth"], kind="stable")
        place = np.argsort(order)
        nodes = tree.nodes[order]
        is_leaf = nodes["is_leaf"] > 0
        missing_left = nodes["missing_go_to_left"] > 0
        asks_category = ~is_leaf & (nodes["feature_idx"] < len(categories))
        source = sources[nodes["feature_idx"]]

        choice = np.zeros(len(nodes), np.int64)
        for node in np.flatnonzero(asks_category):
            choice[node] = len(self.goes_right)
            left_bits = tree.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
            field_categories = categories[nodes["feature_idx"][node]]
            self.goes_right += self._right(
                source[node], left_bits, field_categories, not missing_left[node]
            )

        number_column = source + np.where(missing_left, 0, self.places.count)
        category_column = 2 * self.places.count + source
        column = np.where(asks_category, category_column, number_column)
        threshold = _rounded_down(nodes["num_threshold"])
        left_child = np.where(is_leaf, np.arange(len(nodes)), place[nodes["left"]])
        self.columns["column"].append(np.where(is_leaf, 0, column))
        self.columns["threshold"].append(
            np.where(is_leaf | asks_category, PASSED_BY_NONE, threshold)
        )
        self.columns["left"].append(self.nodes + left_child)
        self.columns["value"].append(nodes["value"])
        self.columns["choice"].append(choice)
        self.roots.append(self.nodes)
        self.depths.append(int(nodes["depth"][-1]))
        self.nodes += len(nodes)

    def _right(
        self, field: int, left_bits: Any, categories: NDArray[np.int64], missing_right: bool
    ) -> list[bool]:
        """Whether each category of a field goes right; one that the trees did not see goes with
        missing ones.
        """
        cardinality = self.schema.fields[self.places.small[field]].cardinality
        right = np.full(cardinality, missing_right)
        ordinal = np.arange(len(categories))
        words = np.asarray(left_bits)[ordinal // 32]
        right[categories] = (words >> (ordinal % 32).astype(np.uint32) & 1) == 0
        return right.tolist()


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not larger, so comparisons of float32 numbers with it are
    unchanged.
    """
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    rounded = np.where(rounded <= thresholds, rounded, np.nextafter(rounded, np.float32(-np.inf)))
    return np.minimum(rounded, np.float32(PASSED_BY_NONE))
