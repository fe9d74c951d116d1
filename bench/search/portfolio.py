"""The first configurations of a search, learnt from learning curves on other data, see `docs/search.md`.

As in Feurer et al. 2015 (auto-sklearn) and Salinas and Erickson 2024 (TabRepo), for fronts in place of single scores.
Content is `search_spaces/portfolio/learnt.toml`; `tests/benchmarks/learn_portfolio.py` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from bench import content
from bench.records import Scalar
from bench.search import tree as trees
from bench.search.plan import SHARING
from bench.search.space import Space

ROWS_AN_ID = 30
"""Ids are rare where train has fewer rows than this for each of them."""


def openings(space: Space, tasks: Sequence[str], objectives: int, rare: bool) -> list[dict[str, Scalar]]:
    """The searched parameters of the configurations to begin with, best first.

    Those of the number of objectives that is nearest. A configuration whose way of sharing the space does not have is
    left out; other values that the space does not have become the nearest that it has, or the default.

    Args:
        rare: whether the ids of the data are, see `rare_ids`.
    """
    alike = [each for each in _read() if each["rare_ids"] == rare]
    nearest = min(alike, key=lambda each: abs(each["objectives"] - objectives))
    found = [fitted(each, space, tasks) for each in nearest["configurations"]]
    return list({tuple(each.items()): each for each in found if each}.values())


def rare_ids(ids: int, rows: int) -> bool:
    """Whether ids are rare. Models overfit on rare ids, so that lower learning rates are best.

    Args:
        ids: of all columns of ids or categories together.
        rows: of train.
    """
    return rows < ROWS_AN_ID * ids


def fitted(config: Mapping[str, Scalar], space: Space, tasks: Sequence[str]) -> dict[str, Scalar]:
    """A configuration as searched parameters of a space; empty where the space has not its way of sharing.

    Args:
        config: dotted; a weight's last part is the place of its task, from "1".
    """
    if config.get(SHARING) not in space.choices(SHARING):
        return {}
    named = {_named(name, tasks): value for name, value in config.items()}
    return trees.searched(space.tree, tasks, lambda name, node: node.nearest(named.get(name)))


def _named(name: str, tasks: Sequence[str]) -> str:
    stem, _, place = name.rpartition(".")
    return f"{stem}.{tasks[int(place) - 1]}" if place.isdigit() and int(place) <= len(tasks) else name


@cache
def _read() -> list[dict[str, Any]]:
    file = content.read_toml(content.root("search_spaces") / "portfolio" / "learnt.toml")
    return list(file["portfolios"])
