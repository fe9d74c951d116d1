"""Starts the processes of a training on several ranks, and waits for them; see `bench.training.ranks`."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from bench.balancing import BALANCING
from bench.balancing.base import GradientCombination
from bench.core import plugins
from bench.core.errors import TrainingError, UserError
from bench.core.objectives import parse
from bench.core.records import Job
from bench.core.registry import lookup
from bench.data import Store
from bench.system.atomic import write_text
from bench.system.machine import WORKER
from bench.system.progress import Advance, Progress, Silent, Work
from bench.training.config import TrialConfig
from bench.training.device import choose_device
from bench.training.ranks import RankedTrainer, Ranks

CHECKPOINT = "state.safetensors"
WAIT = timedelta(minutes=30)
"""Time to wait for other ranks before a step fails."""
LOOK = 0.2
"""Seconds between polls of the processes."""


def check_ranks(config: TrialConfig, ranks: int, batch: int) -> None:
    """Raises UserError if a configuration cannot be trained on that many ranks, with batches of that size."""
    if not 1 <= ranks <= batch:
        raise UserError(f"--ranks: expected 1 to {batch}, the samples of a batch, found {ranks}")
    kind = config.balancing.kind
    balancer = lookup(BALANCING, "balancing kind", kind).build(["a", "b"], config.balancing.options)
    if isinstance(balancer, GradientCombination) or "half batches" in balancer.needs:
        raise UserError(
            f"--ranks: expected a balancer that needs no more than losses or products of gradients, found '{kind}': it "
            "combines gradients number by number, or looks at halves of a batch"
        )


def launched() -> Ranks | None:
    """This process's rank if `torchrun` started it, else None."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    return Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def train_on_rank(job: Job, ranks: Ranks, left: Path, progress: Progress, meet: str = "env://") -> None:
    """Trains a job as one of several ranks, all of which call this; errors as of `bench.training.job.run_job`.

    Rank 0 writes the checkpoint `left`; `run_job` with it as `resume` measures the model on one process. The ranks meet
    at a rendezvous, see `torch.distributed.init_process_group`.
    """
    on_gpu = choose_device(job.device).type == "cuda"
    if on_gpu:
        os.environ[WORKER] = str(ranks.rank)  # chooses the device
    dist.init_process_group("nccl" if on_gpu else "gloo", meet, WAIT, ranks.world, ranks.rank)
    try:
        plugins.add(*job.plugins)
        store = Store.open(job.store).with_tasks(job.tasks)
        objectives = [parse(name, store.schema.tasks, "objectives") for name in job.objectives]
        about = (store, TrialConfig.parse(job.config), objectives, job.seed, job.threads, job.device)
        trainer = RankedTrainer(ranks, *about, outcomes=job.outcomes)
        if job.resume is not None:
            trainer.load(job.resume)
        trainer.run_to(job.until, progress)
        trainer.save(left, copy=False)
        trainer.wait()
        dist.barrier()
    finally:
        dist.destroy_process_group()


@contextmanager
def trained_on_ranks(job: Job, ranks: int, progress: Progress) -> Iterator[Path | None]:
    """Trains a job on new processes of this machine, or as one rank if `torchrun` started this process.

    Threads are divided among the processes. Gives the checkpoint, which exists within the context; None on other ranks
    than 0.

    Raises:
        UserError: as `bench.training.job.run_job`.
        TrainingError: training diverged, or a process died.
    """
    own = launched()
    here = ranks if own is None else int(os.environ["LOCAL_WORLD_SIZE"])  # processes that share this machine's threads
    job = replace(job, threads=max(1, job.threads // here))
    with TemporaryDirectory(prefix="seesaw-ranks-") as folder:
        if own is not None:
            left = Path(folder) / CHECKPOINT
            train_on_rank(job, own, left, progress if own.rank == 0 else Silent())
            yield left if own.rank == 0 else None
            return
        spawned = multiprocessing.get_context("spawn")
        done, total = spawned.Value("q", 0), spawned.Value("q", 0)
        context = start_processes(  # type: ignore[no-untyped-call]
            _run, (job, ranks, folder, done, total), nprocs=ranks, join=False, start_method="spawn"
        )
        try:
            over = False
            while not (over or total.value):
                over = context.join(LOOK)
            with progress.task(f"training on {ranks} ranks", total.value, "steps") as advance:
                seen = 0
                while not over:
                    over = context.join(LOOK)
                    advance(done.value - seen)
                    seen = done.value
        except (ProcessRaisedException, ProcessExitedException) as error:
            kept = sorted(Path(folder).glob("error-*.json"))
            kind, text = json.loads(kept[0].read_text(encoding="utf-8")) if kept else ("", _last_line(error))
            raise (UserError if kind == "UserError" else TrainingError)(text) from None
        yield Path(folder) / CHECKPOINT


def _run(rank: int, job: Job, world: int, folder: str, done: Any, total: Any) -> None:
    def tell(steps: int, of: int) -> None:
        done.value, total.value = steps, of

    try:
        progress = StepCounter(tell) if rank == 0 else Silent()
        train_on_rank(job, Ranks(rank, world), Path(folder) / CHECKPOINT, progress, f"file://{folder}/meet")
    except (UserError, TrainingError) as error:
        note = json.dumps([type(error).__name__, str(error)])
        write_text(Path(folder) / f"error-{rank}.json", note)
        raise


def _last_line(error: Exception) -> str:
    return f"training on several ranks failed: {str(error).strip().splitlines()[-1]}"


class StepCounter(Silent):
    """Reports to another process the steps done and their total, at most a few times a second."""

    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self._tell = tell

    @contextmanager
    def show(self, work: Work) -> Iterator[Advance]:
        """See `Progress.show`."""
        done, last, total = 0, 0.0, int(work.total or 1)

        def advance(amount: float) -> None:
            nonlocal done, last
            done += int(amount)
            if done >= total or time.monotonic() > last + LOOK:
                last = time.monotonic()
                self._tell(done, total)

        self._tell(0, total)
        yield advance
