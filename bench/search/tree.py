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
    node.type: node for node in (Int, Float, Choice, Simplex)
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
    tree = {name: _read_node(table, f"{where}: {name}") for name, table in tables.items()}
    _check_names(tree, where)
    for name, table in tables.items():
        unless = table.get("unless")
        if unless is not None:
            _move_below(tree, name, unless, f"{where}: {name}.unless")
    return tree


def _check_names(tree: Tree, where: str) -> None:
    """Refuses a name used twice, and a parameter that a simplex sets."""
    paths: dict[str, Path] = {}
    simplexes = []
    for name, node, path in walk(tree):
        if name in paths:
            under = "".join(f" under {switch} = {branch}" for switch, branch in paths[name])
            raise UserError(
                f"{where}: {name}: expected one parameter of this name, found another{under}"
            )
        paths[name] = path
        if isinstance(node, Simplex):
            simplexes.append(name)
    for simplex in simplexes:
        for name in paths:
            if name.startswith(f"{simplex}."):
                raise UserError(
                    f"{where}: {name}: expected no parameter beside the simplex '{simplex}', which "
                    "sets it"
                )


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
    ((switch_name, excluded),) = unless.items()
    switch = tree.get(switch_name)
    if not isinstance(switch, Switch) or switch_name == name:
        is_below = switch_name not in tree and any(key == switch_name for key, _, _ in walk(tree))
        where_it_is = ", which only some configurations have" if is_below else ""
        raise UserError(
            f"{where}: expected a switch beside this parameter, found '{switch_name}'{where_it_is}"
        )
    excluded = excluded if isinstance(excluded, list) else [excluded]
    for branch in excluded:
        if branch not in switch.branches:
            raise UserError(f"{where}: {unknown('branch', str(branch), switch.branches)}")
    node = tree.pop(name)
    branches = dict(switch.branches)
    for branch, inner in switch.branches.items():
        if branch not in excluded:
            branches[branch] = {**inner, name: node}
    tree[switch_name] = replace(switch, branches=branches)


def _read_node(table: Mapping[str, object], where: str) -> Node:
    options = {key: value for key, value in table.items() if key not in ("type", "unless")}
    kind = table.get("type")
    if kind is None:
        raise UserError(f"{where}: missing key 'type'; known are {', '.join(TYPES)}")
    if kind == "switch":
        switch = validate(_SwitchTable, options, where)
        branches: dict[str, Tree] = {}
        for branch, inner in switch.branches.items():
            branches[branch] = read(inner, f"{where} = {branch}")
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
        if isinstance(node, Simplex):
            for weight, leaf in node.expand(name, tasks).items():
                if not isinstance(leaf, Constant):
                    yield weight, leaf, path
        elif not isinstance(node, Constant):
            yield name, node, path


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
            values[name] = choose(name, node)
            if isinstance(node, Switch):
                values |= resolve(node.branches[str(values[name])], tasks, choose)
    return values


def searched(tree: Tree, tasks: Sequence[str], choose: Chooser) -> dict[str, Scalar]:
    """The parameters chosen in one configuration, without constants."""
    params: dict[str, Scalar] = {}

    def note(name: str, node: Leaf | Switch) -> Scalar:
        params[name] = choose(name, node)
        return params[name]

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
            pinned[name] = _pin_weights(name, node, values)
        elif isinstance(node, Switch):
            branches: dict[str, Tree] = {}
            for branch, inner in node.branches.items():
                branches[branch] = _pin_branch(name, branch, inner, values)
            pinned[name] = replace(node, branches=branches)
        else:
            pinned[name] = node
    return pinned


def _pin_weights(name: str, simplex: Simplex, values: Mapping[str, Scalar]) -> Simplex:
    weights = dict(simplex.pinned)
    for key, value in values.items():
        if key.startswith(f"{name}."):
            weights[key.removeprefix(f"{name}.")] = value
    return simplex.model_copy(update={"pinned": weights})


def _pin_branch(switch: str, branch: str, tree: Tree, values: Mapping[str, Scalar]) -> Tree:
    inner = dict(pin(tree, values))
    if switch.endswith(".kind"):
        prefix = f"{switch.removesuffix('kind')}{branch}."
        parameters = names(inner)
        for name, value in values.items():
            if name.startswith(prefix) and name not in parameters:
                inner[name] = Constant(value=value)
    return inner


def prune(tree: Tree, unwanted: Mapping[tuple[str, str], str]) -> Tree:
    """Removes branches, given as (switch, branch) -> reason; raises UserError, with all reasons, if
    none is left.

    A parameter without branches is removed by (name, ""). A switch without its default gets its
    first branch as default; a switch with one branch becomes a constant.
    """
    pruned: dict[str, Node] = {}
    for name, node in tree.items():
        if not isinstance(node, Switch):
            if (name, "") not in unwanted:
                pruned[name] = node
            continue
        branches: dict[str, Tree] = {}
        for branch, inner in node.branches.items():
            if (name, branch) not in unwanted:
                branches[branch] = prune(inner, unwanted)
        if not branches:
            reasons = "; ".join(f"{branch}: {unwanted[name, branch]}" for branch in node.branches)
            raise UserError(
                f"{name}: expected a branch that fits this data, found none ({reasons})"
            )
        if len(branches) == 1 < len(node.branches):
            ((branch, inner),) = branches.items()
            pruned[name] = Constant(value=branch)
            pruned |= inner
        else:
            default = node.default if node.default in branches else next(iter(branches))
            pruned[name] = replace(node, default=default, branches=branches)
    return pruned


def below(prefix: str, tree: Tree) -> Tree:
    """The tree with a prefix before each name, in all branches."""
    renamed: dict[str, Node] = {}
    for name, node in tree.items():
        if isinstance(node, Switch):
            branches = {branch: below(prefix, inner) for branch, inner in node.branches.items()}
            node = replace(node, branches=branches)
        renamed[f"{prefix}{name}"] = node
    return renamed


def names(tree: Tree) -> set[str]:
    """Names of every parameter of every branch, and of pinned weights of tasks."""
    parameters = set()
    for name, node, _ in walk(tree):
        parameters.add(name)
        if isinstance(node, Simplex):
            parameters |= {f"{name}.{task}" for task in node.pinned}
    return parameters
