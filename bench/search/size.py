"""How large a search space is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.search import tree as trees
from bench.search.nodes import Choice, Constant, Float, Int, Simplex, Switch, Tree
from bench.search.space import Space


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
    continuous = set()
    for name, node, _ in trees.walk(space.tree):
        leaves = node.expand(name, tasks) if isinstance(node, Simplex) else {name: node}
        continuous |= {name for name, leaf in leaves.items() if isinstance(leaf, Float)}
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
