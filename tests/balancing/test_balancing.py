"""The registry itself."""

from __future__ import annotations

import ast
import inspect
from typing import get_args

import pytest

import bench.balancing
from bench.balancing import BALANCING, Balancer, GradientAggregation, GradientCombination, LossWeighting
from bench.balancing.base import Need
from bench.registry import choose
from bench.schema import Schema, Task


def test_no_name_is_given_twice() -> None:
    tree = ast.parse(inspect.getsource(bench.balancing))
    keys = [key.value for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys]
    assert sorted(keys) == sorted(BALANCING)


@pytest.mark.parametrize("name", BALANCING)
def test_an_entry_is_complete(name: str) -> None:
    entry = BALANCING[name]
    balancer = entry.build(["a", "b", "c"], choose(BALANCING, "balancing", {"kind": name}, "static").options)
    assert isinstance(balancer, Balancer)
    assert not entry.departs or entry.departs.endswith(".")
    kinds = (LossWeighting, GradientAggregation, GradientCombination)
    assert sum(isinstance(balancer, kind) for kind in kinds) == 1
    assert balancer.needs <= set(get_args(Need))
    assert balancer.tasks == ("a", "b", "c")
    assert entry.summary
    assert "\n" not in entry.summary
    assert entry.paper == "-" or entry.paper[-4:].isdigit()
    assert entry.unfit(Schema((), (), (Task("a"), Task("b"), Task("c")))) is None


def test_each_has_its_own_file_and_class() -> None:
    for name, entry in BALANCING.items():
        assert entry.build.__module__ == f"bench.balancing.{name}"
