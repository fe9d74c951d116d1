"""Executors, which run jobs. Each is built as `Executor(run, workers, options)`; see `base` for the contract."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

from bench.errors import UserError, adding
from bench.plugins import Registry
from bench.progress import Progress
from bench.records import Job
from bench.search.executors.base import RAY, Executor, InlineExecutor, MakeExecutor, Options, Run
from bench.search.executors.process import ProcessExecutor


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


def on_ray(job: Job, ranks: int, progress: Progress, options: Options) -> AbstractContextManager[Path]:
    """Trains one job on several ranks of a Ray cluster, see `bench.search.executors.ray_ranks.trained_on_ray`.

    Raises:
        UserError: no Ray.
    """
    _require_ray()
    from bench.search.executors.ray_ranks import trained_on_ray

    return trained_on_ray(job, ranks, progress, options)


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
