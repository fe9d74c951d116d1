"""Trees of parameters: read from TOML tables, walked, resolved to configurations, pinned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr, model_validator

from bench.core.errors import UserError, unknown
from bench.core.records import Scalar
from bench.core.registry import Config
from bench.core.validation import validate
from bench.search.nodes import Choice, Constant, Float, Int, Leaf, Node, Simplex, Switch, Tree

ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
"""A dotted configuration path, as in `sharing.mmoe.experts`."""

Path = tuple[tuple[str, str], ...]
"""Switches that lead to a parameter, each with its branch."""

Chooser = Callable[[str, Leaf | Switch], Scalar]

PARAMETERS: dict[str, type[Int | Float | Choice | Simplex]] = {
    each.type: each for each in (Int, Float, Choice, Simplex)
}
TYPES = (*PARAMETERS, "switch")


class _SwitchTable(Config):
    default: StrictStr
    branches: dict[str, dict[ParameterName, dict[str, Any]]] = Field(min_length=1)
    where: Literal["groups"] | None = None

    @model_validator(mode="after")
    def _check(self) -> _SwitchTable:
        if self.default not in self.branches:
            raise ValueError(
                f"expected default to be one of {', '.join(self.branches)}, found '{self.default}'"
            )
        return self


def read(tables: Mapping[str, Mapping[str, object]], where: str) -> Tree:
    """Reads parameters from their TOML tables in a file, `where`.

    Raises UserError, naming file and parameter, for an unknown type, a missing or unknown key, a
    value that does not fit, or a name used twice.
    """
    tree: dict[str, Node] = {
        name: _read_node(table, f"{where}: {name}") for name, table in tables.items()
    }
    seen: dict[str, Path] = {}
    for name, _, path in walk(tree):
        if name in seen:
            under = "".join(f" under {switch} = {branch}" for switch, branch in seen[name])
            raise UserError(
                f"{where}: {name}: expected one parameter of this name, found another{under}"
            )
        seen[name] = path
    for simplex in (name for name, node, _ in walk(tree) if isinstance(node, Simplex)):
        for name in seen:
            if name.startswith(f"{simplex}."):
                raise UserError(
                    f"{where}: {name}: expected no parameter beside the simplex '{simplex}', which "
                    "sets it"
                )
    for name, table in tables.items():
        if (unless := table.get("unless")) is not None:
            _move_below(tree, name, unless, f"{where}: {name}.unless")
    return tree


def _move_below(tree: dict[str, Node], name: str, unless: object, where: str) -> None:
    """Moves a parameter into those branches of a switch where it has a meaning.

    `unless = { "sharing.kind" = ["single_task"] }` excludes that branch. The result is a plain tree
    with the parameter in several branches, of which a configuration has one.
    """
    if not isinstance(unless, Mapping) or len(unless) != 1:
        raise UserError(
            f'{where}: expected one switch with a list of branches, as in {{ "sharing.kind" = '
            '["single_task"] }'
        )
    ((switch_name, without),) = unless.items()
    switch = tree.get(switch_name)
    if not isinstance(switch, Switch) or switch_name == name:
        below = switch_name not in tree and any(other == switch_name for other, _, _ in walk(tree))
        where_it_is = ", which only some configurations have" if below else ""
        raise UserError(
            f"{where}: expected a switch beside this parameter, found '{switch_name}'{where_it_is}"
        )
    without = without if isinstance(without, list) else [without]
    for branch in without:
        if branch not in switch.branches:
            raise UserError(f"{where}: {unknown('branch', str(branch), switch.branches)}")
    node = tree.pop(name)
    branches = {
        branch: inner if branch in without else {**inner, name: node}
        for branch, inner in switch.branches.items()
    }
    tree[switch_name] = replace(switch, branches=branches)


def _read_node(table: Mapping[str, object], where: str) -> Node:
    options = {key: value for key, value in table.items() if key not in ("type", "unless")}
    kind = table.get("type")
    if kind is None:
        raise UserError(f"{where}: missing key 'type'; known are {', '.join(TYPES)}")
    if kind == "switch":
        switch = validate(_SwitchTable, options, where)
        branches = {
            branch: read(inner, f"{where} = {branch}") for branch, inner in switch.branches.items()
        }
        return Switch(switch.default, branches, switch.where == "groups")
    if kind not in PARAMETERS:
        raise UserError(f"{where}: {unknown('type', str(kind), TYPES)}")
    return validate(PARAMETERS[kind], options, where)


def walk(tree: Tree, path: Path = ()) -> Iterator[tuple[str, Node, Path]]:
    """Yields every parameter of every branch, with the switches that lead to it."""
    for name, node in tree.items():
        yield name, node, path
        if isinstance(node, Switch):
            for branch, inner in node.branches.items():
                yield from walk(inner, (*path, (name, branch)))


def leaves(tree: Tree, tasks: Sequence[str]) -> Iterator[tuple[str, Leaf | Switch, Path]]:
    """Yields every searched parameter, with the switches that lead to it; a simplex as the weights
    of its tasks.
    """
    for name, node, path in walk(tree):
        for each, leaf in (
            node.expand(name, tasks) if isinstance(node, Simplex) else {name: node}
        ).items():
            if not isinstance(leaf, Constant | Simplex):
                yield each, leaf, path


def resolve(tree: Tree, tasks: Sequence[str], choose: Chooser) -> dict[str, Scalar]:
    """Builds one configuration: `choose` gives the value of each parameter in the branches chosen
    so far.
    """
    values: dict[str, Scalar] = {}
    for name, node in tree.items():
        if isinstance(node, Constant):
            values[name] = node.value
        elif isinstance(node, Simplex):
            values |= resolve(node.expand(name, tasks), tasks, choose)
        else:
            values[name] = value = choose(name, node)
            if isinstance(node, Switch):
                values |= resolve(node.branches[str(value)], tasks, choose)
    return values


def searched(tree: Tree, tasks: Sequence[str], choose: Chooser) -> dict[str, Scalar]:
    """The parameters chosen in one configuration, without constants."""
    params: dict[str, Scalar] = {}

    def note(name: str, node: Leaf | Switch) -> Scalar:
        params[name] = value = choose(name, node)
        return value

    resolve(tree, tasks, note)
    return params


def pin(tree: Tree, values: Mapping[str, Scalar]) -> Tree:
    """Fixes some parameters of a tree; raises UserError for one value for a simplex, which has one
    per task.

    A pinned switch keeps only its branch. A name such as `sharing.ple.dropout` that is no
    parameter, but lies below a branch of a switch `sharing.kind`, is fixed only in that branch.
    """
    pinned: dict[str, Node] = {}
    for name, node in tree.items():
        if name in values:
            if isinstance(node, Simplex):
                raise UserError(
                    f"{name}: expected a weight for each task, as in {name}.<task>, found "
                    f"{values[name]!r}"
                )
            pinned[name] = Constant(value=values[name])
            if isinstance(node, Switch):
                pinned |= pin(node.branches.get(str(values[name]), {}), values)
        elif isinstance(node, Simplex):
            weights = {
                key.removeprefix(f"{name}."): value
                for key, value in values.items()
                if key.startswith(f"{name}.")
            }
            pinned[name] = node.model_copy(update={"pinned": {**node.pinned, **weights}})
        elif isinstance(node, Switch):
            branches = {
                branch: _pin_branch(name, branch, inner, values)
                for branch, inner in node.branches.items()
            }
            pinned[name] = replace(node, branches=branches)
        else:
            pinned[name] = node
    return pinned


def prune(tree: Tree, unwanted: Mapping[tuple[str, str], str]) -> Tree:
    """Removes branches, given as (switch, branch) -> reason; raises UserError, with all reasons, if
    none is left.

    A parameter without branches is removed by (name, ""). A switch without its default gets its
    first branch as default; a switch with one branch becomes a constant.
    """
    pruned: dict[str, Node] = {}
    for name, node in tree.items():
        if not isinstance(node, Switch):
            pruned |= {} if (name, "") in unwanted else {name: node}
            continue
        left = {
            branch: inner
            for branch, inner in node.branches.items()
            if (name, branch) not in unwanted
        }
        if not left:
            reasons = "; ".join(f"{branch}: {unwanted[name, branch]}" for branch in node.branches)
            raise UserError(
                f"{name}: expected a branch that fits this data, found none ({reasons})"
            )
        if len(left) == 1 < len(node.branches):
            ((branch, inner),) = left.items()
            pruned |= {name: Constant(value=branch)} | dict(prune(inner, unwanted))
        else:
            default = node.default if node.default in left else next(iter(left))
            branches = {branch: prune(inner, unwanted) for branch, inner in left.items()}
            pruned[name] = replace(node, default=default, branches=branches)
    return pruned


def names(tree: Tree) -> set[str]:
    """Names of every parameter of every branch, and of pinned weights of tasks."""
    nodes = {name: node for name, node, _ in walk(tree)}
    weights = {
        f"{name}.{task}"
        for name, node in nodes.items()
        if isinstance(node, Simplex)
        for task in node.pinned
    }
    return {*nodes, *weights}


def _pin_branch(switch: str, branch: str, tree: Tree, values: Mapping[str, Scalar]) -> Tree:
    inner = pin(tree, values)
    if not switch.endswith(".kind"):
        return inner
    prefix, known = f"{switch.removesuffix('kind')}{branch}.", names(inner)
    own = {
        name: Constant(value=value)
        for name, value in values.items()
        if name.startswith(prefix) and name not in known
    }
    return {**inner, **own}
