"""A search space: read from TOML, listed, hashed, pinned, sampled and checked without training anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, StrictStr

from bench import content
from bench.errors import UserError
from bench.models.config import expand
from bench.records import Scalar
from bench.search import tree as trees
from bench.search.nodes import Constant, Float, Int, Leaf, Switch, Tree, Value
from bench.validation import validate

if TYPE_CHECKING:  # spaces are listed without Optuna
    from optuna.trial import BaseTrial


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: StrictStr
    fixed: dict[trees.Name, Value] = {}
    parameters: dict[trees.Name, dict[str, Any]] = {}


@dataclass(frozen=True)
class Space:
    """A tree of parameters, constants among them.

    Attributes:
        source: what errors name: its file.
        tree: parameters by dotted configuration path.
    """

    title: str
    source: str
    tree: Tree

    @property
    def fixed(self) -> dict[str, Scalar]:
        """What every configuration has in common."""
        return {name: node.value for name, node in self.tree.items() if isinstance(node, Constant)}

    def values(self) -> Iterator[tuple[str, Scalar]]:
        """Names of constants, switches and categorical parameters anywhere in the tree, each with every value."""
        for name, node, _ in trees.walk(self.tree):
            values = (node.value,) if isinstance(node, Constant) else getattr(node, "options", ())
            yield from ((name, value) for value in values)

    def branches(self, switch: str) -> tuple[str, ...]:
        """The branches of a switch that every configuration has; none where it is not such a switch."""
        node = self.tree.get(switch)
        return tuple(node.branches) if isinstance(node, Switch) else ()

    def choices(self, name: str) -> tuple[Scalar, ...]:
        """What a switch that every configuration has may be; one value where it is held fixed."""
        return self.branches(name) or (self.fixed.get(name),)

    def describe(self) -> dict[str, Any]:
        """Itself as plain values, a row for each parameter; `when` tells the branches that lead to it."""
        rows = [{"name": name, "when": dict(path), **node.describe()} for name, node, path in trees.walk(self.tree)]
        return {"title": self.title, "parameters": rows}

    def digest(self) -> str:
        """A hash of all that decides which configurations are proposed; the order of parameters is part of it."""
        text = json.dumps(self.describe()["parameters"])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def suggest(self, trial: BaseTrial, tasks: Sequence[str]) -> dict[str, Scalar]:
        """The dotted configuration that a trial proposes, constants included."""
        return trees.resolve(self.tree, tasks, lambda name, node: suggest(trial, name, node))

    def sample(self, rng: np.random.Generator, tasks: Sequence[str]) -> dict[str, Scalar]:
        """A random dotted configuration, constants included."""
        return trees.resolve(self.tree, tasks, lambda name, node: node.draw(rng))

    def defaults(self, tasks: Sequence[str], choices: Mapping[str, str] | None = None) -> dict[str, Scalar]:
        """Searched parameters at their defaults, the given switches as given."""
        return trees.searched(self.tree, tasks, _given(choices or {}))

    def restricted(self, fixed: Mapping[str, Scalar]) -> Space:
        """The space with some names held fixed, whether or not they are parameters.

        A switch that is held fixed keeps only its branch; `architecture` stands for the kinds that it means.

        Raises:
            UserError: an unknown architecture, or one that contradicts another name.
        """
        values = expand(fixed)
        tree = trees.pin(self.tree, values)
        known = trees.names(tree)
        extra = {name: Constant(value=value) for name, value in values.items() if name not in known}
        return replace(self, tree={**tree, **extra})

    def variants(self, tasks: Sequence[str]) -> Iterator[dict[str, Scalar]]:
        """Configurations that between them visit every branch, and there each parameter's default, bounds and options.

        All else stays at its default: parameters are checked apart from each other.
        """
        yield trees.resolve(self.tree, tasks, _given({}))
        for name, node, path in trees.leaves(self.tree, tasks):
            for value in node.extremes:
                yield trees.resolve(self.tree, tasks, _given({**dict(path), name: value}))

    def validate_against_config(self, tasks: Sequence[str]) -> None:
        """Reads every variant as a trial's configuration, without training.

        Raises:
            UserError: a name that is no configuration, or a value that is refused; the message names the key.
        """
        from bench.training.config import TrialConfig  # imports torch: only where it is needed

        for config in self.variants(tasks):
            try:
                TrialConfig.parse(config, self.source)
            except UserError as error:
                text = str(error)
                raise UserError(text if text.startswith(self.source) else f"{self.source}: {text}") from None


def load_space(name_or_path: str) -> Space:
    """Reads `search_spaces/<name>.toml`, or the file at a path.

    Raises:
        UserError: unknown, or not valid; the message names file and key.
    """
    path = content.find("search_spaces", name_or_path)
    file = validate(_File, content.read_toml(path), str(path))
    tree = trees.read(file.parameters, str(path))
    if twice := trees.names(tree) & file.fixed.keys():
        raise UserError(f"{path}: {min(twice)}: expected either a fixed value or a parameter, found both")
    try:
        return Space(file.title, str(path), tree).restricted(file.fixed)
    except UserError as error:
        raise UserError(f"{path}: fixed: {error}") from None


def _given(values: Mapping[str, Scalar]) -> trees.Chooser:
    """Gives each parameter its value among these, or its default."""
    return lambda name, node: values.get(name, node.default)


def suggest(trial: BaseTrial, name: str, node: Leaf | Switch) -> Scalar:
    """What an Optuna trial has for one parameter."""
    if isinstance(node, Int):
        return trial.suggest_int(name, node.low, node.high, step=node.step, log=node.log)
    if isinstance(node, Float):
        return trial.suggest_float(name, node.low, node.high, log=node.log)
    return trial.suggest_categorical(name, node.options)
