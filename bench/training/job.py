"""What a worker runs: one job in, one result out."""

from __future__ import annotations

import math
import time
from functools import lru_cache

from bench.data import Store
from bench.machine import keep_freed_memory, peak_memory_mb, reset_peak_memory
from bench.objectives import parse
from bench.progress import Progress
from bench.records import Job, TrialResult
from bench.training.config import TrialConfig
from bench.training.cost import costs
from bench.training.loop import Trainer


@lru_cache(maxsize=4)
def _open(path: str, tasks: tuple[str, ...]) -> Store:
    """Stores are memory-mapped and immutable, so a warm worker keeps them open."""
    return Store.open(path).with_tasks(tasks)


def run_job(job: Job, progress: Progress | None = None) -> TrialResult:
    """Trains the job's configuration and measures it on the job's splits.

    Raises:
        UserError: the configuration is wrong or does not fit the data.
        FloatingPointError: training diverged, or an objective came out undefined.
    """
    keep_freed_memory()
    reset_peak_memory()
    store = _open(job.store, job.tasks)
    config = TrialConfig.parse(job.config)
    objectives = [parse(name, store.schema.tasks, "objectives") for name in job.objectives]
    trainer = Trainer(store, config, objectives, job.seed, job.threads)
    fit = trainer.fit(progress)
    started = time.perf_counter()
    metrics = {key: value for split in job.splits for key, value in trainer.metrics(split).items()}
    seconds = time.perf_counter() - started
    evaluated = sum(len(store.split(split)) for split in job.splits) * len(trainer.selectors)
    metrics |= costs(trainer.model, store.schema)
    for objective in objectives:
        if not math.isfinite(value := metrics.get(objective.key("valid"), math.nan)):
            raise FloatingPointError(f"objective '{objective.name}' came out as {value} on validation")
    speed = {
        "train_samples_per_s": fit.samples / max(fit.train_seconds, 1e-9),
        "eval_samples_per_s": evaluated / max(seconds, 1e-9),
        "train_seconds": fit.train_seconds,
        "samples_trained": float(fit.samples),
        "peak_rss_mb": peak_memory_mb(),
    }
    return TrialResult(metrics, speed, fit.curve, config.dotted())
