"""Boosted trees as they are measured and served: scikit-learn's histogram trees as the plain arrays
of a `TreeModel`.

scikit-learn's trees are private attributes. So packaging compares the predictions of the arrays
with those of the trees (`bench.serve.package`), and a test does with each available version.
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

from bench.core.records import Job, Scalar, SplitName, TrialResult
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.core.system.machine import peak_memory_mb, tree_threads
from bench.data import Store
from bench.data.batches import Batches
from bench.models.training.evaluation import BothPredictions, latencies, measured_splits
from bench.models.training.tree_data import Share, width
from bench.models.training.tree_settings import TreeSettings
from bench.models.training.trees import TaskTrees, train_trees
from bench.models.trees import NO_CHOICE, PASSED_BY_NONE, Columns, TreeModel, TreeSizes

TRIED = 100_000
"""Largest number of train rows for trying settings: half the time on Census-Income. With 60,000 of
its 160,000 rows smaller trees win, which lose .001 of income's AUC on all rows."""


def run_trees(job: Job, store: Store) -> TrialResult:
    """Trains a job's trees and measures them on its splits; FloatingPointError if a task has one
    class on train.
    """
    started = time.perf_counter()
    grown = grow(store, job.config, job.seed, job.threads, None if job.replicate else TRIED)
    seconds = time.perf_counter() - started
    with tree_threads(job.threads):
        metrics, resampled = measured_splits(job, store, grown.of)
    config = {
        key: value for each in grown.tasks for key, value in each.settings.dotted(each.task).items()
    }
    many = {f"trees.{each.task}.trees": each.trees for each in grown.tasks}
    speed = {"train_seconds": seconds, "peak_rss_mb": peak_memory_mb()}
    return TrialResult(metrics | grown.costs, speed, [], config | many, resampled=resampled)


@dataclass(frozen=True)
class Grown:
    """Trained trees of all tasks, which predict `piece` rows at once."""

    store: Store
    tasks: tuple[TaskTrees, ...]
    piece: int

    def of(self, split: SplitName) -> Iterator[BothPredictions]:
        """Predictions of a split, piece by piece in its order."""
        return _predictions(self.tasks, self.store, split, self.piece)

    @cached_property
    def costs(self) -> dict[str, float]:
        """As `bench.models.training.evaluation.costs`, of the trees as served."""
        return {"cost/parameters": float(self.model.numbers)} | latencies(
            self.model, self.store.schema
        )

    @cached_property
    def model(self) -> TreeModel:
        """The trees as plain arrays."""
        return tree_model(self.tasks, self.store.schema)


def grow(
    store: Store, config: Mapping[str, Scalar], seed: int, threads: int, most: int | None = None
) -> Grown:
    """Trains the trees of all tasks with a configuration's settings, on at most `most` rows of
    train.
    """
    schema = store.schema
    share = Share.of(store.split("train"), width(schema))
    share = share if most is None else replace(share, train=min(share.train, most))
    with tree_threads(threads):
        every = [
            train_trees(
                store, at, TreeSettings.of(config, task.name), share, derive(seed, task.name)
            )
            for at, task in enumerate(schema.tasks)
        ]
    return Grown(store, tuple(every), share.piece)


def _predictions(
    trained: Sequence[TaskTrees], store: Store, split: SplitName, piece: int
) -> Iterator[BothPredictions]:
    chains = [list(store.schema.chain(at)) for at in range(len(trained))]
    for ids, dense, *_ in Batches(store.split(split)).in_order(piece):
        given = np.stack([each.predict(ids.numpy(), dense.numpy()) for each in trained], axis=1)
        yield given, np.stack([given[:, chain].prod(axis=1) for chain in chains], axis=1)


def tree_model(trained: Sequence[TaskTrees], schema: Schema) -> TreeModel:
    """Converts the trees of all tasks, in the schema's order, to one module."""
    arrays = _Arrays(schema.without_ranges)
    for task, each in enumerate(trained):
        arrays.add(task, each)
    deepest_first = np.argsort(-np.array(arrays.depths), kind="stable")
    place = np.empty_like(deepest_first)
    place[deepest_first] = np.arange(len(place))
    sizes = TreeSizes(
        trees=tuple(each.trees for each in trained),
        nodes=arrays.nodes,
        choices=len(arrays.goes_right),
        walking=tuple(
            sum(depth > step for depth in arrays.depths) for step in range(max(arrays.depths))
        ),
    )
    made = TreeModel(schema, sizes)
    given: dict[str, Any] = {
        name: np.concatenate(each) for name, each in arrays.of_nodes.items()
    } | {
        "roots": np.array(arrays.roots)[deepest_first],
        "place": place,
        "base": [np.ravel(each.model._baseline_prediction)[0] for each in trained],
        "goes_right": arrays.goes_right,
        "rates": _rates(trained, made.places),
        "absent": [*(each.features.mean for each in trained), *(0.0 for _ in trained)],
    }
    made.load_state_dict(
        {
            name: torch.from_numpy(np.asarray(given[name])).to(tensor.dtype).reshape(tensor.shape)
            for name, tensor in made.state_dict().items()
        }
    )
    return made


def _rates(trained: Sequence[TaskTrees], places: Columns) -> NDArray[np.float32]:
    """(rows, 2 T): for each value of the large fields its rate by task, then its frequency."""
    parts = []
    for field in places.large:
        tables = [each.features.tables[field] for each in trained]
        parts.append(
            np.stack(
                [table[which] for which in (0, 1) for table in tables if table is not None], axis=1
            )
        )
    return np.concatenate(parts) if parts else np.empty((0, 2 * len(trained)), np.float32)


class _Arrays:
    def __init__(self, schema: Schema) -> None:
        self.places, self.schema = Columns(schema), schema
        self.roots, self.depths = list[int](), list[int]()
        self.of_nodes: dict[str, list[NDArray[np.generic]]] = {
            name: [] for name in ("column", "threshold", "left", "value", "choice")
        }
        self.goes_right = [False] * NO_CHOICE
        self.nodes = 0

    def add(self, task: int, trained: TaskTrees) -> None:
        """Adds the trees of a task.

        scikit-learn reorders columns, categories first, and renumbers them.
        """
        small, sources = list[int](), list(range(len(self.schema.dense)))
        for at in range(len(self.schema.fields)):
            if at in self.places.large:
                rate = self.places.of_rate(task, at)
                sources += [rate, rate + len(self.schema.tasks)]
            else:
                small.append(self.places.small.index(at))
        known = []
        if small:
            encoder = trained.model._preprocessor.named_transformers_["encoder"]
            known = [each.astype(np.int64) for each in encoder.categories_]
        for (tree,) in trained.model._predictors:
            self._add(tree, np.array([*small, *sources]), known)

    def _add(
        self, tree: Any, sources: NDArray[np.int64], known: Sequence[NDArray[np.int64]]
    ) -> None:
        """Adds a tree's nodes by level: scikit-learn's are depth first; by level, children lie side
        by side.

        Args:
            sources: for each of its columns, the index of a small field or of our column.
            known: categories of small fields, whose columns come first.
        """
        order = np.argsort(tree.nodes["depth"], kind="stable")
        nodes, place, own = tree.nodes[order], np.argsort(order), np.arange(len(order))
        leaf, asked, goes_left = (
            nodes["is_leaf"] > 0,
            nodes["feature_idx"],
            nodes["missing_go_to_left"] > 0,
        )
        of_field, source, choice = (
            ~leaf & (asked < len(known)),
            sources[asked],
            np.zeros(len(nodes), np.int64),
        )
        of_number = source + np.where(goes_left, 0, self.places.count)
        for at in np.flatnonzero(of_field):
            choice[at] = len(self.goes_right)
            left = tree.raw_left_cat_bitsets[nodes["bitset_idx"][at]]
            self.goes_right += self._right(source[at], left, known[asked[at]], not goes_left[at])
        given = {
            "column": np.where(
                leaf, 0, np.where(of_field, 2 * self.places.count + source, of_number)
            ),
            "threshold": np.where(
                leaf | of_field, PASSED_BY_NONE, _rounded_down(nodes["num_threshold"])
            ),
            "left": self.nodes + np.where(leaf, own, place[nodes["left"]]),
            "value": nodes["value"],
            "choice": choice,
        }
        for name, array in given.items():
            self.of_nodes[name].append(array)
        self.roots.append(self.nodes)
        self.depths.append(int(nodes["depth"][-1]))
        self.nodes += len(nodes)

    def _right(self, field: int, left: Any, known: NDArray[np.int64], unknown: bool) -> list[bool]:
        """Whether each category of a field goes right; one that the trees did not see goes with
        missing ones.
        """
        right = np.full(self.schema.fields[self.places.small[field]].cardinality, unknown)
        ordinal = np.arange(len(known))
        right[known] = (
            np.asarray(left)[ordinal // 32] >> (ordinal % 32).astype(np.uint32) & 1
        ) == 0
        return right.tolist()


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not larger, so comparisons of float32 numbers with it are
    unchanged.
    """
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    rounded = np.where(rounded <= thresholds, rounded, np.nextafter(rounded, np.float32(-np.inf)))
    return np.minimum(rounded, np.float32(PASSED_BY_NONE))
