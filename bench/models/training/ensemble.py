"""Several models trained as one: an ensemble, or a current point that is a blend or a model for
each task.

Its configuration is that of `bench.core.several.as_one`. The ensemble of the baselines has two
models that together have the parameters of one: averaging without sharing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import numpy as np
import torch

from bench.core.objectives import parse
from bench.core.records import Job, Scalar, SplitName, TrialResult
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.core.several import as_one, models_in
from bench.core.system.machine import peak_memory_mb
from bench.data import Store
from bench.models.assembly import parameter_count
from bench.models.training.blend import mix
from bench.models.training.config import TrialConfig
from bench.models.training.evaluation import BothPredictions, costs, measured_splits
from bench.models.training.loop import Trainer
from bench.models.training.step import build_model
from bench.models.training.tree_model import Grown, grow
from bench.models.training.tree_settings import is_trees

MEMBERS = 2
DIM, TOWERS = "embedding.dim", "tower.layers"
SHARES = [width / 32 for width in range(16, 33)]
"""Widths of a member's layers to try, relative to the original: halving all would leave a quarter
of a layer's weights."""
TOLERANCE = 0.1


def networks_in(config: Mapping[str, Scalar]) -> list[dict[str, Scalar]]:
    """Configurations of all networks in a configuration of one or several models."""
    models = [model for model, _ in models_in(config)] or [dict(config)]
    return [model for model in models if not is_trees(model)]


def seed_of(seed: int, network: int) -> int:
    """Seed of a network by its index: the first has the training's."""
    if network == 0:
        return seed
    return derive(seed, "member", network)


def run_several(job: Job, store: Store) -> TrialResult:
    """Trains all models of a configuration, each stopped early separately; measures their mix;
    costs are sums.

    Raises FloatingPointError if a training diverged, or a task has one class on train.
    """
    started = time.perf_counter()
    models: list[Trainer | Grown] = []
    shares = []
    for index, (config, share_by_task) in enumerate(models_in(job.config)):
        models.append(_trained(job, store, config, index))
        shares.append([share_by_task[task.name] for task in store.schema.tasks])
    seconds = time.perf_counter() - started

    metrics, resampled = measured_splits(job, store, partial(_mixed, models, shares, store))
    samples = 0
    for model in models:
        if isinstance(model, Trainer):
            samples += model.course.samples
            model_costs = costs(model.model, store.schema)
        else:
            model_costs = model.costs
        for name, cost in model_costs.items():
            metrics[name] = metrics.get(name, 0.0) + cost
    speed = {
        "train_seconds": seconds,
        "samples_trained": float(samples),
        "peak_rss_mb": peak_memory_mb(),
    }
    return TrialResult(metrics, speed, [], dict(job.config), resampled=resampled)


def _trained(job: Job, store: Store, config: Mapping[str, Scalar], index: int) -> Trainer | Grown:
    if is_trees(config):
        return grow(store, config, job.seed, job.threads)
    objectives = [parse(name, store.schema.tasks, "objectives") for name in job.objectives]
    seed = seed_of(job.seed, index)
    trainer = Trainer(store, TrialConfig.parse(config), objectives, seed, job.threads, job.device)
    trainer.run_to(job.until)
    return trainer


def _mixed(
    models: Sequence[Trainer | Grown],
    shares: Sequence[Sequence[float]],
    store: Store,
    split: SplitName,
) -> Iterator[BothPredictions]:
    conditional, joint = [], []
    for model in models:
        if isinstance(model, Trainer):
            pieces = model.evaluation.predictions(split, model.selectors)
        else:
            pieces = model.predictions(split)
        conditional_pieces, joint_pieces = zip(*pieces, strict=True)
        conditional.append(torch.from_numpy(np.concatenate(conditional_pieces)))
        joint.append(torch.from_numpy(np.concatenate(joint_pieces)))
    binary = [task.kind == "binary" for task in store.schema.tasks]
    yield mix(conditional, shares, binary).numpy(), mix(joint, shares, binary).numpy()


def ensemble_of(config: Mapping[str, Scalar], schema: Schema) -> dict[str, Scalar]:
    """Two models of half a configuration's size as one."""
    member = halved(TrialConfig.parse(config), schema).dotted()
    shares = {task.name: 1 / MEMBERS for task in schema.tasks}
    return as_one([(member, shares)] * MEMBERS)


@dataclass(frozen=True)
class _Member:
    """A configuration, and by which share the members' parameters differ from those of the one."""

    config: TrialConfig
    difference: float


def halved(config: TrialConfig, schema: Schema) -> TrialConfig:
    """Halves the embedding and narrows the layers, so that two models have about the parameters of
    one.

    Uses the relative width, from a half to one, that comes nearest. If two models then differ by
    more than `TOLERANCE` from one, as with an interaction whose weights are a quarter, tries wider
    embeddings; if none is near enough, as with a large table of odd width, takes the nearest of
    all.
    """
    parameters, dotted = _parameters(config, schema), config.dotted()
    layer_options = [f"sharing.{config.sharing.kind}.layers", TOWERS]
    layers = {name: str(dotted[name]) for name in layer_options if dotted.get(name)}
    dim = config.embedding.dim
    tried: list[_Member] = []
    for narrow_dim in range(max(1, dim // 2), dim + 1):
        for share in SHARES:
            narrow_layers = {name: _narrowed(widths, share) for name, widths in layers.items()}
            member = TrialConfig.parse({**dotted, DIM: narrow_dim, **narrow_layers})
            ratio = MEMBERS * _parameters(member, schema) / parameters
            tried.append(_Member(member, abs(ratio - 1)))
        nearest = min(tried, key=attrgetter("difference"))
        if nearest.difference <= TOLERANCE:
            break
    return nearest.config


def _narrowed(layers: str, share: float) -> str:
    """Scales widths such as `128-64`, but not below 2."""
    widths = [int(width) for width in layers.split("-")]
    narrowed = [min(width, max(2, round(width * share))) for width in widths]
    return "-".join(map(str, narrowed))


def _parameters(config: TrialConfig, schema: Schema) -> int:
    with torch.device("meta"):  # nothing is allocated
        return parameter_count(build_model(schema, config))
