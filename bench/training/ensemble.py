"""An ensemble of two models that together have the parameters of one: averaging without sharing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import itemgetter

import torch

from bench.data import SplitName, Store
from bench.errors import UserError
from bench.machine import peak_memory_mb
from bench.models.assembly import parameter_count
from bench.objectives import parse
from bench.records import Job, TrialResult
from bench.schema import Schema
from bench.seeds import derive
from bench.training.config import TrialConfig
from bench.training.evaluation import Predictions, costs, measured_splits
from bench.training.loop import Trainer
from bench.training.step import build_model

MEMBERS = 2
PREFIX = "ensemble."
"""Of each name of its configuration, so that none takes it for a model of that configuration."""
DIM, TOWERS = "embedding.dim", "tower.layers"
SHARES = [at / 32 for at in range(16, 33)]
"""Of the widths of layers that a member may have: halving all would leave a quarter of a layer's weights."""
TOLERANCE = 0.1


def run_ensemble(job: Job, store: Store) -> TrialResult:
    """Trains two half-size models of a job's configuration on seeds of their own and averages what they predict.

    Probabilities and values of regressions are averaged; each member stops early by itself. Costs are the sums over
    the members, `cost/parameters` among them. The result's configuration is a member's.

    Raises:
        FloatingPointError: a training diverged.
    """
    whole = {name.removeprefix(PREFIX): value for name, value in job.config.items()}
    config = halved(TrialConfig.parse(whole), store.schema)
    objectives = [parse(name, store.schema.tasks, "objectives") for name in job.objectives]
    members = [
        Trainer(store, config, objectives, derive(job.seed, "member", at), job.threads, job.device)
        for at in range(MEMBERS)
    ]
    started = time.perf_counter()
    samples = sum(member.run_to(job.until).samples for member in members)
    seconds = time.perf_counter() - started
    metrics, resampled = measured_splits(job, store, lambda split: _averaged(members, split))
    for member in members:
        for key, value in costs(member.model, store.schema).items():
            metrics[key] = metrics.get(key, 0.0) + value
    speed = {"train_seconds": seconds, "samples_trained": float(samples), "peak_rss_mb": peak_memory_mb()}
    own = {f"{PREFIX}{name}": value for name, value in config.dotted().items()}
    return TrialResult(metrics, speed, [], own, resampled=resampled)


def _averaged(members: Sequence[Trainer], split: SplitName) -> Iterator[Predictions]:
    each = [member.evaluation.predictions(split, member.selectors) for member in members]
    for pieces in zip(*each, strict=True):
        conditional, joint = (sum(parts[1:], parts[0]) / len(members) for parts in zip(*pieces, strict=True))
        yield conditional, joint


def halved(config: TrialConfig, schema: Schema) -> TrialConfig:
    """The configuration with half the embedding and narrower layers, so that two have about the parameters of one.

    The widths are a share of the original's, from a half to the whole, that comes nearest. Where that leaves the two
    more than `TOLERANCE` apart from the one, as with an interaction whose weights are a quarter, a wider embedding is
    tried; where none is near enough, as with a large table of an odd width, the nearest of all is taken.
    """
    whole, dotted = _parameters(config, schema), config.dotted()
    layers = [name for name in (f"sharing.{config.sharing.kind}.layers", TOWERS) if dotted.get(name)]
    dim = config.embedding.dim
    found: list[tuple[float, TrialConfig]] = []
    for half in range(max(1, dim // 2), dim + 1):
        for share in SHARES:
            narrow = {name: _narrowed(str(dotted[name]), share) for name in layers}
            made = TrialConfig.parse({**dotted, DIM: half, **narrow})
            with suppress(UserError):  # an interaction that wants a wider embedding
                found.append((abs(MEMBERS * _parameters(made, schema) / whole - 1), made))
        if found and min(found, key=itemgetter(0))[0] <= TOLERANCE:
            break
    return min(found, key=itemgetter(0))[1]


def _narrowed(layers: str, share: float) -> str:
    """Widths such as `128-64`, each no less than 2 where it was not."""
    return "-".join(str(min(width, max(2, round(width * share)))) for width in map(int, layers.split("-")))


def _parameters(config: TrialConfig, schema: Schema) -> int:
    with torch.device("meta"):  # nothing is allocated
        return parameter_count(build_model(schema, config))
