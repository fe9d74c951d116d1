"""Runs jobs on the machines of a Ray cluster; without a cluster, on this machine.

By default a machine reads the store at the driver's path, on a file system that all machines share. If
`SEESAW_NODE_HOME` was set when `ray start` was called, the machine keeps its own stores in that folder. It copies a
store from the driver's machine when it is first needed. Checkpoints are brought from the driver's machine and back, and
predictions are sent there.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError, WorkerCrashedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench import __version__
from bench.core import plugins
from bench.core.errors import UserError
from bench.core.records import Job, Outcome, TrialResult
from bench.search.executors.base import Executor, Options, QueuedJob, Run, attempt
from bench.search.executors.process import THREADS, decode, encode, importable, timed
from bench.system.atomic import Unwritable, atomic_folder, atomic_path
from bench.system.lock import in_turn
from bench.system.machine import cores, set_waiting

NODE_HOME = "SEESAW_NODE_HOME"
CHUNK = 16 << 20
"""Bytes that travel at once."""
PARTS_AHEAD = 4
"""How many more of them wait to be taken."""


def work(function: str, job: Job, seconds: float | None, driver: str) -> tuple[str, dict[str, bytes]]:
    """Runs a job on this machine.

    Args:
        function: `module:name` of what runs a job.
        seconds: which the job may take; then this process ends.
        driver: the driver's machine, by Ray's number; there every file is where the job says.

    Returns:
        Its outcome as `message.encode` writes it, and the files that the job left on another machine than the driver's,
        by the paths that the driver gave them.
    """
    os.environ.update(dict.fromkeys(THREADS, str(job.threads)))  # read when numeric libraries are imported
    set_waiting()
    files: dict[str, bytes] = {}

    def run(job: Job) -> TrialResult:
        with timed(function, seconds) as train:
            if _machine() == driver:
                return train(job)
            with tempfile.TemporaryDirectory(prefix="seesaw-") as folder:
                own = brought(job, driver, Path(folder))
                result = train(own)
                files.update(_left(job, own))
                return result

    return encode(attempt(run, job)), files


def complaint(
    version: str, store: str | None, driver: str, needs: Mapping[str, str], files: Sequence[plugins.PluginFile]
) -> str:
    """Why this machine cannot run jobs; empty where it can. Copies the store if this machine keeps its own.

    Args:
        needs: of plug-ins; `files` are those that are no packages.
    """
    if version != __version__:
        return f"expected version {version} of seesaw, which the driver has, found {__version__}"
    try:
        plugins.add(*files)
        plugins.check(needs, platform.node())
        if store is not None and _machine() != driver:
            _store(store, driver)
    except (OSError, UserError) as error:
        return str(error)
    return ""


def pinned(machine: str) -> NodeAffinitySchedulingStrategy:
    """On that machine and no other."""
    return NodeAffinitySchedulingStrategy(machine, soft=False)


def _machine() -> str:
    return str(ray.get_runtime_context().get_node_id())


def brought(job: Job, driver: str, folder: Path) -> Job:
    """The job with paths of this machine, to which what it needs is copied; `folder` is for its files."""
    if job.resume is not None:
        _fetch(job.resume, folder / "resume", driver)
    return replace(
        job,
        store=_store(job.store, driver),
        resume=job.resume and str(folder / "resume"),
        checkpoint=job.checkpoint and str(folder / "checkpoint"),
        predictions=job.predictions and str(folder / "predictions"),
    )


def _left(job: Job, own: Job) -> dict[str, bytes]:
    """What the job left on this machine, under `own`, by the driver's paths."""
    files = {}
    if job.checkpoint and own.checkpoint:
        files[job.checkpoint] = Path(own.checkpoint).read_bytes()
    if job.predictions and own.predictions:
        for path in Path(own.predictions).glob("*.npy"):
            files[f"{job.predictions}/{path.name}"] = path.read_bytes()
    return files


def _store(store: str, driver: str) -> str:
    """Where the store is on this machine; raises OSError if it is not to be seen, or could not be copied."""
    if not (home := os.environ.get(NODE_HOME)):
        if Path(store, "manifest.json").is_file():
            return store
        raise OSError(
            f"{platform.node()}: expected the store {store} on a file system that all machines share, found none; "
            f"share it, or set {NODE_HOME} to a folder of this machine's own before `ray start`"
        )
    target = Path(home).expanduser().resolve().joinpath("store", *Path(store).parts[-2:])  # its key and fingerprint
    target.parent.mkdir(parents=True, exist_ok=True)
    with in_turn(target.with_name(f".{target.name}.lock")):  # the second worker here waits for the first one's copy
        if not (target / "manifest.json").is_file():
            with atomic_folder(target) as folder:
                _fetch(store, folder, driver)
    return str(target)


def pieces(source: str) -> Iterator[tuple[str, bytes]]:
    """A file, or all files below a folder, in parts of at most `CHUNK` bytes, each with its path in the folder."""
    root = Path(source)
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if not path.is_dir():
            with path.open("rb") as file:
                yield str(path.relative_to(root)), file.read(CHUNK)  # of an empty file, too
                while part := file.read(CHUNK):
                    yield str(path.relative_to(root)), part


def _fetch(source: str, target: Path, driver: str) -> None:
    """Copies a file or folder of the driver's machine, of which a few parts at most are in memory at once."""
    at = {"num_cpus": 0, "scheduling_strategy": pinned(driver), "_generator_backpressure_num_objects": PARTS_AHEAD}
    for piece in ray.remote(**at)(pieces).remote(source):
        name, part = ray.get(piece)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with (target / name).open("ab") as file:
            file.write(part)


CHECK_SECONDS = 900.0
"""What machines may take to start a worker, and to copy the store where they keep one of their own."""


@contextmanager
def cluster(options: Options) -> Iterator[str]:
    """Joins the cluster at `options.address`, or the one of this machine; where there is none, begins one here alone.

    Gives this machine's number. A cluster that this process belonged to already is left to whoever joined it.

    Raises:
        UserError: no cluster at the address.
    """
    if ray.is_initialized():
        yield _machine()
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(address=options.address or "auto", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = options.address or os.environ.get("RAY_ADDRESS")
        if where is not None:
            reason = " ".join(str(error).split())[:200]
            token = "" if "RAY_AUTH_MODE" in os.environ else "; if it wants a token, set RAY_AUTH_MODE=token"
            raise UserError(
                f"expected a Ray cluster of this machine's at {where}, found none: {reason}{token}"
            ) from None
        options.note("this machine belongs to no Ray cluster: one is begun here alone")
        ray.init(address="local", num_cpus=cores(), include_dashboard=False, **quiet)
    try:
        yield _machine()
    finally:
        ray.shutdown()


def slots(options: Options) -> int:
    """How many jobs the cluster's machines hold at once; raises UserError without a cluster, or if they hold none."""
    with cluster(options):
        total = sum(_holds(machine, options) for machine in ray.nodes())
    if not total:
        need = f"{options.threads} processors, {options.gpus:g} GPUs and {options.memory} MB"
        raise UserError(f"expected a machine of the Ray cluster with {need} for a job, found none")
    return total


def check_machines(options: Options, here: str) -> None:
    """Looks at every machine that holds a job, before any job is spent on it.

    Args:
        here: the driver's machine, by Ray's number.

    Raises:
        UserError: a machine has another version, no store, or not the same plug-ins; or it does not answer.
    """
    asked = {}
    for machine in ray.nodes():
        if _holds(machine, options):
            at = pinned(machine["NodeID"])
            ask = ray.remote(max_retries=0, num_cpus=0, scheduling_strategy=at)(complaint)
            name = f"{machine['NodeManagerHostname']} ({machine['NodeManagerAddress']})"
            asked[ask.remote(__version__, options.store, here, options.needs, plugins.files())] = name
    for answer, name in asked.items():
        try:
            found = ray.get(answer, timeout=CHECK_SECONDS)
        except (RayError, TimeoutError) as error:
            found = loss(error)
        if found:
            raise UserError(f"Ray machine {name}: {found}")


def loss(error: Exception) -> str:
    """What Ray says of a job that did not come back, as a part of a sentence."""
    if isinstance(error, RayTaskError) and error.cause is not None:
        return f"its worker could not begin: {type(error.cause).__name__}: {' '.join(str(error.cause).split())[:200]}"
    names = {
        "WorkerCrashedError": "its worker died",
        "NodeDiedError": "its machine was lost",
        "OutOfMemoryError": "its worker was ended by Ray because memory ran out",
    }
    name = type(error).__name__
    return names.get(name) or f"{name}: {' '.join(str(error).split())[:200]}"


def _holds(machine: dict[str, Any], options: Options) -> int:
    """How many jobs a machine holds at once."""
    if not machine["Alive"]:
        return 0
    has = machine["Resources"]
    limits = [has.get("CPU", 0.0) / options.threads]
    if options.gpus:
        limits.append(has.get("GPU", 0.0) / options.gpus)
    if options.memory:
        limits.append(has.get("memory", 0.0) / (options.memory << 20))
    return int(min(limits))


Item = TypeVar("Item")


def spread(options: Options, work: Callable[[Item], None], items: Sequence[Item]) -> Iterator[None]:
    """Does a work on all items at once, on a cluster whose machines share the driver's files; yields at each end.

    Raises:
        UserError: as `RayExecutor`; or a machine was lost more than `retries` times. What the work raises, it raises.
    """
    with cluster(options) as here:
        check_machines(options, here)
        task: Any = ray.remote(max_retries=options.retries, max_calls=1, num_cpus=options.threads)(work)
        waiting = [task.remote(each) for each in items]
        while waiting:
            done, waiting = ray.wait(waiting)
            try:
                yield ray.get(done[0])
            except RayTaskError as error:
                raise error.cause or error from None
            except RayError as error:
                raise UserError(f"a job on the Ray cluster: {loss(error)}") from None


JOBS_A_WORKER = 100
"""Jobs after which Ray replaces a worker process, so that a leak cannot grow without end."""


class RayExecutor(Executor):
    """Runs at most `workers` jobs at once, each as a Ray task with the resources that `options` names.

    Ray itself tries nothing again: a lost machine is an infrastructure fault like any other, see `Executor`. Where no
    machine is left, `next` waits for one. The head of this module says how a machine gets the store and checkpoints.

    Raises:
        UserError: no cluster, or a machine of it that could not run the jobs.
        ValueError: no worker, or a function that a worker could not import.
    """

    def __init__(self, run: Run, workers: int, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        super().__init__(workers, options)
        self._function = importable(run)
        self._under_way: dict[Any, QueuedJob] = {}  # by what Ray will give
        self._cluster = ExitStack()
        self._here = self._cluster.enter_context(cluster(options))
        resources = {"num_cpus": options.threads, "num_gpus": options.gpus, "memory": options.memory << 20 or None}
        self._work: Any = ray.remote(max_retries=0, max_calls=JOBS_A_WORKER, **resources)(work)
        try:
            check_machines(options, self._here)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends all jobs, in their middle if need be."""
        super().close()
        if ray.is_initialized():
            for reference in self._under_way:
                with suppress(RayError):  # it has just ended by itself
                    ray.cancel(reference, force=True)
        self._under_way.clear()
        self._cluster.close()

    def _begin(self, task: QueuedJob) -> None:
        reference = self._work.remote(self._function, task.job, self._options.job_seconds, self._here)
        self._under_way[reference] = task

    def _ended(self) -> tuple[QueuedJob, Outcome]:
        reference = ray.wait(list(self._under_way))[0][0]
        task = self._under_way.pop(reference)
        try:
            line, files = ray.get(reference)
            for path, content in files.items():
                with atomic_path(Path(path)) as temporary:
                    temporary.write_bytes(content)
            return task, decode(task.job, line)
        except RayError as error:
            limit = self._options.job_seconds if isinstance(error, WorkerCrashedError) else None
            return task, task.lost(loss(error), limit)
        except (OSError, Unwritable) as error:
            return task, task.lost(f"what it left could not be kept: {error}")
