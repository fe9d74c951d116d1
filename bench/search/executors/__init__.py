"""Where jobs run. Each executor is built as `Executor(run, workers, options)`; see `base` for the contract."""

from __future__ import annotations

from bench.search.executors.base import Executor, MakeExecutor, Options, Run
from bench.search.executors.inline import InlineExecutor
from bench.search.executors.process import ProcessExecutor


def _ray(run: Run, workers: int, options: Options = Options()) -> Executor:  # noqa: B008 (it is frozen)
    """Jobs on the machines of a Ray cluster; imported only here, since Ray is an extra."""
    from bench.search.executors.ray import RayExecutor

    return RayExecutor(run, workers, options)


EXECUTORS: dict[str, MakeExecutor] = {
    "inline": InlineExecutor,
    "process": ProcessExecutor,
    "ray": _ray,
}
