"""Several models trained as one: an ensemble, or a current point that is a blend or a model for
each task.

Its configuration is that of `bench.core.several.as_one`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from bench.core.objectives import parse
from bench.core.records import Job, Scalar, SplitName, TrialResult
from bench.core.seeds import derive
from bench.core.several import models_in
from bench.core.system.machine import peak_memory_mb
from bench.data import Store
from bench.models.training.blend import mix
from bench.models.training.config import TrialConfig
from bench.models.training.evaluation import BothPredictions, costs, measured_splits
from bench.models.training.loop import Trainer
from bench.models.training.tree_model import Grown, grow
from bench.models.training.tree_settings import is_trees


def networks_in(config: Mapping[str, Scalar]) -> list[dict[str, Scalar]]:
    """Configurations of all networks in a configuration of one or several models."""
    models = [own for own, _ in models_in(config)] or [dict(config)]
    return [each for each in models if not is_trees(each)]


def seed_of(seed: int, at: int) -> int:
    """Seed of network `at`: the first has the training's."""
    return derive(seed, "member", at) if at else seed


def run_parts(job: Job, store: Store) -> TrialResult:
    """Trains all models of a configuration, each stopped early separately; measures their mix;
    costs are sums.

    Raises FloatingPointError if a training diverged, or a task has one class on train.
    """
    started, models = time.perf_counter(), models_in(job.config)
    objectives = [parse(name, store.schema.tasks, "objectives") for name in job.objectives]
    trained: list[Trainer | Grown] = []
    for at, (config, _) in enumerate(models):
        if is_trees(config):
            trained.append(grow(store, config, job.seed, job.threads))
            continue
        trainer = Trainer(
            store,
            TrialConfig.parse(config),
            objectives,
            seed_of(job.seed, at),
            job.threads,
            job.device,
        )
        trainer.run_to(job.until)
        trained.append(trainer)
    seconds = time.perf_counter() - started
    shares = [[own[task.name] for task in store.schema.tasks] for _, own in models]
    metrics, resampled = measured_splits(
        job, store, lambda split: _mixed(trained, shares, store, split)
    )
    for each in trained:
        own = each.costs if isinstance(each, Grown) else costs(each.model, store.schema)
        metrics |= {key: metrics.get(key, 0.0) + value for key, value in own.items()}
    samples = sum(each.course.samples for each in trained if not isinstance(each, Grown))
    speed = {
        "train_seconds": seconds,
        "samples_trained": float(samples),
        "peak_rss_mb": peak_memory_mb(),
    }
    return TrialResult(metrics, speed, [], dict(job.config), resampled=resampled)


def _mixed(
    trained: Sequence[Trainer | Grown],
    shares: Sequence[Sequence[float]],
    store: Store,
    split: SplitName,
) -> Iterator[BothPredictions]:
    binary, every = [task.kind == "binary" for task in store.schema.tasks], []
    for each in trained:
        said = (
            each.of(split)
            if isinstance(each, Grown)
            else each.evaluation.predictions(split, each.selectors)
        )
        every.append(
            [torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*said, strict=True)]
        )
    conditional, joint = (mix(parts, shares, binary).numpy() for parts in zip(*every, strict=True))
    yield conditional, joint
