"""A machine's side of a Ray cluster: runs jobs there, and copies files that the machine does not see.

By default a machine reads the store at the driver's path, on a file system that all machines share. If
`SEESAW_NODE_HOME` was set when `ray start` was called, the machine keeps its own stores in that folder. It copies a
store from the driver's machine when it is first needed. Checkpoints are brought from the driver's machine and back, and
predictions are sent there.
"""

from __future__ import annotations

import fcntl
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench import __version__, plugins
from bench.atomic import atomic_folder
from bench.errors import UserError
from bench.machine import set_waiting
from bench.records import Job, TrialResult
from bench.search.executors.base import attempt
from bench.search.executors.worker import THREADS, encode, timed

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
                own = _brought(job, driver, Path(folder))
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


def _brought(job: Job, driver: str, folder: Path) -> Job:
    """The job with paths of this machine."""
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
    """Where the store is on this machine.

    Raises:
        OSError: it is not to be seen, and this machine keeps none of its own; or it could not be copied.
    """
    if not (home := os.environ.get(NODE_HOME)):
        if Path(store, "manifest.json").is_file():
            return store
        raise OSError(
            f"{platform.node()}: expected the store {store} on a file system that all machines share, found none; "
            f"share it, or set {NODE_HOME} to a folder of this machine's own before `ray start`"
        )
    target = Path(home).expanduser().resolve().joinpath("store", *Path(store).parts[-2:])  # its key and fingerprint
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the second worker here waits for the first one's copy
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
