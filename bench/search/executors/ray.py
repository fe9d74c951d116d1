"""Runs jobs on the machines of a Ray cluster, which share the driver's files; without a cluster, on
this machine.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError, WorkerCrashedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench import __version__
from bench.core import plugins
from bench.core.errors import UserError
from bench.core.records import Job, Outcome
from bench.core.system.machine import cores, set_waiting
from bench.search.executors.base import Executor, Options, QueuedJob, RunJob, attempt
from bench.search.executors.process import JOBS_A_WORKER, THREADS, decode, encode, run_by_name


def work(function: str, job: Job, seconds: float | None) -> str:
    """Runs a job on this machine; returns its outcome as `encode` writes it.

    Args:
        function: `module:name` of what runs a job.
        seconds: that the job may take; then this process ends.
    """
    # read when numeric libraries are imported
    os.environ.update(dict.fromkeys(THREADS, str(job.threads)))
    set_waiting()
    return encode(attempt(partial(run_by_name, function, seconds), job))


def complaint(
    version: str, store: str | None, needs: Mapping[str, str], files: Sequence[plugins.PluginFile]
) -> str:
    """Why this machine cannot run jobs; empty where it can.

    Args:
        needs: versions of plug-ins that are packages.
        files: plug-ins that are files.
    """
    if version != __version__:
        return f"expected version {version} of seesaw, which the driver has, found {__version__}"
    try:
        plugins.carried(*files)
        plugins.check(needs, platform.node())
    except UserError as error:
        return str(error)
    if store is not None and not Path(store, "manifest.json").is_file():
        return f"expected the store {store} on a file system that all machines share, found none"
    return ""


CHECK_SECONDS = 900.0
"""Limit for machines to start a worker."""


@contextmanager
def cluster(options: Options) -> Iterator[None]:
    """Joins the cluster at `options.address`, or the one of this machine; if there is none, starts
    one on this machine only.

    A cluster that this process had joined before stays joined.

    Raises:
        UserError: no cluster at the address, or none could be begun here.
    """
    if ray.is_initialized():
        yield
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(address=options.address or "auto", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = options.address or os.environ.get("RAY_ADDRESS")
        if where is not None:
            hint = "; if it wants a token, set RAY_AUTH_MODE=token"
            if "RAY_AUTH_MODE" in os.environ:
                hint = ""
            raise UserError(
                f"expected a Ray cluster of this machine's at {where}, found none: "
                f"{_short(error)}{hint}"
            ) from None
        options.note("this machine belongs to no Ray cluster: one is begun here alone")
        try:
            ray.init(address="local", num_cpus=cores(), include_dashboard=False, **quiet)
        except Exception as failure:  # Ray has no type for a node that does not start in time
            raise UserError(
                "expected to begin a Ray cluster on this machine, but it did not start: "
                f"{_short(failure)}"
            ) from None
    try:
        yield
    finally:
        ray.shutdown()


def slots(options: Options) -> int:
    """Number of jobs that the cluster's machines hold at once; raises UserError without a cluster,
    or if they hold none.
    """
    with cluster(options):
        total = sum(_capacity(machine, options) for machine in ray.nodes())
    if not total:
        need = f"{options.threads} processors, {options.gpus:g} GPUs and {options.memory} MB"
        raise UserError(f"expected a machine of the Ray cluster with {need} for a job, found none")
    return total


def check_machines(options: Options) -> None:
    """Looks at every machine that holds a job, before any job is spent on it.

    Raises:
        UserError: a machine has another version, no store, or not the same plug-ins; or it does not
            answer.
    """
    name_by_answer = {}
    for machine in ray.nodes():
        if _capacity(machine, options):
            there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
            check = ray.remote(max_retries=0, num_cpus=0, scheduling_strategy=there)(complaint)
            answer = check.remote(__version__, options.store, options.needs, plugins.files())
            address = machine["NodeManagerAddress"]
            name_by_answer[answer] = f"{machine['NodeManagerHostname']} ({address})"
    for answer, name in name_by_answer.items():
        try:
            problem = ray.get(answer, timeout=CHECK_SECONDS)
        except (RayError, TimeoutError) as error:
            problem = loss(error)
        if problem:
            raise UserError(f"Ray machine {name}: {problem}")


def loss(error: Exception) -> str:
    """Why a job did not come back from Ray, as a part of a sentence."""
    if isinstance(error, RayTaskError) and error.cause is not None:
        cause = error.cause
        return f"its worker could not begin: {type(cause).__name__}: {_short(cause)}"
    reasons = {
        "WorkerCrashedError": "its worker died",
        "NodeDiedError": "its machine was lost",
        "OutOfMemoryError": "its worker was ended by Ray because memory ran out",
    }
    name = type(error).__name__
    return reasons.get(name) or f"{name}: {_short(error)}"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _capacity(machine: dict[str, Any], options: Options) -> int:
    """Number of jobs that a machine holds at once."""
    if not machine["Alive"]:
        return 0
    resources = machine["Resources"]
    limits = [resources.get("CPU", 0.0) / options.threads]
    if options.gpus:
        limits.append(resources.get("GPU", 0.0) / options.gpus)
    if options.memory:
        limits.append(resources.get("memory", 0.0) / (options.memory << 20))
    return int(min(limits))


Item = TypeVar("Item")


def spread(options: Options, work: Callable[[Item], None], items: Sequence[Item]) -> Iterator[None]:
    """Applies a function to all items at once, on a cluster whose machines share the driver's
    files; yields at each end.

    Raises:
        UserError: as `RayExecutor`; or a machine was lost more than `retries` times. Errors of the
            function are raised as they are.
    """
    with cluster(options):
        check_machines(options)
        resources = {"max_retries": options.retries, "max_calls": 1, "num_cpus": options.threads}
        task: Any = ray.remote(**resources)(work)
        waiting = [task.remote(item) for item in items]
        while waiting:
            done, waiting = ray.wait(waiting)
            try:
                yield ray.get(done[0])
            except RayTaskError as error:
                raise error.cause or error from None
            except RayError as error:
                raise UserError(f"a job on the Ray cluster: {loss(error)}") from None


class RayExecutor(Executor):
    """Runs at most `workers` jobs at once, each as a Ray task with the resources of `options`.

    Ray itself retries nothing: a lost machine is an infrastructure fault like any other, see
    `Executor`. If no machine is left, `next` waits for one.

    Raises:
        UserError: no cluster, or a machine of it that could not run the jobs.
    """

    def __init__(self, run: RunJob, workers: int, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        super().__init__(workers, options)
        self._function = f"{run.__module__}:{run.__qualname__}"
        self._under_way: dict[Any, QueuedJob] = {}  # by Ray's reference to the result
        self._cluster = ExitStack()
        self._cluster.enter_context(cluster(options))
        resources = {
            "num_cpus": options.threads,
            "num_gpus": options.gpus,
            "memory": options.memory << 20 or None,
        }
        self._work: Any = ray.remote(max_retries=0, max_calls=JOBS_A_WORKER, **resources)(work)
        try:
            check_machines(options)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends all jobs at once."""
        super().close()
        if ray.is_initialized():
            for reference in self._under_way:
                with suppress(RayError):  # it has just ended by itself
                    ray.cancel(reference, force=True)
        self._under_way.clear()
        self._cluster.close()

    def _begin(self, task: QueuedJob) -> None:
        reference = self._work.remote(self._function, task.job, self._options.job_seconds)
        self._under_way[reference] = task

    def _ended(self) -> tuple[QueuedJob, Outcome]:
        reference = ray.wait(list(self._under_way))[0][0]
        task = self._under_way.pop(reference)
        try:
            return task, decode(task.job, ray.get(reference))
        except RayError as error:
            limit = self._options.job_seconds if isinstance(error, WorkerCrashedError) else None
            return task, task.lost(loss(error), limit)
