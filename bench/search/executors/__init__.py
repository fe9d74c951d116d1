"""Where jobs run. Each executor is built as `Executor(run, workers)`; see `base` for the contract."""

from __future__ import annotations

from collections.abc import Callable

from bench.search.executors.base import Executor, Run
from bench.search.executors.inline import InlineExecutor
from bench.search.executors.process import ProcessExecutor

EXECUTORS: dict[str, Callable[[Run, int], Executor]] = {
    "inline": InlineExecutor,
    "process": ProcessExecutor,
}
