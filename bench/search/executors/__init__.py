"""Executors, which run jobs. Each is built as `Executor(run, workers, options)`; see `base` for the contract."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from bench.errors import UserError, adding
from bench.plugins import Registry
from bench.search.executors.base import Executor, InlineExecutor, MakeExecutor, Options, Run
from bench.search.executors.process import ProcessExecutor

RAY = "ray"


def _ray(run: Run, workers: int, options: Options) -> Executor:
    """Jobs on the machines of a Ray cluster."""
    _require_ray()
    from bench.search.executors.ray import RayExecutor

    return RayExecutor(run, workers, options)


def ray_slots(options: Options) -> int:
    """How many jobs the machines of a Ray cluster hold at once.

    Raises:
        UserError: no Ray, no cluster, or none of its machines holds a job.
    """
    _require_ray()
    from bench.search.executors.ray import slots

    return slots(options)


def _require_ray() -> None:
    """Raises a UserError where Ray is missing: it is an extra, and imported only where it is asked for."""
    if find_spec("ray") is None:
        raise UserError(f"executor: expected Ray, found none installed; {adding('ray')}")


_OURS: dict[str, MakeExecutor] = {
    "inline": InlineExecutor,
    "process": ProcessExecutor,
    RAY: _ray,
}
EXECUTORS = Registry("executor", _OURS, Callable, "a function (run, workers, options)")
