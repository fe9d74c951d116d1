"""torch-rechub by its own `DataGenerator` and `MTLTrainer`, as its documentation uses them, without
weight decay.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models import multi_task
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator

from bench.core.system.machine import peak_memory_mb
from bench.data import Store
from speed.arrays import Arrays, arrays, rows, sizes
from speed.job import EVALUATION_BATCH, WARM_STEPS, Job, Measured


def measure(job: Job, since_start: Any) -> Measured:
    """Trains three steps, then one epoch, and evaluates."""
    torch.manual_seed(job.seed)
    store = Store.open(job.store).with_tasks(("click", "buy"))
    model = build(job, sizes(store))
    kinds = ["classification"] * (3 if job.architecture == "esmm" else 2)
    trainer = MTLTrainer(model, kinds, optimizer_params={"lr": job.lr})
    warm, train = (
        arrays(store, "train", count) for count in (WARM_STEPS * job.batch, rows(store, job))
    )
    valid = arrays(store, "valid")
    trainer.train_one_epoch(loaders(job, warm, valid)[0])
    first = since_start()
    train_loader, valid_loader = loaders(job, train, valid)
    started = time.perf_counter()
    trainer.train_one_epoch(train_loader)
    trained = time.perf_counter() - started
    started = time.perf_counter()
    scores = trainer.evaluate(trainer.model, valid_loader)
    evaluated = time.perf_counter() - started
    areas = dict(zip(("click", "buy"), map(float, scores[-2:]), strict=True))
    return Measured(
        len(train.labels) / trained, len(valid.labels) / evaluated, areas, peak_memory_mb(), first
    )


def loaders(job: Job, train: Arrays, valid: Arrays) -> tuple[Any, Any]:
    """Its loaders for training and for evaluation, in batches of the job's size and of the
    evaluation's.
    """
    labels = [targets(job, part.labels) for part in (train, valid)]
    data_loaders = [
        DataGenerator(train.columns, labels[0]).generate_dataloader(
            x_val=valid.columns,
            y_val=labels[1],
            x_test=valid.columns,
            y_test=labels[1],
            batch_size=size,
        )
        for size in (job.batch, EVALUATION_BATCH)
    ]
    return data_loaders[0][0], data_loaders[1][1]


def targets(job: Job, labels: np.ndarray) -> np.ndarray:
    """Its ESMM answers conversion, click and purchase, and trains on the last two."""
    return labels[:, [1, 0, 1]] if job.architecture == "esmm" else labels


def build(job: Job, tables: dict[str, int]) -> Any:
    """The model of the job's architecture."""
    features = [
        SparseFeature(name, vocab_size=rows, embed_dim=job.embedding)
        for name, rows in tables.items()
    ]
    kinds = ["classification"] * 2
    expert = {"dims": list(job.expert_layers)}
    tower = {"dims": list(job.tower_layers)}
    if job.architecture == "shared_bottom":
        return multi_task.SharedBottom(features, kinds, expert, [tower, tower])
    if job.architecture == "esmm":
        half = len(features) // 2
        return multi_task.ESMM(features[:half], features[half:], tower, tower)
    if job.architecture == "mmoe":
        return multi_task.MMOE(features, kinds, job.mmoe_experts, expert, [tower, tower])
    return multi_task.PLE(
        features, kinds, 1, job.ple_experts, job.ple_experts, expert, [tower, tower]
    )
