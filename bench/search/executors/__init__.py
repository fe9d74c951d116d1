"""Executors, which run jobs. Each is built as `Executor(run, workers, options)`; see `base` for the contract."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from bench.core.errors import UserError, adding
from bench.core.plugins import Registry
from bench.search.executors.base import RAY, Executor, InlineExecutor, MakeExecutor, Options, Run
from bench.search.executors.process import ProcessExecutor


def ray_module(name: str) -> ModuleType:
    """A module of this room that imports Ray, loaded only where it is asked for; raises UserError if Ray is missing."""
    if find_spec("ray") is None:
        raise UserError(f"executor: expected Ray, found none installed; {adding('ray')}")
    return import_module(f"{__name__}.{name}")


def _ray(run: Run, workers: int, options: Options) -> Executor:
    """Jobs on the machines of a Ray cluster."""
    made: Executor = ray_module("ray").RayExecutor(run, workers, options)
    return made


_OURS: dict[str, MakeExecutor] = {
    "inline": InlineExecutor,
    "process": ProcessExecutor,
    RAY: _ray,
}
EXECUTORS = Registry("executor", _OURS, Callable, "a function (run, workers, options)")
