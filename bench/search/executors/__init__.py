"""Executors, which run jobs. Each is built as `Executor(run, workers, options)`; see `base` for the
contract.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from bench.core.errors import UserError, adding
from bench.core.plugins import Registry
from bench.search.executors.base import RAY, InlineExecutor, MakeExecutor
from bench.search.executors.process import ProcessExecutor


def ray_module() -> ModuleType:
    """The module of this room that imports Ray, loaded only where it is asked for; raises UserError
    without Ray.
    """
    if find_spec("ray") is None:
        raise UserError(f"executor: expected Ray, found none installed; {adding('ray')}")
    return import_module(f"{__name__}.ray")


_OURS: dict[str, MakeExecutor] = {
    "inline": InlineExecutor,
    "process": ProcessExecutor,
    RAY: lambda run, workers, options: ray_module().RayExecutor(run, workers, options),
}
EXECUTORS = Registry("executor", _OURS, Callable, "a function (run, workers, options)")
