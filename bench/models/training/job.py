"""Runs a job in a worker."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from pathlib import Path

from bench.core import plugins
from bench.core.errors import TrainingError
from bench.core.objectives import parse
from bench.core.records import Job, TrialResult
from bench.core.rows import SEARCH, SHORT, TEST
from bench.core.several import models_in
from bench.core.system.machine import keep_freed_memory, peak_memory_mb, reset_peak_memory
from bench.core.system.progress import Progress
from bench.data import Store
from bench.data.store import StoredSplit, part_of
from bench.measure.predictions import path_of
from bench.models.training.blend import run_blend
from bench.models.training.config import TrialConfig
from bench.models.training.evaluation import costs
from bench.models.training.loop import Trainer
from bench.models.training.parts import run_parts
from bench.models.training.tree_model import run_trees
from bench.models.training.tree_settings import is_trees

LEAST_ROWS, ROWS_A_SAMPLE = 10_000, 0.25
"""Rows of validation for the first look at a trial that stops before its first evaluation: the
minimum, and the number for each training sample. A promoted trial is measured on all rows."""


@lru_cache(maxsize=4)
def _part(path: str, tasks: tuple[str, ...], rows: int) -> StoredSplit:
    return part_of(_open(path, tasks).split(SEARCH), rows)


@lru_cache(maxsize=4)
def _open(path: str, tasks: tuple[str, ...]) -> Store:
    """Stores are memory-mapped and immutable, so a warm worker keeps them open."""
    return Store.open(path).with_tasks(tasks)


def run_job(job: Job, progress: Progress | None = None) -> TrialResult:
    """Trains the job's configuration, from its checkpoint if it has one, and measures it on the
    job's splits.

    Raises:
        UserError: the configuration is wrong or does not fit the data, or the checkpoint is not
            this trial's.
        FloatingPointError: training diverged, or an objective is undefined.
        OSError: the checkpoint could not be written.
        Unwritable: there is no room for the predictions.
    """
    plugins.add(*job.plugins)
    keep_freed_memory()
    reset_peak_memory()
    store = _open(job.store, job.tasks)
    if job.kind == "trees" or is_trees(job.config):
        return run_trees(job, store)
    if models_in(job.config):
        return run_parts(job, store)
    if job.kind == "blend":
        return run_blend(job, store)
    config = TrialConfig.parse(job.config)
    objectives = [parse(name, store.schema.tasks, "objectives") for name in job.objectives]
    trainer = Trainer(
        store, config, objectives, job.seed, job.threads, job.device, outcomes=job.outcomes
    )
    if job.resume is not None:
        trainer.load(job.resume)
    if job.start is not None:
        from bench.models.training import warm  # brings pyarrow, which no other job needs

        warm.start_from(trainer, warm.Start.open(Path(job.start), job.tasks))
    before, seconds_before = trainer.course.samples, trainer.course.seconds
    trainer.show_positions(True)
    course = trainer.run_to(job.until, progress)
    trainer.show_positions(job.splits == (SEARCH,))
    first_look = (
        job.splits == (SEARCH,)
        and job.trial is not None
        and not job.replicate
        and job.until is not None
        and not course.curve
    )
    metrics = _glimpse(job, trainer) if first_look else {}
    if not metrics:
        for split in job.splits:
            metrics |= trainer.metrics(split, job.resamples_of(split), path_of(job, split))
    if job.keep is not None:
        from bench.models.training import warm

        passes = trainer.passes_before + course.step / trainer.steps_an_epoch
        warm.keep(trainer, Path(job.keep), passes)
    if job.checkpoint is not None:
        trainer.save(job.checkpoint)  # after the metrics, which it includes
    metrics |= costs(
        trainer.model,
        store.schema,
        not first_look or any("latency" in name for name in job.objectives),
    )
    for objective, split in product(objectives, [split for split in job.splits if split != TEST]):
        if not math.isfinite(value := metrics.get(objective.key(split), math.nan)):
            raise TrainingError(
                f"objective '{objective.name}' came out as {value} on {SHORT[split]}: its labels "
                "there are missing or all the same, or the predictions are"
            )
    evaluation = trainer.evaluation
    speed = {
        "train_samples_per_s": (course.samples - before)
        / max(course.seconds - seconds_before, 1e-9),
        "eval_samples_per_s": evaluation.samples / max(evaluation.seconds, 1e-9),
        "train_seconds": course.seconds,
        "samples_trained": float(course.samples),
        "peak_rss_mb": peak_memory_mb(),
    }
    seen = trainer.diagnosis.summary(course.curve, objectives)
    return TrialResult(
        metrics, speed, course.curve, config.dotted(), course.finished, seen, evaluation.resampled
    )


def _glimpse(job: Job, trainer: Trainer) -> dict[str, float]:
    """Metrics on a part of validation; none if an objective is undefined there."""
    rows = max(LEAST_ROWS, int(trainer.course.samples * ROWS_A_SAMPLE))
    metrics = trainer.evaluation.glimpse(_part(job.store, job.tasks, rows))
    keys = [objective.key(SEARCH) for objective in trainer.objectives if objective.is_metric]
    return metrics if all(math.isfinite(metrics.get(key, math.nan)) for key in keys) else {}
