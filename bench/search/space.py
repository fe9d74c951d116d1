"""A search space: read from TOML, listed, hashed, pinned, sampled and checked without training.

Fitting it to a data set removes the branches that cannot work there, before any trial.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, StrictStr

from bench.core.errors import UserError
from bench.core.records import Scalar
from bench.core.registry import Config
from bench.core.system import content
from bench.core.validation import validate
from bench.models.config import UNTIED, expand
from bench.search import tree as trees
from bench.search.nodes import Constant, Float, Int, Leaf, PlainValue, Switch, Tree

if TYPE_CHECKING:  # listing spaces must not import Optuna
    from optuna.trial import BaseTrial
from pathlib import Path

from bench.core.schema import Schema
from bench.search.nodes import Choice


class _File(Config):
    title: StrictStr
    fixed: dict[trees.ParameterName, PlainValue] = Field(default_factory=dict)
    parameters: dict[trees.ParameterName, dict[str, Any]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Space:
    """A tree of parameters, constants among them, by dotted configuration path; errors name its
    `source`, a file.
    """

    title: str
    source: str
    tree: Tree

    @property
    def fixed(self) -> dict[str, Scalar]:
        """Constants of every configuration."""
        return {name: node.value for name, node in self.tree.items() if isinstance(node, Constant)}

    def values(self) -> Iterator[tuple[str, Scalar]]:
        """Yields constants, switches and categorical parameters anywhere in the tree, each with
        every value.
        """
        for name, node, _ in trees.walk(self.tree):
            values = (node.value,) if isinstance(node, Constant) else getattr(node, "options", ())
            yield from ((name, value) for value in values)

    def branches(self, switch: str) -> tuple[str, ...]:
        """Branches of a switch at the top of the tree; empty if it is no such switch."""
        node = self.tree.get(switch)
        return tuple(node.branches) if isinstance(node, Switch) else ()

    def choices(self, name: str) -> tuple[Scalar, ...]:
        """Values of a switch at the top of the tree; one if it is fixed."""
        return self.branches(name) or (self.fixed.get(name),)

    def describe(self) -> dict[str, object]:
        """Plain values, a row for each parameter; `when` has the branches that lead to it."""
        rows = [
            {"name": name, "when": dict(path), **node.describe()}
            for name, node, path in trees.walk(self.tree)
        ]
        return {"title": self.title, "parameters": rows}

    def digest(self) -> str:
        """A hash of everything that affects proposals, the order of parameters included."""
        text = json.dumps(self.describe()["parameters"])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def suggest(self, trial: BaseTrial, tasks: Sequence[str]) -> dict[str, Scalar]:
        """The dotted configuration that a trial proposes, constants included."""
        return trees.resolve(self.tree, tasks, lambda name, node: suggest(trial, name, node))

    def sample(self, rng: np.random.Generator, tasks: Sequence[str]) -> dict[str, Scalar]:
        """A random dotted configuration, constants included."""
        return trees.resolve(self.tree, tasks, lambda name, node: node.draw(rng))

    def defaults(
        self, tasks: Sequence[str], choices: Mapping[str, str] | None = None
    ) -> dict[str, Scalar]:
        """Searched parameters at their defaults, except the given switches."""
        return trees.searched(self.tree, tasks, _given(choices or {}))

    def restricted(self, fixed: Mapping[str, Scalar]) -> Space:
        """Fixes some names, whether or not they are parameters.

        A fixed switch keeps only its branch; `architecture` stands for its kinds. Raises UserError
        if it is unknown, or contradicts another name.
        """
        values = expand(fixed)
        tree = trees.pin(self.tree, values)
        known = trees.names(tree)
        extra = {name: Constant(value=value) for name, value in values.items() if name not in known}
        return replace(self, tree={**tree, **extra})

    def variants(self, tasks: Sequence[str]) -> Iterator[dict[str, Scalar]]:
        """Configurations that together visit every branch, and there each parameter's default,
        bounds and options.

        Everything else stays at its default: parameters are checked separately.
        """
        yield trees.resolve(self.tree, tasks, _given({}))
        for name, node, path in trees.leaves(self.tree, tasks):
            for value in node.extremes:
                yield trees.resolve(self.tree, tasks, _given({**dict(path), name: value}))

    def validate_against_config(self, tasks: Sequence[str]) -> None:
        """Parses every variant as a trial's configuration; raises UserError, naming the key, if one
        is refused.
        """
        from bench.models.training.config import (
            TrialConfig,
        )  # imports torch: only where it is needed

        try:
            for config in self.variants(tasks):
                TrialConfig.parse(config, self.source)
        except UserError as error:
            text = str(error)
            raise UserError(
                text if text.startswith(self.source) else f"{self.source}: {text}"
            ) from None


def load_space(name_or_path: str) -> Space:
    """Reads `search_spaces/<name>.toml`, or the file at a path; raises UserError, naming file and
    key.
    """
    path = content.find("search_spaces", name_or_path)
    file = validate(_File, content.read_toml(path), str(path))
    tree = trees.read(file.parameters, str(path))
    if twice := trees.names(tree) & file.fixed.keys():
        raise UserError(
            f"{path}: {min(twice)}: expected either a fixed value or a parameter, found both"
        )
    try:
        return Space(file.title, str(path), tree).restricted(file.fixed)
    except UserError as error:
        raise UserError(f"{path}: fixed: {error}") from None


def _given(values: Mapping[str, Scalar]) -> trees.Chooser:
    return lambda name, node: values.get(name, node.default)


def suggest(trial: BaseTrial, name: str, node: Leaf | Switch) -> Scalar:
    """Asks an Optuna trial for one parameter."""
    if isinstance(node, Int):
        return trial.suggest_int(name, node.low, node.high, step=node.step, log=node.log)
    if isinstance(node, Float):
        return trial.suggest_float(name, node.low, node.high, log=node.log)
    return trial.suggest_categorical(name, node.options)


FUNNEL = "funnel.kind"
NO_PARENT = "no task has a parent, so that all funnels are one"
NUMERIC, PLAIN = "numeric.kind", "scaled"
NO_NUMBER = "it has no number with ranges"
NO_GROUP = "the card names no group, and this is searched where rows are ranked within groups"
NO_BINARY, NO_REGRESSION = "no task is binary", "no task is a regression"


@dataclass(frozen=True)
class Fitted:
    """A space without the branches that cannot work on a data set; `left_out`: reasons, by
    `<switch> = <branch>`.
    """

    space: Space
    left_out: Mapping[str, str]


def fitting(space: Space, schema: Schema) -> Fitted:
    """Removes the branches that do not fit, by the registries' `unfit`.

    Axes without effect are fixed, too: the funnel if no task has a parent, `numeric.kind` without
    numbers, a loss that no task has, and a switch with `where = "groups"` if the card has none.
    What is searched of positions leaves where the card has none. If everything fits, the space and
    its digest stay the same. Raises UserError if a fixed kind does not fit, or no branch of a
    switch does.
    """
    from bench.models.training.config import AXES  # imports torch: only where it is needed

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
        if name.startswith("position.") and schema.position is None:
            unwanted[name, ""] = ""
        if isinstance(node, Switch) and node.in_groups and not schema.grouped:
            unwanted |= {
                (name, branch): NO_GROUP for branch in node.branches if branch != node.default
            }
            continue
        registry = AXES.get(name.removesuffix(".kind"), {}) if name.endswith(".kind") else {}
        for kind in (
            node.branches
            if isinstance(node, Switch)
            else [node.value]
            if isinstance(node, Constant)
            else []
        ):
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
    return Fitted(
        space,
        {f"{name} = {branch}": reason for (name, branch), reason in unwanted.items() if branch},
    )


TWO_TASKS: tuple[str, ...] = ("first", "second")
"""Tasks whose weights are shown without a data set."""


def describe_space(name_or_path: str, dataset: str | None = None) -> dict[str, Any]:
    """A space as plain values, without what does not fit a data set (its name, or its card's path),
    with the reasons.

    Raises UserError if either is unknown or not valid, or nothing of the space fits the data.
    """
    from bench.data import load_card  # needed only with a data set
    from bench.data.card_summary import shape_of

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
        "branches": {
            name: list(node.branches)
            for name, node, _ in trees.walk(space.tree)
            if isinstance(node, Switch)
        },
        "parameters": _parameters(space, tasks),
        "fixed": space.fixed,
        "defaults": space.defaults(tasks),
        "left_out": left_out,
    }


def size_of(space: Space, tasks: Sequence[str]) -> dict[str, Any]:
    """The number of configurations of a space, for a data set with these tasks.

    Returns `discrete`, their number with every continuous parameter fixed; `continuous`, the number
    of these parameters, in any branch; and both as `text`.
    """
    discrete = _discrete(space.tree)
    continuous = len(
        {name for name, leaf, _ in trees.leaves(space.tree, tasks) if isinstance(leaf, Float)}
    )
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
    rows: dict[str, dict[str, Any]] = {}
    for name, leaf, path in trees.leaves(space.tree, tasks):
        row = rows.setdefault(name, {"name": name, "when": {}, **leaf.describe()})
        for switch, branch in path:
            row["when"].setdefault(switch, {})[branch] = True
    for row in rows.values():
        row["when"] = {switch: "|".join(among) for switch, among in row["when"].items()}
    return list(rows.values())
