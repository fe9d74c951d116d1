"""Configurations that a search begins with: learnt from learning curves on other data, see `docs/search.md`.

As in Feurer et al. 2015 (auto-sklearn) and Salinas and Erickson 2024 (TabRepo), for fronts in place of single scores.
Content is `search_spaces/portfolio/learnt.toml`; `tests/benchmarks/learn_portfolio.py` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from pydantic import BaseModel, ConfigDict, Field

from bench import content
from bench.records import Scalar
from bench.search import tree as trees
from bench.search.nodes import Choice, Int, Leaf, Switch, Value
from bench.search.plan import SHARING
from bench.search.space import Space
from bench.validation import validate


class _Portfolio(BaseModel):
    model_config = ConfigDict(extra="forbid")
    objectives: int = Field(ge=1)
    configurations: list[dict[str, Value]] = Field(min_length=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    portfolios: list[_Portfolio] = Field(min_length=1)


def openings(space: Space, tasks: Sequence[str], objectives: int) -> list[dict[str, Scalar]]:
    """The searched parameters of the configurations to begin with, best first.

    Those of the number of objectives that is nearest. A configuration whose way of sharing the space does not have is
    left out; other values that the space does not have become the nearest that it has, or the default.

    Raises:
        UserError: the file is not valid.
    """
    nearest = min(_read(), key=lambda each: abs(each.objectives - objectives))
    found = [fitted(each, space, tasks) for each in nearest.configurations]
    return list({tuple(each.items()): each for each in found if each}.values())


def fitted(config: Mapping[str, Scalar], space: Space, tasks: Sequence[str]) -> dict[str, Scalar]:
    """A configuration as searched parameters of a space; empty where the space has not its way of sharing.

    Args:
        config: dotted; a weight's last part is the place of its task, from "1".
    """
    kinds = space.branches(SHARING) or (space.fixed.get(SHARING),)
    if config.get(SHARING) not in kinds:
        return {}
    named = {_named(name, tasks): value for name, value in config.items()}
    params: dict[str, Scalar] = {}

    def choose(name: str, node: Leaf | Switch) -> Scalar:
        params[name] = _nearest(named.get(name), node)
        return params[name]

    trees.resolve(space.tree, tasks, choose)
    return params


def _named(name: str, tasks: Sequence[str]) -> str:
    stem, _, place = name.rpartition(".")
    return f"{stem}.{tasks[int(place) - 1]}" if place.isdigit() and int(place) <= len(tasks) else name


def _nearest(value: Scalar, node: Leaf | Switch) -> Scalar:
    """The value of a parameter that is nearest to another, its default where none is near."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(node, Switch):
        return str(value) if value in node.branches else node.default
    if isinstance(node, Choice):
        numbers = [option for option in node.options if type(option) in (int, float)]
        if value in node.options or not number or not numbers:
            return value if value in node.options else node.default
        return min(numbers, key=lambda option: abs(float(option) - float(value)))  # type: ignore[arg-type]
    if not number:
        return node.default
    within = min(node.high, max(node.low, float(value)))  # type: ignore[arg-type]
    return _whole(within, node) if isinstance(node, Int) else within


def _whole(value: float, node: Int) -> int:
    return node.low + node.step * round((value - node.low) / node.step)


@cache
def _read() -> list[_Portfolio]:
    path = content.root("search_spaces") / "portfolio" / "learnt.toml"
    return validate(_File, content.read_toml(path), str(path)).portfolios
