"""Fits a search space to a data set: leaves out branches that cannot work there, before any trial; and lists it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.data import load_card
from bench.data.card import shape_of
from bench.errors import UserError
from bench.schema import Schema
from bench.search import tree as trees
from bench.search.nodes import Choice, Constant, Float, Int, Switch, Tree
from bench.search.space import Space, load_space

FUNNEL, UNTIED = "funnel.kind", "independent"
NO_PARENT = "no task has a parent, so that all funnels are one"
NUMERIC, PLAIN = "numeric.kind", "scaled"
NO_NUMBER = "it has no number with ranges"
NO_BINARY, NO_REGRESSION = "no task is binary", "no task is a regression"


@dataclass(frozen=True)
class Fitted:
    """A space without the branches that cannot work on a data set.

    Attributes:
        left_out: the reason for each branch that is gone, by `<switch> = <branch>`.
    """

    space: Space
    left_out: Mapping[str, str]


def fitting(space: Space, schema: Schema) -> Fitted:
    """The space without the branches that do not fit, by the registries' `unfit`.

    An axis that does nothing is held fixed, too: the funnel where no task has a parent, `numeric.kind` without numbers,
    a loss where no task has it. A space of which everything fits stays as it is, with its digest.

    Raises:
        UserError: a kind that is held fixed does not fit, or nothing of a switch does.
    """
    from bench.training.config import AXES  # imports torch: only where it is needed

    unwanted: dict[tuple[str, str], str] = {}
    kinds = {task.kind for task in schema.tasks}
    pinned = {
        axis: (kept, reason)
        for axis, kept, reason, needed in (
            (FUNNEL, UNTIED, NO_PARENT, any(task.parent for task in schema.tasks)),
            (NUMERIC, PLAIN, NO_NUMBER, schema.numbers),
            ("loss.kind", "log", NO_BINARY, "binary" in kinds),
            ("regression_loss.kind", "squared", NO_REGRESSION, "regression" in kinds),
        )
        if not needed and axis in space.tree
    }
    for name, node, _ in trees.walk(space.tree):
        if name in pinned and isinstance(node, Switch):
            continue
        registry = AXES.get(name.removesuffix(".kind"), {}) if name.endswith(".kind") else {}
        for kind in node.branches if isinstance(node, Switch) else [node.value] if isinstance(node, Constant) else []:
            entry = registry.get(str(kind))
            if entry is None or (reason := entry.unfit(schema)) is None:
                continue
            if isinstance(node, Constant):
                raise UserError(f"{name} = '{kind}' does not fit this data: {reason}")
            unwanted[name, str(kind)] = reason
    if unwanted:
        space = replace(space, tree=trees.prune(space.tree, unwanted))
    for axis, (kept, why) in pinned.items():
        unwanted |= {(axis, branch): why for branch in space.branches(axis) if branch != kept}
        space = space.restricted({axis: kept})
    return Fitted(space, {f"{name} = {branch}": reason for (name, branch), reason in unwanted.items()})


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
