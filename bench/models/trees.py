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
from typing import Annotated, Any

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
        fields = enumerate(self.schema.fields)
        return [index for index, field in fields if is_small(field.slots, field.cardinality)]

    @property
    def large(self) -> list[int]:
        """Indices of the fields of which target rates are used."""
        fields = enumerate(self.schema.fields)
        return [index for index, field in fields if not is_small(field.slots, field.cardinality)]

    @property
    def rows(self) -> int:
        """Total cardinality of the large fields."""
        return sum(self.schema.fields[index].cardinality for index in self.large)

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
        tasks = len(self.schema.tasks)

        self.rates = _zeros(self.places.rows, 2 * tasks)
        self.absent = _zeros(2 * tasks)
        self.roots = _zeros(sum(sizes.trees), dtype=torch.int32)
        self.place = _zeros(sum(sizes.trees), dtype=torch.int32)
        self.column = _zeros(sizes.nodes, dtype=torch.int32)
        self.left = _zeros(sizes.nodes, dtype=torch.int32)
        self.choice = _zeros(sizes.nodes, dtype=torch.int32)
        self.threshold = _zeros(sizes.nodes)
        self.value = _zeros(sizes.nodes, dtype=torch.float64)
        self.base = _zeros(tasks, dtype=torch.float64)
        self.goes_right = _zeros(sizes.choices, dtype=torch.bool)

    def forward(self, ids: Tensor, dense: Tensor) -> Probabilities:
        """ids (B, S) int32 and dense (B, D) -> conditional and joint (B, T)."""
        leaves = self._leaves(self._columns(ids, dense))
        values = self.value.index_select(0, leaves.reshape(-1)).reshape(leaves.shape)
        predictions = []
        for task, values_of_task, base in zip(
            self.schema.tasks,
            torch.split(values, list(self.sizes.trees)),
            self.base.unbind(),
            strict=True,
        ):
            output = values_of_task.sum(0) + base
            predictions.append(output.sigmoid() if task.kind == "binary" else output)
        conditional = torch.stack(predictions, 1).to(torch.float32)
        joint = [self._joint(conditional, task) for task in range(len(predictions))]
        return Probabilities(conditional, torch.stack(joint, 1))

    def _leaves(self, columns: Tensor) -> Tensor:
        """Columns (2 C + small fields, B) -> the leaf of each tree and row, trees by task."""
        rows, trees = columns.shape[1], len(self.roots)
        flat = columns.reshape(-1)
        start_of_column = self.column * rows  # in `flat`, by node
        row = torch.arange(rows, dtype=torch.int32, device=columns.device)
        row = row.unsqueeze(0).expand(trees, -1).reshape(-1)
        node = self.roots.unsqueeze(1).expand(-1, rows).reshape(-1)
        ended: list[Tensor] = []
        for walking in self.sizes.walking:
            unfinished = walking * rows
            ended.append(node[unfinished:])
            node, row = node[:unfinished], row[:unfinished]
            number = flat.index_select(0, start_of_column.index_select(0, node) + row)
            right = number > self.threshold.index_select(0, node)
            if self.sizes.choices > NO_CHOICE:
                category = number.clamp(0, MOST_CATEGORIES).to(torch.int32)
                choice = category + self.choice.index_select(0, node)
                right = torch.logical_or(right, self.goes_right.index_select(0, choice))
            node = self.left.index_select(0, node) + right.to(torch.int32)
        leaves = torch.cat([node, *reversed(ended)]).reshape(trees, -1)
        return leaves.index_select(0, self.place)

    def _joint(self, conditional: Tensor, task: int) -> Tensor:
        """The product (B,) of conditionals (B, T) along a task's chain."""
        root, *descendants = self.schema.chain(task)
        product = conditional[:, root]
        for descendant in descendants:
            product = product * conditional[:, descendant]
        return product

    def _columns(self, ids: Tensor, dense: Tensor) -> Tensor:
        """(2 C + small fields, B): numbers with missing values low, the same with them high, and
        categories.
        """
        number_columns = [dense]
        categories = []
        slot = row = 0
        for field, offset in zip(self.schema.fields, self.schema.offsets, strict=True):
            values = ids[:, slot : slot + field.slots]
            slot += field.slots
            if is_small(field.slots, field.cardinality):
                categories.append((values[:, 0] - offset).clamp(min=0))
            else:
                number_columns.append(self._mean_rates(values, row - offset))
                row += field.cardinality
        numbers = torch.cat(number_columns, 1).t()
        missing = numbers != numbers
        columns = [numbers.masked_fill(missing, end) for end in (-LARGEST, LARGEST)]
        if categories:
            columns.append(torch.stack(categories).to(torch.float32))
        return torch.cat(columns)

    def _mean_rates(self, values: Tensor, shift: int) -> Tensor:
        """Ids (B, slots) of a large field -> mean rates and frequencies (B, 2 T) of its values.

        `shift` leads from ids to rows of `rates`. A row without a value has `absent`.
        """
        there = values > 0
        rates = nn.functional.embedding((values + shift) * there, self.rates).to(torch.float64)
        sums = (rates * there.unsqueeze(2)).sum(1)
        counts = there.to(torch.float64).sum(1, keepdim=True)
        means = (sums / counts.clamp(min=1)).to(torch.float32)
        return torch.where(counts > 0, means, self.absent)

    @property
    def numbers(self) -> int:
        """Number of stored values, shown as its cost."""
        return sum(buffer.numel() for buffer in self.buffers())


def _zeros(*shape: int, dtype: torch.dtype = torch.float32) -> nn.Buffer:
    return nn.Buffer(torch.zeros(shape, dtype=dtype))


def wrong(state: Mapping[str, Tensor], schema: Schema, sizes: TreeSizes) -> str | None:
    """Explains, as the end of a sentence, why a state of right shapes is invalid; None if all walks
    end in bounds.
    """
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    for name in ("rates", "absent", "threshold", "value", "base"):
        if not np.isfinite(arrays[name]).all():
            return f"'{name}' to be finite numbers, found others"
    left = arrays["left"].astype(np.int64)
    node = np.arange(sizes.nodes)
    leaf = left == node
    has_children = (left > node) & (left < sizes.nodes - 1)
    if not (leaf | has_children).all():
        return "children behind their parent and within the nodes, found others"
    return (
        _wrong_columns(arrays, schema, sizes)
        or _wrong_thresholds(arrays, leaf)
        or _wrong_walk(arrays, sizes)
    )


def _wrong_columns(
    arrays: Mapping[str, NDArray[Any]], schema: Schema, sizes: TreeSizes
) -> str | None:
    """`wrong` of the columns that nodes test, and of their tables of categories."""
    places = Columns(schema.without_ranges)
    column = arrays["column"].astype(np.int64)
    choice = arrays["choice"].astype(np.int64)
    has_table = choice >= NO_CHOICE
    columns = 2 * places.count + has_table * len(places.small)  # that a node can test
    if not ((column >= 0) & (column < columns) & (has_table | (choice == 0))).all():
        return "columns of numbers, or of categories where one is asked for, found others"
    field = column[has_table] - 2 * places.count
    cardinalities = [schema.fields[index].cardinality for index in places.small]
    if (
        (field < 0).any()
        or (choice[has_table] + np.array(cardinalities, np.int64)[field] > sizes.choices).any()
        or arrays["goes_right"][:NO_CHOICE].any()
    ):
        return "a choice for each category that is asked for and none for numbers, found others"
    return None


def _wrong_thresholds(arrays: Mapping[str, NDArray[Any]], leaf: NDArray[np.bool_]) -> str | None:
    """`wrong` of thresholds; `leaf` marks the nodes that are leaves."""
    threshold = arrays["threshold"]
    is_passed_by_none = (
        (threshold[leaf] == PASSED_BY_NONE)
        & (arrays["choice"][leaf] < NO_CHOICE)
        & (arrays["column"][leaf] == 0)
    )
    if (threshold > PASSED_BY_NONE).any() or not is_passed_by_none.all():
        return "thresholds that float32 holds and no row passes at a leaf, found others"
    return None


def _wrong_walk(arrays: Mapping[str, NDArray[Any]], sizes: TreeSizes) -> str | None:
    """`wrong` of roots, and of the number of steps below them."""
    roots = arrays["roots"].astype(np.int64)
    trees = len(roots)
    if (roots < 0).any() or (roots >= sizes.nodes).any():
        return f"roots among {sizes.nodes:,} nodes, found others"
    if sorted(arrays["place"].tolist()) != list(range(trees)):
        return f"a place for each of {trees:,} trees, found others"
    if any(after > before for before, after in pairwise((trees, *sizes.walking))):
        return f"at most {trees:,} trees to walk, and never more than a step before, found others"
    depths = _depths(arrays["left"].astype(np.int64), len(sizes.walking) + 1)
    steps = (np.array(sizes.walking, dtype=np.int64)[:, None] > np.arange(trees)).sum(0)
    if (depths[roots] > steps).any():
        return "a step for each level of a tree, found fewer"
    return None


def _depths(left: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Depth of the tree below each node, at most `limit`; `left` has each node's left child."""
    leaf = left == np.arange(len(left))
    right = np.minimum(left + 1, len(left) - 1)
    depths = np.zeros(len(left), dtype=np.int64)
    for _ in range(limit):
        depths = np.where(leaf, 0, 1 + np.maximum(depths[left], depths[right]))
    return depths
