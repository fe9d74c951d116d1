"""The registry itself."""

from __future__ import annotations

import ast
import inspect

import pytest

import bench.balancing
from bench.balancing import BALANCING
from bench.testing.balancing import an_entry_is_complete


def test_no_name_is_given_twice() -> None:
    tree = ast.parse(inspect.getsource(bench.balancing))
    dicts = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    keys = [key.value for node in dicts for key in node.keys if isinstance(key, ast.Constant)]
    assert sorted(keys) == sorted(BALANCING)


@pytest.mark.parametrize("name", BALANCING)
def test_an_entry_is_complete(name: str) -> None:
    an_entry_is_complete(name)


def test_each_has_its_own_file_and_class() -> None:
    for name, entry in BALANCING.items():
        assert entry.build.__module__ == f"bench.balancing.{name}"
