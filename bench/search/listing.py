"""A user's view of a search space: size, branches, defaults, and branches that a data set leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.data import load_card
from bench.data.card import shape_of
from bench.search import tree as trees
from bench.search.fitting import fitting
from bench.search.nodes import Choice, Float, Int, Switch, Tree
from bench.search.space import Space, load_space

TWO_TASKS: tuple[str, ...] = ("first", "second")
"""Tasks whose weights are shown if no data set is named."""


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
    return {
        "name": Path(name_or_path).stem,
        "title": space.title,
        "tasks": list(tasks),
        "size": size_of(space, tasks),
        "branches": {name: list(node.branches) for name, node, _ in trees.walk(space.tree) if isinstance(node, Switch)},
        "parameters": _parameters(space, tasks),
        "fixed": space.fixed,
        "defaults": space.defaults(tasks),
        "left_out": left_out,
    }


def size_of(space: Space, tasks: Sequence[str]) -> dict[str, Any]:
    """How many configurations a space has for a data set of these tasks, whose weights are parameters of it.

    Returns:
        `discrete`: how many there are if every continuous parameter stood still; `continuous`: these parameters, in any
        branch; and both as `text`.
    """
    discrete = _discrete(space.tree)
    continuous = len({name for name, leaf, _ in trees.leaves(space.tree, tasks) if isinstance(leaf, Float)})
    text = f"{discrete:,} configurations"
    if continuous:
        text = f"infinite: {discrete:,} discrete choices, times {continuous} continuous parameters"
    return {"discrete": discrete, "continuous": continuous, "text": text}


def _discrete(tree: Tree) -> int:
    product = 1
    for node in tree.values():
        if isinstance(node, Int):
            product *= node.count
        elif isinstance(node, Choice):
            product *= len(node.options)
        elif isinstance(node, Switch):
            product *= sum(map(_discrete, node.branches.values()))
    return product


def _parameters(space: Space, tasks: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each searched parameter; one that stands in several branches is shown once, for all of them."""
    rows: dict[str, dict[str, Any]] = {}
    for name, leaf, path in trees.leaves(space.tree, tasks):
        row = rows.setdefault(name, {"name": name, "when": {}, **leaf.describe()})
        for switch, branch in path:
            row["when"].setdefault(switch, {})[branch] = True
    for row in rows.values():
        row["when"] = {switch: "|".join(among) for switch, among in row["when"].items()}
    return list(rows.values())
