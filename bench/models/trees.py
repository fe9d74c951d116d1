"""Boosted trees as a module of plain arrays, which walks the trees of all tasks for all rows at
once.

Nodes lie in one array, and a node's children lie side by side behind it, so a node needs two
numbers: the column that it tests, and the index of its left child. A leaf leads to itself, so all
walks have the same number of steps. Three tricks make that fast without changing scikit-learn's
predictions:

* columns are float32, so a threshold in double is rounded down to the next float32;
* each number has two columns, with missing values as the least and as the largest number: a node
  tests the one that sends missing values its way;
* a node that tests a category has a table of the categories that go right, and a threshold that no
  category passes; a node that tests a number has an empty table, so both are computed alike.

Trees are sorted by depth, the deepest first, so that finished trees are left out of the later
steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.contracts import Probabilities

MOST_CATEGORIES = 255
"""Largest number of values of a field that trees split by category; for larger fields they use
target rates.
"""
NO_CHOICE = MOST_CATEGORIES + 1
LARGEST = float(np.finfo(np.float32).max)
PASSED_BY_NONE = float(np.nextafter(np.float32(LARGEST), np.float32(0)))
"""Threshold of a leaf, of a category, and of missing values only: no number except `LARGEST` is
larger.
"""
_Size = Annotated[int, Field(ge=0, lt=2**31 - 1)]


class TreeSizes(Config):
    """The sizes of a `TreeModel`."""

    trees: tuple[_Size, ...]
    """Number of trees of each task."""
    nodes: Annotated[int, Field(ge=1, lt=2**31 - 1)]
    """Number of nodes of all trees."""
    choices: Annotated[int, Field(ge=NO_CHOICE, lt=2**31 - 1)] = NO_CHOICE
    """Length of the tables of categories; the empty one of nodes that test a number comes first."""
    walking: Annotated[tuple[_Size, ...], Field(max_length=256)] = ()
    """Number of unfinished trees at each step."""


def is_small(slots: int, cardinality: int) -> bool:
    """Whether trees split a field by category."""
    return slots == 1 and cardinality <= MOST_CATEGORIES


@dataclass(frozen=True)
class Columns:
    """The C columns of a schema: dense ones first, then two for each task and large field."""

    schema: Schema

    @property
    def small(self) -> list[int]:
        """Indices of the fields that are split by category."""
        return [
            at
            for at, each in enumerate(self.schema.fields)
            if is_small(each.slots, each.cardinality)
        ]

    @property
    def large(self) -> list[int]:
        """Indices of the fields of which target rates are used."""
        return [
            at
            for at, each in enumerate(self.schema.fields)
            if not is_small(each.slots, each.cardinality)
        ]

    @property
    def rows(self) -> int:
        """Total cardinality of the large fields."""
        return sum(self.schema.fields[at].cardinality for at in self.large)

    @property
    def count(self) -> int:
        """C."""
        return len(self.schema.dense) + 2 * len(self.schema.tasks) * len(self.large)

    def of_rate(self, task: int, field: int) -> int:
        """Column of a task's rate of a large field; the value's frequency is T columns later."""
        return len(self.schema.dense) + 2 * len(self.schema.tasks) * self.large.index(field) + task


class TreeModel(nn.Module):
    """Boosted trees of every task; all zero until a state is loaded. The ranges of numbers in a
    schema are not read.
    """

    def __init__(self, schema: Schema, sizes: TreeSizes) -> None:
        super().__init__()
        self.schema, self.sizes = schema.without_ranges, sizes
        self.places = Columns(self.schema)
        tasks, trees = len(self.schema.tasks), sum(sizes.trees)

        self.rates = nn.Buffer(torch.zeros(self.places.rows, 2 * tasks))
        self.absent = nn.Buffer(torch.zeros(2 * tasks))
        self.roots, self.place = (
            nn.Buffer(torch.zeros(trees, dtype=torch.int32)) for _ in range(2)
        )
        self.column, self.left, self.choice = (
            nn.Buffer(torch.zeros(sizes.nodes, dtype=torch.int32)) for _ in range(3)
        )
        self.threshold = nn.Buffer(torch.zeros(sizes.nodes))
        self.value = nn.Buffer(torch.zeros(sizes.nodes, dtype=torch.float64))
        self.base = nn.Buffer(torch.zeros(tasks, dtype=torch.float64))
        self.goes_right = nn.Buffer(torch.zeros(sizes.choices, dtype=torch.bool))

    def forward(self, ids: Tensor, dense: Tensor) -> Probabilities:
        """ids (B, S) int32 and dense (B, D) -> conditional and joint (B, T)."""
        rows, trees = ids.shape[0], sum(self.sizes.trees)
        flat, column = self._columns(ids, dense).reshape(-1), self.column * rows
        row = (
            torch.arange(rows, dtype=torch.int32, device=ids.device)
            .unsqueeze(0)
            .expand(trees, -1)
            .reshape(-1)
        )
        node = self.roots.unsqueeze(1).expand(-1, rows).reshape(-1)
        ended: list[Tensor] = []
        for many in self.sizes.walking:
            ended.append(node[many * rows :])
            node, row = node[: many * rows], row[: many * rows]
            asked = flat.index_select(0, column.index_select(0, node) + row)
            right = asked > self.threshold.index_select(0, node)
            if self.sizes.choices > NO_CHOICE:
                own = asked.clamp(0, MOST_CATEGORIES).to(torch.int32) + self.choice.index_select(
                    0, node
                )
                right = torch.logical_or(right, self.goes_right.index_select(0, own))
            node = self.left.index_select(0, node) + right.to(torch.int32)
        leaf = torch.cat([node, *reversed(ended)]).reshape(trees, -1).index_select(0, self.place)
        values = self.value.index_select(0, leaf.reshape(-1)).reshape(trees, -1)
        of_tasks = torch.split(values, list(self.sizes.trees))
        said = [each.sum(0) + base for each, base in zip(of_tasks, self.base.unbind(), strict=True)]
        binary = [task.kind == "binary" for task in self.schema.tasks]
        predicted = [
            each.sigmoid() if odds else each for each, odds in zip(said, binary, strict=True)
        ]
        conditional = torch.stack(predicted, 1).to(torch.float32)
        chains = [self.schema.chain(at) for at in range(len(self.schema.tasks))]
        joint = []
        for first, *others in chains:
            product = conditional[:, first]
            for each in others:
                product = product * conditional[:, each]
            joint.append(product)
        return Probabilities(conditional, torch.stack(joint, 1))

    def _columns(self, ids: Tensor, dense: Tensor) -> Tensor:
        """(2 C + small fields, B)."""
        numbers, codes, at, row = [dense], [], 0, 0
        for field, offset in zip(self.schema.fields, self.schema.offsets, strict=True):
            values = ids[:, at : at + field.slots]
            at += field.slots
            if is_small(field.slots, field.cardinality):
                codes.append((values[:, 0] - offset).clamp(min=0))
                continue
            there = values > 0
            own = (values - offset + row) * there
            row += field.cardinality
            several = there.to(torch.float64).sum(1, keepdim=True)
            sums = (
                nn.functional.embedding(own, self.rates).to(torch.float64) * there.unsqueeze(2)
            ).sum(1)
            means = (sums / several.clamp(min=1)).to(torch.float32)
            numbers.append(torch.where(several > 0, means, self.absent))
        every = torch.cat(numbers, 1).t()
        missing = every != every
        both = [every.masked_fill(missing, -LARGEST), every.masked_fill(missing, LARGEST)]
        return torch.cat([*both, torch.stack(codes).to(torch.float32)] if codes else both)

    @property
    def numbers(self) -> int:
        """Number of stored values, shown as its cost."""
        return sum(each.numel() for each in self.buffers())


def wrong(state: Mapping[str, Tensor], schema: Schema, sizes: TreeSizes) -> str | None:
    """Explains, as the end of a sentence, why a state of right shapes is invalid; None if all walks
    end in bounds.
    """
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    places = Columns(schema.without_ranges)
    for name in ("rates", "absent", "threshold", "value", "base"):
        if not np.isfinite(arrays[name]).all():
            return f"'{name}' to be finite numbers, found others"
    left, column, choice = (arrays[name].astype(np.int64) for name in ("left", "column", "choice"))
    at, asks = np.arange(sizes.nodes), choice >= NO_CHOICE
    leaf = left == at
    if not (leaf | ((left > at) & (left < sizes.nodes - 1))).all():
        return "children behind their parent and within the nodes, found others"
    if not (
        (column >= 0)
        & (column < 2 * places.count + asks * len(places.small))
        & (asks | (choice == 0))
    ).all():
        return "columns of numbers, or of categories where one is asked for, found others"
    many = np.array([schema.fields[each].cardinality for each in places.small], dtype=np.int64)
    own = column[asks] - 2 * places.count
    threshold, goes_right = arrays["threshold"], arrays["goes_right"]
    if (
        (own < 0).any()
        or (choice[asks] + many[own] > sizes.choices).any()
        or goes_right[:NO_CHOICE].any()
    ):
        return "a choice for each category that is asked for and none for numbers, found others"
    ends = (threshold[leaf] == PASSED_BY_NONE) & ~asks[leaf] & (column[leaf] == 0)
    if (threshold > PASSED_BY_NONE).any() or not ends.all():
        return "thresholds that float32 holds and no row passes at a leaf, found others"
    return _wrong_walk(arrays["roots"].astype(np.int64), arrays["place"], left, sizes)


def _wrong_walk(
    roots: NDArray[np.int64], place: NDArray[np.int32], left: NDArray[np.int64], sizes: TreeSizes
) -> str | None:
    trees, walking = len(roots), sizes.walking
    if (roots < 0).any() or (roots >= sizes.nodes).any():
        return f"roots among {sizes.nodes:,} nodes, found others"
    if sorted(place.tolist()) != list(range(trees)):
        return f"a place for each of {trees:,} trees, found others"
    if any(after > before for before, after in pairwise((trees, *walking))):
        return f"at most {trees:,} trees to walk, and never more than a step before, found others"
    own, depth = (
        np.arange(sizes.nodes),
        np.zeros(sizes.nodes, dtype=np.int64),
    )  # of the tree below each node
    for _ in range(len(walking) + 1):
        depth = np.where(
            left == own,
            0,
            1 + np.maximum(depth[left], depth[np.minimum(left + 1, sizes.nodes - 1)]),
        )
    steps = (np.array(walking, dtype=np.int64)[:, None] > np.arange(trees)).sum(0)
    return None if (depth[roots] <= steps).all() else "a step for each level of a tree, found fewer"
