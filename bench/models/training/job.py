"""Runs a job in a worker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

from bench.core import plugins
from bench.core.errors import TrainingError
from bench.core.objectives import Objective, parse
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
from bench.models.training.ensemble import run_several
from bench.models.training.evaluation import costs
from bench.models.training.loop import Trainer
from bench.models.training.tree_model import run_trees
from bench.models.training.tree_settings import is_trees

FIRST_LOOK_ROWS, FIRST_LOOK_ROWS_A_SAMPLE = 10_000, 0.25
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
        return run_several(job, store)
    if job.kind == "blend":
        return run_blend(job, store)
    return _run_network(job, store, progress)


def _run_network(job: Job, store: Store, progress: Progress | None) -> TrialResult:
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
    samples_before, seconds_before = trainer.course.samples, trainer.course.seconds
    trainer.show_positions(True)
    course = trainer.run_to(job.until, progress)
    trainer.show_positions(job.splits == (SEARCH,))

    first_look = _is_first_look(job, trainer)
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
    measures_latency = any("latency" in name for name in job.objectives)
    metrics |= costs(trainer.model, store.schema, latency=measures_latency or not first_look)
    check_objectives(job, objectives, metrics)

    evaluation = trainer.evaluation
    seconds = max(course.seconds - seconds_before, 1e-9)
    speed = {
        "train_samples_per_s": (course.samples - samples_before) / seconds,
        "eval_samples_per_s": evaluation.samples / max(evaluation.seconds, 1e-9),
        "train_seconds": course.seconds,
        "samples_trained": float(course.samples),
        "peak_rss_mb": peak_memory_mb(),
    }
    return TrialResult(
        metrics,
        speed,
        course.curve,
        config.dotted(),
        course.finished,
        trainer.diagnosis.summary(course.curve, objectives),
        evaluation.resampled,
    )


def _is_first_look(job: Job, trainer: Trainer) -> bool:
    """Whether a trial of a search stops before its first evaluation."""
    in_search = job.splits == (SEARCH,) and job.trial is not None and not job.replicate
    return in_search and job.until is not None and not trainer.course.curve


def _glimpse(job: Job, trainer: Trainer) -> dict[str, float]:
    """Metrics on a part of validation; none if an objective is undefined there."""
    rows = max(FIRST_LOOK_ROWS, int(trainer.course.samples * FIRST_LOOK_ROWS_A_SAMPLE))
    metrics = trainer.evaluation.glimpse(_part(job.store, job.tasks, rows))
    for objective in trainer.objectives:
        value = metrics.get(objective.key(SEARCH), math.nan)
        if objective.is_metric and not math.isfinite(value):
            return {}
    return metrics


def check_objectives(
    job: Job,
    objectives: Sequence[Objective],
    metrics: Mapping[str, float],
) -> None:
    """Raises TrainingError if an objective is undefined; test is not looked at."""
    splits = [split for split in job.splits if split != TEST]
    for objective, split in product(objectives, splits):
        value = metrics.get(objective.key(split), math.nan)
        if not math.isfinite(value):
            raise TrainingError(
                f"objective '{objective.name}' came out as {value} on {SHORT[split]}: its labels "
                "there are missing or all the same, or the predictions are"
            )
