"""Boosted trees as they are measured and served: scikit-learn's histogram trees as the plain arrays of a `TreeModel`.

What scikit-learn keeps of trained trees is private to it. So nothing is believed: whoever packages the arrays compares
what they say with what the trees said (`bench.production.package`), and a test does with each version at hand.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import SplitName, Store
from bench.data.batches import Batches
from bench.machine import peak_memory_mb, tree_threads
from bench.models.trees import LARGEST, NO_CHOICE, PASSED_BY_NONE, Columns, TreeModel, TreeSizes
from bench.records import Job, Scalar, TrialResult
from bench.schema import Schema
from bench.seeds import derive
from bench.training.evaluation import Predictions, latencies, measured_splits
from bench.training.tree_data import Share, width
from bench.training.tree_settings import TreeSettings
from bench.training.trees import TaskTrees, train_trees

TRIED = 60_000
"""Rows of train that a try of settings learns from, at most: it takes a third of the time on Census-Income."""


def run_trees(job: Job, store: Store) -> TrialResult:
    """Trains a job's trees and measures them on its splits.

    Raises:
        FloatingPointError: a task has one class only on train, so that there is nothing to learn.
    """
    started = time.perf_counter()
    grown = grow(store, job.config, job.seed, job.threads, None if job.replicate else TRIED)
    seconds = time.perf_counter() - started
    with tree_threads(job.threads):
        metrics, resampled = measured_splits(job, store, grown.of)
    config = {key: value for each in grown.tasks for key, value in each.settings.dotted(each.task).items()}
    many = {f"trees.{each.task}.trees": each.trees for each in grown.tasks}
    speed = {"train_seconds": seconds, "peak_rss_mb": peak_memory_mb()}
    return TrialResult(metrics | grown.costs, speed, [], config | many, resampled=resampled)


@dataclass(frozen=True)
class Grown:
    """Trained trees of all tasks.

    Attributes:
        piece: rows that are predicted at once.
    """

    store: Store
    tasks: tuple[TaskTrees, ...]
    piece: int

    def of(self, split: SplitName) -> Iterator[Predictions]:
        """Predictions of a split, piece by piece in its order."""
        return _predictions(self.tasks, self.store, split, self.piece)

    @cached_property
    def costs(self) -> dict[str, float]:
        """As `bench.training.evaluation.costs`, of the trees as they are served."""
        return {"cost/parameters": float(self.model.numbers)} | latencies(self.model, self.store.schema)

    @cached_property
    def model(self) -> TreeModel:
        """The trees as plain arrays, as they are served."""
        return tree_model(self.tasks, self.store.schema)


def grow(store: Store, config: Mapping[str, Scalar], seed: int, threads: int, most: int | None = None) -> Grown:
    """Trains the trees of all tasks by a configuration.

    Args:
        most: rows of train, where fewer than the memory holds are to be taken.
    """
    schema = store.schema
    share = Share.of(store.split("train"), width(schema))
    share = share if most is None else replace(share, train=min(share.train, most))
    with tree_threads(threads):
        every = [
            train_trees(store, at, TreeSettings.of(config, task.name), share, derive(seed, task.name))
            for at, task in enumerate(schema.tasks)
        ]
    return Grown(store, tuple(every), share.piece)


def _predictions(trained: Sequence[TaskTrees], store: Store, split: SplitName, piece: int) -> Iterator[Predictions]:
    chains = [list(store.schema.chain(at)) for at in range(len(trained))]
    for ids, dense, *_ in Batches(store.split(split)).in_order(piece):
        given = np.stack([each.predict(ids.numpy(), dense.numpy()) for each in trained], axis=1)
        yield given, np.stack([given[:, chain].prod(axis=1) for chain in chains], axis=1)


def tree_model(trained: Sequence[TaskTrees], schema: Schema) -> TreeModel:
    """The trees of all tasks, in the order of the schema's, as one module."""
    arrays = _Arrays(schema.without_ranges)
    for task, each in enumerate(trained):
        arrays.add(task, each)
    deepest_first = np.argsort(-np.array(arrays.depths), kind="stable")
    place = np.empty_like(deepest_first)
    place[deepest_first] = np.arange(len(place))
    sizes = TreeSizes(
        trees=tuple(each.trees for each in trained),
        nodes=len(arrays.left),
        choices=len(arrays.goes_right),
        walking=tuple(sum(depth > step for depth in arrays.depths) for step in range(max(arrays.depths))),
    )
    made = TreeModel(schema, sizes)
    base = [np.ravel(each.model._baseline_prediction)[0] for each in trained]
    given: dict[str, Any] = {
        "roots": np.array(arrays.roots)[deepest_first], "place": place, "column": arrays.column,
        "threshold": arrays.threshold, "left": arrays.left, "value": arrays.value, "base": base,
        "choice": arrays.choice, "goes_right": arrays.goes_right, "rates": _rates(trained, made.places),
        "absent": _absent(trained),
    }  # fmt: skip
    made.load_state_dict(
        {
            name: torch.from_numpy(np.asarray(given[name])).to(tensor.dtype).reshape(tensor.shape)
            for name, tensor in made.state_dict().items()
        }
    )
    return made


def _rates(trained: Sequence[TaskTrees], places: Columns) -> NDArray[np.float32]:
    """(rows, 2 T): of each value of the large fields its rate by task, then how often it is there."""
    parts = []
    for field in places.large:
        tables = [each.features.tables[field] for each in trained]
        parts.append(np.stack([table[which] for which in (0, 1) for table in tables if table is not None], axis=1))
    return np.concatenate(parts) if parts else np.empty((0, 2 * len(trained)), np.float32)


def _absent(trained: Sequence[TaskTrees]) -> list[float]:
    return [*(each.features.mean for each in trained), *(0.0 for _ in trained)]


class _Arrays:
    """Nodes of all trees, in the order in which they are added."""

    def __init__(self, schema: Schema) -> None:
        self.places, self.schema = Columns(schema), schema
        self.roots: list[int] = []
        self.depths: list[int] = []
        self.column: list[int] = []
        self.threshold: list[float] = []
        self.left: list[int] = []
        self.value: list[float] = []
        self.choice: list[int] = []
        self.goes_right = [False] * NO_CHOICE

    def add(self, task: int, trained: TaskTrees) -> None:
        """Adds the trees of a task."""
        sources, categories = self._sources(task, trained)
        for (tree,) in trained.model._predictors:
            self._add(tree, sources, categories)

    def _sources(self, task: int, trained: TaskTrees) -> tuple[list[tuple[str, int]], dict[int, NDArray[np.int64]]]:
        """Where each column that a tree knows comes from, in the trees' order, and the categories that it knows.

        scikit-learn puts categories first, and gives them numbers of its own.
        """
        numbers, small = [("number", at) for at in range(len(self.schema.dense))], []
        of_columns: list[tuple[str, int]] = list(numbers)
        for at in range(len(self.schema.fields)):
            if at in self.places.large:
                rate = self.places.of_rate(task, at)
                of_columns += [("number", rate), ("number", rate + len(self.schema.tasks))]
            else:
                small.append(("field", self.places.small.index(at)))
                of_columns.append(small[-1])
        if trained.model._preprocessor is None:
            return of_columns, {}
        encoder = trained.model._preprocessor.named_transformers_["encoder"]
        known = {at: each.astype(np.int64) for at, each in enumerate(encoder.categories_)}
        return [*small, *(each for each in of_columns if each[0] == "number")], known

    def _add(self, tree: Any, sources: Sequence[tuple[str, int]], categories: dict[int, NDArray[np.int64]]) -> None:
        """A tree's nodes, each level behind the one above it, so that children lie side by side."""
        nodes, first = tree.nodes, len(self.left)
        self.roots.append(first)
        self.depths.append(int(nodes["depth"].max()))
        order = [0]
        for at, place in enumerate(order):
            node = nodes[place]
            self.value.append(float(node["value"]))
            column, threshold, choice = 0, PASSED_BY_NONE, 0
            if node["is_leaf"]:
                self.left.append(first + at)
            else:
                self.left.append(first + len(order))
                order += [int(node["left"]), int(node["right"])]
                kind, source = sources[node["feature_idx"]]
                if kind == "field":
                    left = tree.raw_left_cat_bitsets[node["bitset_idx"]]
                    column, choice = 2 * self.places.count + source, len(self.goes_right)
                    known = categories[int(node["feature_idx"])]
                    self.goes_right += self._right(source, left, known, not node["missing_go_to_left"])
                else:
                    column = source + (0 if node["missing_go_to_left"] else self.places.count)
                    threshold = _rounded_down(float(node["num_threshold"]))
            self.column.append(column)
            self.threshold.append(threshold)
            self.choice.append(choice)

    def _right(self, field: int, left: Any, known: NDArray[np.int64], unknown: bool) -> list[bool]:
        """Of each category of a field whether it goes right; one that the trees did not see goes with missing ones."""
        right = np.full(self.schema.fields[self.places.small[field]].cardinality, unknown)
        ordinal = np.arange(len(known))
        right[known] = (np.asarray(left)[ordinal // 32] >> (ordinal % 32).astype(np.uint32) & 1) == 0
        return right.tolist()


def _rounded_down(threshold: float) -> float:
    """The largest float32 that is no larger: as many float32 numbers are above it as are above the threshold."""
    if threshold >= LARGEST:
        return PASSED_BY_NONE
    rounded = np.float32(threshold)
    return float(rounded if rounded <= threshold else np.nextafter(rounded, np.float32(-np.inf)))
