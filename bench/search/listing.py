"""A search space as a user is shown it: size, branches, defaults, and what a data set leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.data import load_card
from bench.data.shape import shape_of
from bench.search import tree as trees
from bench.search.fitting import fitting
from bench.search.nodes import Constant, Simplex, Switch
from bench.search.size import size_of
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


def _parameters(space: Space, tasks: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each searched parameter; one that stands in several branches is shown once, for all of them."""
    rows: dict[str, dict[str, Any]] = {}
    for name, node, path in trees.walk(space.tree):
        leaves = node.expand(name, tasks) if isinstance(node, Simplex) else {name: node}
        for leaf_name, leaf in leaves.items():
            if isinstance(leaf, Constant):
                continue
            shown: Mapping[str, Any]
            if isinstance(leaf, Switch):
                shown = {"type": "switch", "default": leaf.default, "options": list(leaf.branches)}
            else:
                assert not isinstance(leaf, Simplex)
                shown = leaf.describe()
            row = rows.setdefault(leaf_name, {"name": leaf_name, "when": {}, **shown})
            for switch, branch in path:
                among = row["when"].setdefault(switch, [])
                if branch not in among:
                    among.append(branch)
    for row in rows.values():
        row["when"] = {switch: "|".join(among) for switch, among in row["when"].items()}
    return list(rows.values())
