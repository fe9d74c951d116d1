"""Runs a job: by a trainer from elsewhere where it names one, else by ours."""

from __future__ import annotations

import json
import math
import shutil
import tarfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.arrays import Singles
from bench.core.errors import TrainerError, UserError
from bench.core.objectives import parse
from bench.core.plain import read_json
from bench.core.records import Job, SplitName, TrialResult
from bench.core.rows import SEARCH
from bench.core.system.atomic import atomic_path, write_text
from bench.core.system.machine import peak_memory_mb
from bench.core.system.progress import Progress
from bench.data import Store
from bench.models.trainers.answers import both_predictions, checked, read_answer
from bench.models.trainers.function import call_fit
from bench.models.trainers.handing import JOBS, HandedTrainer, order_of
from bench.models.trainers.program import LOG, run_program
from bench.models.training.evaluation import measured_splits
from bench.models.training.job import check_objectives, run_job

JOB, ANSWER, PREDICTIONS, KEPT = "job.json", "answer.json", "predictions", "keep"
FINISHED = "valid.npy"
"""Predictions of validation of a training that cannot be stopped early."""
Answer = tuple[dict[SplitName, Singles], dict[str, float]]
"""Predictions (N, T) by split, and costs."""


def run_training(job: Job, progress: Progress | None = None) -> TrialResult:
    """Trains a job's configuration and measures it on the job's splits.

    Raises:
        TrainerError: the trainer failed, or its predictions cannot be used.
        UserError: it cannot be called; and as `run_job` for models that come with the package.
    """
    if job.trainer is None:
        return run_job(job, progress)
    return run_trainer(job, HandedTrainer.open(Path(job.trainer)))


@lru_cache(maxsize=4)
def _store_of(path: str, tasks: tuple[str, ...]) -> Store:
    return Store.open(path).with_tasks(tasks)


def run_trainer(job: Job, trainer: HandedTrainer) -> TrialResult:
    """Has a trainer run a job; errors as of `run_training`."""
    store = _store_of(job.store, job.tasks)
    folder = trainer.folder / JOBS / _name_of(job)
    started = time.monotonic()
    predictions, costs = _answer(job, trainer, store, folder)
    seconds = time.monotonic() - started

    def of_split(split: SplitName) -> Any:
        return both_predictions(predictions[split], trainer.file.conditional, store.schema)

    metrics, resampled = measured_splits(job, store, of_split)
    metrics |= costs
    objectives = [parse(name, store.schema.tasks, "objectives") for name in job.objectives]
    for objective in objectives:
        if not objective.is_metric and objective.key(SEARCH) not in metrics:
            raise TrainerError(
                f"{trainer.file.name}: expected the cost {objective.name}, which is an objective, "
                f"in its answer, found {', '.join(costs) or 'none'}"
            )
    check_objectives(job, objectives, metrics)
    shutil.rmtree(folder, ignore_errors=True)
    samples = trainer.share(job.until) * trainer.facts.full_samples
    speed = {
        "train_samples_per_s": samples / max(seconds, 1e-9),
        "train_seconds": seconds,
        "samples_trained": samples,
        "peak_rss_mb": peak_memory_mb(),
    }
    return TrialResult(metrics, speed, [], dict(job.config), resampled=resampled)


def predict(job: Job, trainer: HandedTrainer, store: Store) -> dict[SplitName, Singles]:
    """A trainer's joint predictions (N, T) by split; nothing is measured. Errors as of
    `run_training`.
    """
    folder = trainer.folder / JOBS / _name_of(job)
    predictions, _ = _answer(job, trainer, store, folder)
    conditional = trainer.file.conditional
    joint: dict[SplitName, Singles] = {}
    for split, given in predictions.items():
        pieces = both_predictions(given, conditional, store.schema)
        joint[split] = np.concatenate([joint_piece for _, joint_piece in pieces])
    shutil.rmtree(folder, ignore_errors=True)
    return joint


def _name_of(job: Job) -> str:
    length = "full" if job.until is None else str(job.until)
    stage = f"replicate-{job.replicate}" if job.replicate else "search"
    return f"trial-{job.trial}-{length}-{stage}"


def _answer(job: Job, trainer: HandedTrainer, store: Store, folder: Path) -> Answer:
    """A trainer's answer to a job; that of the stage before where it cannot be stopped early."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before = folder / "before"
    if job.resume is not None:
        _unpack(Path(job.resume), before)
    if trainer.file.rungs is None and (before / FINISHED).is_file():
        costs = dict(read_json(before / ANSWER))
        answer: Answer = {SEARCH: np.load(before / FINISHED, allow_pickle=False)}, costs
    elif trainer.file.command:
        answer = _by_program(job, trainer, store, folder)
    else:
        answer = _by_function(job, trainer, store, folder)
    if job.checkpoint is not None:
        _pack(job, trainer, folder, answer)
    return answer


def _by_function(job: Job, trainer: HandedTrainer, store: Store, folder: Path) -> Answer:
    schema = store.schema
    order = order_of(job, trainer, schema) | _folders(job, trainer, folder)
    train = trainer.frame("train", schema, job.until)
    rows: dict[str, pd.DataFrame] = {split: trainer.frame(split, schema) for split in job.splits}
    given = call_fit(trainer.file, order, train, rows)
    predictions = {
        split: checked(given[split], split, len(store.split(split)), schema) for split in job.splits
    }
    return predictions, _costs(trainer, given.get("costs", {}))


def _by_program(job: Job, trainer: HandedTrainer, store: Store, folder: Path) -> Answer:
    schema = store.schema
    (folder / PREDICTIONS).mkdir()
    order = order_of(job, trainer, schema) | _folders(job, trainer, folder)
    order["rows"] = _files_of_rows(job, trainer, schema, folder)
    order["answer"] = {
        split: str(folder / PREDICTIONS / f"{split}.parquet") for split in job.splits
    }
    order["costs"] = str(folder / ANSWER)
    write_text(folder / JOB, json.dumps(order, indent=1))
    run_program(trainer.file, folder / JOB, job.threads)
    predictions = {}
    for split in job.splits:
        path = folder / PREDICTIONS / f"{split}.parquet"
        try:
            predictions[split] = read_answer(
                path, split, trainer.keys(split), len(store.split(split)), schema
            )
        except TrainerError as error:
            raise TrainerError(f"{trainer.file.name}: {error} (its log: {folder / LOG})") from None
    costs: Any = {}
    if (folder / ANSWER).is_file():
        try:
            costs = read_json(folder / ANSWER)["costs"]
        except (UserError, KeyError, TypeError):
            raise TrainerError(
                f'{trainer.file.name}: expected {{"costs": {{..}}}} in {folder / ANSWER}'
            ) from None
    return predictions, _costs(trainer, costs)


def _folders(job: Job, trainer: HandedTrainer, folder: Path) -> dict[str, str | None]:
    """Where a training that goes on finds what it kept, and where it leaves it."""
    rungs = trainer.file.rungs
    goes_on = rungs is not None and rungs.goes_on
    keep = folder / KEPT
    before = folder / "before" / KEPT
    if goes_on and job.checkpoint is not None:
        keep.mkdir()
    return {
        "go_on_from": str(before) if goes_on and before.is_dir() else None,
        "keep": str(keep) if keep.is_dir() else None,
    }


def _files_of_rows(job: Job, trainer: HandedTrainer, schema: Any, folder: Path) -> dict[str, str]:
    """Files of rows by split. Whole ones are those of the run; parts of them are written."""
    files: dict[str, str] = {}
    for split in ("train", *job.splits):
        whole = pq.read_schema(trainer.rows / f"{split}.parquet").names
        is_part = split == "train" and trainer.rows_of_train(job.until) is not None
        has_labels = split == "valid" and trainer.file.labels == "valid"
        file = trainer.rows / f"{split}.parquet"
        if is_part or has_labels or set(whole) != set(trainer.columns_of(split, schema)):
            file = folder / f"{split}.parquet"
            frame = trainer.frame(split, schema, job.until)
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), file)
        files[split] = str(file)
    return files


def _costs(trainer: HandedTrainer, costs: Any) -> dict[str, float]:
    """A trainer's costs, by the names of metrics."""
    if not isinstance(costs, Mapping):
        raise TrainerError(
            f"{trainer.file.name}: expected costs by name, found {type(costs).__name__}"
        )
    metrics = {}
    for name, cost in costs.items():
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not math.isfinite(cost):
            raise TrainerError(
                f"{trainer.file.name}: costs: expected a number as {name}, found {cost!r}"
            )
        metrics[f"cost/{name}"] = float(cost)
    return metrics


def _pack(job: Job, trainer: HandedTrainer, folder: Path, answer: Answer) -> None:
    """Writes the checkpoint of a job: one file of what the next stage goes on from."""
    predictions, costs = answer
    if trainer.file.rungs is None:
        np.save(folder / FINISHED, predictions[SEARCH], allow_pickle=False)
        write_text(folder / ANSWER, json.dumps(costs))
    target = Path(str(job.checkpoint))
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary, tarfile.open(temporary, "w") as packed:
        for name in (KEPT, FINISHED, ANSWER):
            if (folder / name).exists():
                packed.add(folder / name, name)


def _unpack(checkpoint: Path, folder: Path) -> None:
    try:
        with tarfile.open(checkpoint) as packed:
            packed.extractall(folder, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{checkpoint}: expected what a trainer kept, found: {error}") from None
