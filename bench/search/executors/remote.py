"""A machine's side of a Ray cluster: what it runs, and how it comes by files that it does not see.

The store is looked for where the driver has it, as on a file system that all machines share. A machine on which
`SEESAW_NODE_HOME` was set when `ray start` was called keeps stores of its own in that folder instead, and copies one
from the driver's machine when it is first needed. Checkpoints are brought from the driver's machine and back, and
predictions are sent there.
"""

from __future__ import annotations

import faulthandler
import fcntl
import os
import platform
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from bench import __version__
from bench.atomic import atomic_folder
from bench.machine import set_waiting
from bench.records import Job, TrialResult
from bench.search.executors.base import attempt
from bench.search.executors.message import encode
from bench.search.executors.worker import THREADS, find

NODE_HOME = "SEESAW_NODE_HOME"
CHUNK = 16 << 20
"""Bytes that travel at once."""


def work(function: str, job: Job, seconds: float | None, desk: Any, driver: str) -> str:
    """Runs a job on this machine; gives its outcome as `message.encode` writes it.

    Args:
        function: `module:name` of what runs a job.
        seconds: which the job may take; then this process ends.
        driver: the driver's machine, by Ray's number; there every file is where the job says.
    """
    os.environ.update(dict.fromkeys(THREADS, str(job.threads)))  # read when numeric libraries are imported
    set_waiting()

    def run(job: Job) -> TrialResult:
        train = find(function)
        if seconds is not None:  # a thread of C: it ends jobs that let no thread of Python run
            faulthandler.dump_traceback_later(seconds, exit=True, file=open(os.devnull, "w"))  # noqa: SIM115
        if _machine() == driver:
            return train(job)
        with tempfile.TemporaryDirectory(prefix="seesaw-") as folder:
            own = _brought(job, desk, Path(folder))
            result = train(own)
            if job.checkpoint is not None and own.checkpoint is not None:
                _send(desk, Path(own.checkpoint), job.checkpoint)
            if job.predictions is not None and own.predictions is not None:
                for path in Path(own.predictions).glob("*.npy"):
                    _send(desk, path, f"{job.predictions}/{path.name}")
            return result

    outcome = attempt(run, job)
    faulthandler.cancel_dump_traceback_later()
    return encode(outcome)


def complaint(version: str, store: str | None, desk: Any, driver: str) -> str:
    """Why this machine cannot run jobs; empty where it can. Copies the store if this machine keeps its own."""
    if version != __version__:
        return f"expected version {version} of seesaw, which the driver has, found {__version__}"
    try:
        if store is not None and _machine() != driver:
            _store(store, desk)
    except OSError as error:
        return str(error)
    return ""


def _machine() -> str:
    return str(ray.get_runtime_context().get_node_id())


def _brought(job: Job, desk: Any, folder: Path) -> Job:
    """The job with paths of this machine."""
    resume = None if job.resume is None else str(folder / "resume")
    if job.resume is not None:
        _fetch(desk, job.resume, folder / "resume")
    checkpoint = None if job.checkpoint is None else str(folder / "checkpoint")
    predictions = None if job.predictions is None else str(folder / "predictions")
    return replace(job, store=_store(job.store, desk), resume=resume, checkpoint=checkpoint, predictions=predictions)


def _store(store: str, desk: Any) -> str:
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
                for name in ray.get(desk.listing.remote(store)):
                    _fetch(desk, f"{store}/{name}", folder / name)
    return str(target)


def _fetch(desk: Any, path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while part := ray.get(desk.read.remote(path, file.tell())):
            file.write(part)


def _send(desk: Any, path: Path, target: str) -> None:
    temporary = f"{target}.{uuid.uuid4().hex}.part"  # beside it, where what is left half-written is removed
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            ray.get(desk.write.remote(temporary, part))
    ray.get(desk.rename.remote(temporary, target))
