"""A search space: read from TOML, listed, hashed, pinned, sampled and checked without training.

Fitting it to a data set removes the branches that cannot work there, before any trial.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, StrictStr

from bench.core.errors import UserError
from bench.core.records import OURS, TRAINER, Scalar
from bench.core.registry import Config
from bench.core.schema import Schema
from bench.core.system import content
from bench.core.validation import validate
from bench.models.model_options import UNTIED, expand
from bench.models.trainers.trainer_file import TrainerFile
from bench.search import tree as trees
from bench.search.nodes import Choice, Constant, Float, Int, Leaf, Node, PlainValue, Switch, Tree

NONE = "none"
"""In place of a space: models that come with the package are not searched."""

if TYPE_CHECKING:  # listing spaces must not import Optuna
    from optuna.trial import BaseTrial


class _File(Config):
    title: StrictStr
    fixed: dict[trees.ParameterName, PlainValue] = Field(default_factory=dict)
    parameters: dict[trees.ParameterName, dict[str, Any]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Space:
    """A tree of parameters, constants among them, by dotted configuration path; errors name its
    `source`, a file.

    Attributes:
        tree: of models that come with the package.
        trainers: trees of trainers from elsewhere, by name.
    """

    title: str
    source: str
    tree: Tree
    trainers: Mapping[str, Tree] = field(default_factory=dict)

    @property
    def has_ours(self) -> bool:
        """Whether models that come with the package are searched."""
        return self.source != NONE

    @property
    def whole(self) -> Tree:
        """What is searched: one tree, or a switch between ours and those of trainers."""
        if not self.trainers:
            return self.tree
        branches: dict[str, Tree] = {OURS: self.tree} if self.has_ours else {}
        branches |= self.trainers
        if len(branches) > 1:
            return {TRAINER: Switch(next(iter(branches)), branches)}
        ((name, tree),) = branches.items()
        return {TRAINER: Constant(value=name), **tree}

    @property
    def fixed(self) -> dict[str, Scalar]:
        """Constants of every configuration."""
        return {name: node.value for name, node in self.tree.items() if isinstance(node, Constant)}

    def values(self) -> Iterator[tuple[str, Scalar]]:
        """Yields constants, switches and categorical parameters anywhere in the tree, each with
        every value.
        """
        for name, node, _ in trees.walk(self.tree):
            if isinstance(node, Constant):
                yield name, node.value
            elif isinstance(node, Switch | Choice):
                for option in node.options:
                    yield name, option

    def branches(self, switch: str) -> tuple[str, ...]:
        """Branches of a switch at the top of the tree; empty if it is no such switch."""
        node = self.tree.get(switch)
        return tuple(node.branches) if isinstance(node, Switch) else ()

    def choices(self, name: str) -> tuple[Scalar, ...]:
        """Values of a switch at the top of the tree; one if it is fixed."""
        return self.branches(name) or (self.fixed.get(name),)

    def describe(self) -> dict[str, object]:
        """Plain values, a row for each parameter; `when` has the branches that lead to it."""
        rows = []
        for name, node, path in trees.walk(self.whole):
            rows.append({"name": name, "when": dict(path), **node.describe()})
        return {"title": self.title, "parameters": rows}

    def digest(self) -> str:
        """A hash of everything that affects proposals, the order of parameters included."""
        text = json.dumps(self.describe()["parameters"])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def suggest(self, trial: BaseTrial, tasks: Sequence[str]) -> dict[str, Scalar]:
        """The dotted configuration that a trial proposes, constants included."""
        return trees.resolve(self.whole, tasks, lambda name, node: suggest(trial, name, node))

    def sample(self, rng: np.random.Generator, tasks: Sequence[str]) -> dict[str, Scalar]:
        """A random dotted configuration, constants included."""
        return trees.resolve(self.whole, tasks, lambda name, node: node.draw(rng))

    def defaults(
        self, tasks: Sequence[str], choices: Mapping[str, str] | None = None
    ) -> dict[str, Scalar]:
        """Searched parameters at their defaults, except for the choices of these switches."""
        return trees.searched(self.tree, tasks, _or_defaults(choices or {}))

    def restricted(self, fixed: Mapping[str, Scalar]) -> Space:
        """Fixes some names, whether or not they are parameters.

        A fixed switch keeps only its branch; `architecture` stands for its kinds. Raises UserError
        if it is unknown, or contradicts another name.
        """
        values = expand(fixed)
        tree = dict(trees.pin(self.tree, values))
        names = trees.names(tree)
        for name, value in values.items():
            if name not in names:
                tree[name] = Constant(value=value)
        return replace(self, tree=tree)

    def variants(self, tasks: Sequence[str]) -> Iterator[dict[str, Scalar]]:
        """Configurations that together visit every branch, and there each parameter's default,
        bounds and options.

        Everything else stays at its default: parameters are checked separately.
        """
        yield trees.resolve(self.tree, tasks, _or_defaults({}))
        for name, node, path in trees.leaves(self.tree, tasks):
            for value in node.extremes:
                chosen = {**dict(path), name: value}
                yield trees.resolve(self.tree, tasks, _or_defaults(chosen))

    def validate_against_config(self, tasks: Sequence[str]) -> None:
        """Parses every variant as a trial's configuration; raises UserError, naming the key, if one
        is refused.
        """
        from bench.models.training.config import TrialConfig  # imports torch

        try:
            for config in self.variants(tasks):
                TrialConfig.parse(config, self.source)
        except UserError as error:
            text = str(error)
            if not text.startswith(self.source):
                text = f"{self.source}: {text}"
            raise UserError(text) from None


def trainer_tree(trainer: TrainerFile) -> Tree:
    """The tree of a trainer's settings, each below `trainer.<name>`; raises UserError as
    `load_space`.
    """
    where = f"trainer {trainer.name}"
    searched = trees.read(trainer.parameters, f"{where}: parameters")
    for name in trainer.fixed:
        if name in trees.names(searched):
            raise UserError(
                f"{where}: {name}: expected either a fixed value or a parameter, found both"
            )
    fixed = {name: Constant(value=value) for name, value in trainer.fixed.items()}
    return trees.below(f"{TRAINER.removesuffix('kind')}{trainer.name}.", {**fixed, **searched})


def load_space(name_or_path: str) -> Space:
    """Reads `search_spaces/<name>.toml`, or the file at a path; raises UserError, naming file and
    key.
    """
    if name_or_path == NONE:
        return Space("trainers alone", NONE, {})
    path = content.find("search_spaces", name_or_path)
    file = validate(_File, content.read_toml(path), str(path))
    tree = trees.read(file.parameters, str(path))
    repeated = trees.names(tree) & file.fixed.keys()
    if repeated:
        raise UserError(
            f"{path}: {min(repeated)}: expected either a fixed value or a parameter, found both"
        )
    try:
        return Space(file.title, str(path), tree).restricted(file.fixed)
    except UserError as error:
        raise UserError(f"{path}: fixed: {error}") from None


def _or_defaults(values: Mapping[str, Scalar]) -> trees.Chooser:
    return lambda name, node: values.get(name, node.default)


def suggest(trial: BaseTrial, name: str, node: Leaf | Switch) -> Scalar:
    """Asks an Optuna trial for one parameter."""
    if isinstance(node, Int):
        return trial.suggest_int(name, node.low, node.high, step=node.step, log=node.log)
    if isinstance(node, Float):
        return trial.suggest_float(name, node.low, node.high, log=node.log)
    return trial.suggest_categorical(name, node.options)


NUMERIC = "numeric.kind"
NO_PARENT = "no task has a parent, so that all funnels are one"
NO_NUMBER = "it has no number with ranges"
NO_BINARY = "no task is binary"
NO_REGRESSION = "no task is a regression"
NO_GROUP = "the card names no group, and this is searched where rows are ranked within groups"


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
    idle_axes = {axis.name: axis for axis in _idle_axes(schema) if axis.name in space.tree}
    unwanted: dict[tuple[str, str], str] = {}
    for name, node, _ in trees.walk(space.tree):
        if name not in idle_axes or not isinstance(node, Switch):
            unwanted |= _unfit(name, node, schema)
    if unwanted:
        space = replace(space, tree=trees.prune(space.tree, unwanted))
    for axis in idle_axes.values():
        for branch in space.branches(axis.name):
            if branch != axis.kind:
                unwanted[axis.name, branch] = axis.reason
        space = space.restricted({axis.name: axis.kind})
    left_out = {}
    for (name, branch), reason in unwanted.items():
        if branch:
            left_out[f"{name} = {branch}"] = reason
    return Fitted(space, left_out)


@dataclass(frozen=True)
class _IdleAxis:
    """An axis without effect on a data set, the kind that it is fixed to, and the reason."""

    name: str
    kind: str
    reason: str


def _idle_axes(schema: Schema) -> Iterator[_IdleAxis]:
    kinds = {task.kind for task in schema.tasks}
    if not any(task.parent for task in schema.tasks):
        yield _IdleAxis("funnel.kind", UNTIED, NO_PARENT)
    if not schema.numbers:
        yield _IdleAxis(NUMERIC, "scaled", NO_NUMBER)
    if "binary" not in kinds:
        yield _IdleAxis("loss.kind", "log", NO_BINARY)
    if "regression" not in kinds:
        yield _IdleAxis("regression_loss.kind", "squared", NO_REGRESSION)


def _unfit(name: str, node: Node, schema: Schema) -> dict[tuple[str, str], str]:
    """Branches of a parameter that cannot work, (switch, branch) -> reason; (name, "") for all."""
    from bench.models.training.config import AXES  # imports torch: only where it is needed

    unfit: dict[tuple[str, str], str] = {}
    if name.startswith("position.") and schema.position is None:
        unfit[name, ""] = ""
    if isinstance(node, Switch) and node.in_groups and not schema.grouped:
        for branch in node.branches:
            if branch != node.default:
                unfit[name, branch] = NO_GROUP
        return unfit
    kinds: list[str] = []
    if isinstance(node, Switch):
        kinds = list(node.branches)
    elif isinstance(node, Constant):
        kinds = [str(node.value)]
    registry = AXES.get(name.removesuffix(".kind"), {}) if name.endswith(".kind") else {}
    for kind in kinds:
        entry = registry.get(kind)
        reason = None if entry is None else entry.unfit(schema)
        if reason is None:
            continue
        if isinstance(node, Constant):
            raise UserError(f"{name} = '{kind}' does not fit this data: {reason}")
        unfit[name, kind] = reason
    return unfit


TWO_TASKS: tuple[str, ...] = ("first", "second")
"""Tasks whose weights are shown without a data set."""


def describe_space(name_or_path: str, dataset: str | None = None) -> dict[str, Any]:
    """A space as plain values, without what does not fit a data set (its name, or its card's path),
    with the reasons.

    Raises UserError if either is unknown or not valid, or nothing of the space fits the data.
    """
    from bench.data import load_card  # needed only with a data set
    from bench.data.card_summary import shape_of

    space = load_space(str(content.find("search_spaces", name_or_path)))
    tasks = TWO_TASKS
    left_out: Mapping[str, str] = {}
    if dataset is not None:
        schema = shape_of(load_card(dataset))
        tasks = schema.task_names
        fitted = fitting(space, schema)
        space, left_out = fitted.space, fitted.left_out
    branches = {}
    for name, node, _ in trees.walk(space.tree):
        if isinstance(node, Switch):
            branches[name] = list(node.branches)
    return {
        "name": Path(name_or_path).stem,
        "title": space.title,
        "tasks": list(tasks),
        "size": size_of(space, tasks),
        "branches": branches,
        "parameters": _parameters(space, tasks),
        "fixed": space.fixed,
        "defaults": space.defaults(tasks),
        "left_out": dict(left_out),
    }


def size_of(space: Space, tasks: Sequence[str]) -> dict[str, Any]:
    """The number of configurations of a space, for a data set with these tasks.

    Returns `discrete`, their number with every continuous parameter fixed; `continuous`, the number
    of these parameters, in any branch; and both as `text`.
    """
    discrete = _discrete(space.tree)
    leaves = trees.leaves(space.tree, tasks)
    continuous = len({name for name, leaf, _ in leaves if isinstance(leaf, Float)})
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
    branches: dict[str, dict[str, dict[str, None]]] = {}  # of each parameter, by switch
    for name, leaf, path in trees.leaves(space.tree, tasks):
        if name not in rows:
            rows[name] = {"name": name, "when": {}, **leaf.describe()}
            branches[name] = {}
        for switch, branch in path:
            branches[name].setdefault(switch, {})[branch] = None
    for name, row in rows.items():
        row["when"] = {switch: "|".join(taken) for switch, taken in branches[name].items()}
    return list(rows.values())
