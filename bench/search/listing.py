"""A search space as a user is shown it: size, branches, defaults, and what a data set leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.data import load_card
from bench.data.shape import shape_of
from bench.search import tree as trees
from bench.search.fitting import fitting
from bench.search.nodes import Choice, Constant, Float, Int, Simplex, Switch, Tree
from bench.search.space import Space, load_space

TWO_TASKS: tuple[str, ...] = ("first", "second")
"""What weights are shown for where no data set is named."""


def describe_space(name_or_path: str, dataset: str | None = None) -> dict[str, Any]:
    """A space as plain values.

    Args:
        dataset: a data set's name or a card's path; with it, what does not fit is left out, with the reason.

    Raises:
        UserError: either is unknown or not valid, or nothing of the space fits the data.
    """
    space, tasks, left_out = load_space(name_or_path), TWO_TASKS, {}
    if dataset is not None:
        schema = shape_of(load_card(dataset))
        tasks = tuple(task.name for task in schema.tasks)
        fitted = fitting(space, schema)
        space, left_out = fitted.space, {**fitted.left_out}
    size = size_of(space, tasks)
    return {
        "name": Path(name_or_path).stem,
        "title": space.title,
        "tasks": list(tasks),
        "size": asdict(size) | {"text": str(size)},
        "branches": {name: list(node.branches) for name, node, _ in trees.walk(space.tree) if isinstance(node, Switch)},
        "parameters": _parameters(space, tasks),
        "fixed": space.fixed,
        "defaults": space.defaults(tasks),
        "left_out": left_out,
    }


@dataclass(frozen=True)
class Size:
    """A count of configurations.

    Attributes:
        discrete: how many there are if every continuous parameter stood still.
        continuous: continuous parameters, in any branch.
    """

    discrete: int
    continuous: int

    def __str__(self) -> str:
        if not self.continuous:
            return f"{self.discrete:,} configurations"
        return f"infinite: {self.discrete:,} discrete choices, times {self.continuous} continuous parameters"


def size_of(space: Space, tasks: Sequence[str]) -> Size:
    """The size of a space for a data set of these tasks, whose weights are parameters of it."""
    continuous = {name for name, leaf, _ in trees.leaves(space.tree, tasks) if isinstance(leaf, Float)}
    return Size(_discrete(space.tree), len(continuous))


def _discrete(tree: Tree) -> int:
    product = 1
    for node in tree.values():
        match node:
            case Int():
                product *= (node.high - node.low) // node.step + 1
            case Choice():
                product *= len(node.options)
            case Switch():
                product *= sum(_discrete(inner) for inner in node.branches.values())
            case Constant() | Float() | Simplex():
                pass
    return product


def _parameters(space: Space, tasks: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each searched parameter; one that stands in several branches is shown once, for all of them."""
    rows: dict[str, dict[str, Any]] = {}
    for name, leaf, path in trees.leaves(space.tree, tasks):
        row = rows.setdefault(name, {"name": name, "when": {}, **leaf.describe()})
        for switch, branch in path:
            among = row["when"].setdefault(switch, [])
            if branch not in among:
                among.append(branch)
    for row in rows.values():
        row["when"] = {switch: "|".join(among) for switch, among in row["when"].items()}
    return list(rows.values())
