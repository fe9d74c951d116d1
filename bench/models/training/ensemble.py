"""An ensemble of two models that together have the parameters of one: averaging without sharing."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

import torch

from bench.core.records import Scalar
from bench.core.schema import Schema
from bench.core.several import as_one
from bench.models.assembly import parameter_count
from bench.models.training.config import TrialConfig
from bench.models.training.step import build_model

MEMBERS = 2
DIM, TOWERS = "embedding.dim", "tower.layers"
SHARES = [at / 32 for at in range(16, 33)]
"""Widths of a member's layers to try, relative to the original: halving all would leave a quarter
of a layer's weights."""
TOLERANCE = 0.1


def ensemble_of(config: Mapping[str, Scalar], schema: Schema) -> dict[str, Scalar]:
    """Two models of half a configuration's size as one, see `bench.models.training.parts`."""
    own = halved(TrialConfig.parse(config), schema).dotted()
    return as_one([(own, {task.name: 1 / MEMBERS for task in schema.tasks})] * MEMBERS)


def halved(config: TrialConfig, schema: Schema) -> TrialConfig:
    """Halves the embedding and narrows the layers, so that two models have about the parameters of
    one.

    Uses the relative width, from a half to one, that comes nearest. If two models then differ by
    more than `TOLERANCE` from one, as with an interaction whose weights are a quarter, tries wider
    embeddings; if none is near enough, as with a large table of odd width, takes the nearest of
    all.
    """
    whole, dotted = _parameters(config, schema), config.dotted()
    layers = [
        name for name in (f"sharing.{config.sharing.kind}.layers", TOWERS) if dotted.get(name)
    ]
    dim = config.embedding.dim
    tried: list[tuple[float, TrialConfig]] = []
    for half in range(max(1, dim // 2), dim + 1):
        for share in SHARES:
            narrow = {name: _narrowed(str(dotted[name]), share) for name in layers}
            made = TrialConfig.parse({**dotted, DIM: half, **narrow})
            tried.append((abs(MEMBERS * _parameters(made, schema) / whole - 1), made))
        if min(tried, key=itemgetter(0))[0] <= TOLERANCE:
            break
    return min(tried, key=itemgetter(0))[1]


def _narrowed(layers: str, share: float) -> str:
    """Scales widths such as `128-64`, but not below 2."""
    return "-".join(
        str(min(width, max(2, round(width * share)))) for width in map(int, layers.split("-"))
    )


def _parameters(config: TrialConfig, schema: Schema) -> int:
    with torch.device("meta"):  # nothing is allocated
        return parameter_count(build_model(schema, config))
