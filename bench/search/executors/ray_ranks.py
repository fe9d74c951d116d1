"""One training on several ranks of a Ray cluster, each a task with its own resources, spread over the machines.

Ray places the ranks, and says what ended them; `bench.training.ranks` has the training. Ray Train would bring the
checkpoint back only through a file system that all machines share. Here it comes with rank 0's result.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util import get_node_ip_address, placement_group, remove_placement_group
from ray.util.queue import Queue
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bench.core.errors import TrainingError, UserError
from bench.core.records import Job
from bench.search.executors.base import Options
from bench.search.executors.process import THREADS
from bench.search.executors.ray import brought, check_machines, cluster, loss
from bench.system.progress import Progress, Silent
from bench.training.launch import CHECKPOINT, LOOK, StepCounter, train_on_rank
from bench.training.ranks import Ranks

ROOM_SECONDS = 60.0
"""For the cluster to find room for all ranks."""
LAST_WORDS = 10.0
"""Seconds to wait for the other ranks' errors, once one has failed."""


def on_rank(job: Job, ranks: Ranks, meet: str, driver: str, steps: Queue) -> bytes:
    """Trains as one of the ranks, on its machine; the checkpoint's bytes on rank 0, none on others."""
    with TemporaryDirectory(prefix="seesaw-ranks-") as folder:
        left = Path(folder) / CHECKPOINT
        own = brought(job, driver, Path(folder))
        progress = StepCounter(lambda done, total: steps.put((done, total))) if ranks.rank == 0 else Silent()
        train_on_rank(own, ranks, left, progress, meet)
        return left.read_bytes() if ranks.rank == 0 else b""


def meeting_place() -> str:
    """Where ranks find each other: a free port of the machine that this runs on."""
    with socket.socket() as free:
        free.bind(("", 0))
        return f"tcp://{get_node_ip_address()}:{free.getsockname()[1]}"


@contextmanager
def trained_on_ray(job: Job, ranks: int, progress: Progress, options: Options) -> Iterator[Path]:
    """Trains a job on ranks of a Ray cluster, `options.threads` processors and `options.gpus` GPUs each. Gives the
    checkpoint, which is there within the context.

    Raises:
        UserError: as `bench.training.job.run_job`; no cluster, no room in it, or a machine that does not fit.
        TrainingError: training diverged, or a rank was lost.
    """
    with cluster(options) as here:
        check_machines(options, here)
        each = {"CPU": float(options.threads)} | ({"GPU": options.gpus} if options.gpus else {})
        group = placement_group([each] * ranks, strategy="SPREAD")
        try:
            if not group.wait(ROOM_SECONDS):
                has = ray.cluster_resources()
                raise UserError(
                    f"--ranks: expected room for {ranks} ranks in the Ray cluster, each with {options.threads} "
                    f"processors{f' and {options.gpus:g} GPUs' if options.gpus else ''}, found less: "
                    f"{has.get('CPU', 0.0):g} processors and {has.get('GPU', 0.0):g} GPUs in all"
                )
            steps = Queue(actor_options={"num_cpus": 0})
            meet = ray.get(_at(group, 0, {}, {"CPU": 0.0})(meeting_place).remote())
            env = dict.fromkeys(THREADS, str(options.threads))  # read when numeric libraries are imported
            job = replace(job, threads=options.threads)
            runs = [
                _at(group, rank, env, each)(on_rank).remote(job, Ranks(rank, ranks), meet, here, steps)
                for rank in range(ranks)
            ]
            with TemporaryDirectory(prefix="seesaw-ranks-") as folder:
                left = Path(folder) / CHECKPOINT
                left.write_bytes(_wait(runs, steps, progress)[0])
                yield left
        finally:
            with suppress(RayError):
                remove_placement_group(group)  # which ends what still runs there


def _at(group: Any, rank: int, env: dict[str, str], need: dict[str, float]) -> Any:
    """A task in that rank's place."""
    where = PlacementGroupSchedulingStrategy(group, rank)
    about = {"max_retries": 0, "max_calls": 1, "runtime_env": {"env_vars": env}, "scheduling_strategy": where}
    return ray.remote(num_cpus=need["CPU"], num_gpus=need.get("GPU", 0.0), **about)


def _wait(runs: Sequence[Any], steps: Queue, progress: Progress) -> list[bytes]:
    """What the ranks give, once all have ended; shows meanwhile how far they are.

    Raises:
        UserError, TrainingError: see `trained_on_ray`.
    """
    pending = list(runs)
    seen, total = 0, 0
    while pending and not total:
        pending = _pending(runs, pending)
        total = _newest(steps, (0, 0))[1]
    with progress.task(f"training on {len(runs)} ranks", total or None, "steps") as advance:
        while pending:
            pending = _pending(runs, pending)
            done, _ = _newest(steps, (seen, total))
            advance(done - seen)
            seen = done
    return list(ray.get(list(runs)))


def _newest(steps: Queue, known: tuple[int, int]) -> tuple[int, int]:
    found = steps.get_nowait_batch(steps.qsize())
    return found[-1] if found else known


def _pending(runs: Sequence[Any], pending: list[Any]) -> list[Any]:
    """Waits a moment, and looks at what ended in it; the others.

    Raises:
        UserError, TrainingError: a rank failed. The others then fail for want of it, so its reason is said where there
            is a better one than a closed connection.
    """
    ended, pending = ray.wait(pending, timeout=LOOK)
    if not any(_error(each) for each in ended):
        return pending
    ended, _ = ray.wait(list(runs), num_returns=len(runs), timeout=LAST_WORDS)
    errors = [error for each in ended if (error := _error(each))]
    causes = [error.cause for error in errors if isinstance(error, RayTaskError)]
    if mistake := next((cause for cause in causes if isinstance(cause, UserError)), None):
        raise UserError(str(mistake))
    if diverged := next((cause for cause in causes if isinstance(cause, (TrainingError, FloatingPointError))), None):
        raise TrainingError(str(diverged))
    first = min(errors, key=lambda error: isinstance(error, RayTaskError))  # a lost process before what it led to
    text = f"{type(first.cause).__name__}: {first.cause}" if isinstance(first, RayTaskError) else loss(first)
    raise TrainingError(f"training on several ranks failed: {text}")


def _error(run: Any) -> RayError | None:
    try:
        ray.get(run)
    except RayError as error:
        return error
    return None
