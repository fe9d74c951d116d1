"""The driver's side of a Ray cluster: finding it, what it holds, and whether its machines can run jobs."""

from __future__ import annotations

import os
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from bench import __version__
from bench.errors import UserError
from bench.machine import cores
from bench.search.executors.base import Options
from bench.search.executors.remote import complaint, pinned

CHECK_SECONDS = 900.0
"""What machines may take to start a worker, and to copy the store where they keep one of their own."""


def connect(options: Options) -> bool:
    """Joins the cluster at `options.address`, or the one of this machine; where there is none, begins one here alone.

    Returns:
        False where this process belonged to a cluster already, which is then left to whoever joined it.

    Raises:
        UserError: no cluster at the address.
    """
    if ray.is_initialized():
        return False
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if options.address is not None and "://" in options.address:
        raise UserError(
            f"--address: expected HOST:PORT of a cluster that this machine belongs to, found '{options.address}'"
        )
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(address=options.address or "auto", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = options.address or os.environ.get("RAY_ADDRESS")
        if where is not None:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"expected a Ray cluster of this machine's at {where}, found none: {reason}") from None
        options.note("this machine belongs to no Ray cluster: one is begun here alone")
        ray.init(address="local", num_cpus=cores(), include_dashboard=False, **quiet)
    return True


def slots(options: Options) -> int:
    """How many jobs the cluster's machines hold at once.

    Raises:
        UserError: no cluster, or none of its machines holds a job.
    """
    joined = connect(options)
    total = sum(_holds(machine, options) for machine in ray.nodes())
    if joined:
        ray.shutdown()
    if not total:
        need = f"{options.threads} processors, {options.gpus:g} GPUs and {options.memory_mb} MB"
        raise UserError(f"expected a machine of the Ray cluster with {need} for a job, found none")
    return total


def check_machines(options: Options, here: str) -> None:
    """Looks at every machine that holds a job, before any job is spent on it.

    Args:
        here: the driver's machine, by Ray's number.

    Raises:
        UserError: a machine has another version, or no store; or it does not answer.
    """
    asked = {}
    for machine in ray.nodes():
        if _holds(machine, options):
            at = pinned(machine["NodeID"])
            ask = ray.remote(max_retries=0, num_cpus=0, scheduling_strategy=at)(complaint)
            name = f"{machine['NodeManagerHostname']} ({machine['NodeManagerAddress']})"
            asked[ask.remote(__version__, options.store, here)] = name
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
    if options.memory_mb:
        limits.append(has.get("memory", 0.0) / (options.memory_mb << 20))
    return int(min(limits))
