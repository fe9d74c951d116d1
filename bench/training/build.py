"""Builds model, balancer and optimizers from a configuration."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.balancing import BALANCING
from bench.models.assembly import MultiTaskModel
from bench.registry import lookup
from bench.schema import Schema
from bench.training.config import TrialConfig
from bench.training.dense import DenseAdamW
from bench.training.optimizers import ROW_OPTIMIZERS
from bench.training.step import Step


def build_model(schema: Schema, config: TrialConfig) -> MultiTaskModel:
    """A new model, its weights by torch's generator as it is."""
    return MultiTaskModel(
        schema,
        config.sharing,
        config.funnel,
        config.embedding,
        config.tower,
        config.optim.precision,
        config.interaction,
        config.numeric,
        config.sequence,
        config.ensemble,
    )


def build_step(
    schema: Schema, config: TrialConfig, means: Tensor, seed: int, threads: int, device: torch.device
) -> Step:
    """A new model and all that trains it, on the device.

    Args:
        means: (T,) of train's labels, each on its sample space: what the untrained model predicts.
        seed: of the weights, which are drawn on the CPU and so are the same on every device.
    """
    optim = config.optim
    torch.manual_seed(seed)
    model = build_model(schema, config)
    model.initialise_outputs(means)
    model.to(device)
    entry = lookup(BALANCING, "balancing kind", config.balancing.kind)
    balancer = entry.build([task.name for task in schema.tasks], config.balancing.options).to(device)
    dense = DenseAdamW(model.dense_parameters(), balancer.parameters(), optim.lr, optim.weight_decay)
    rows = lookup(ROW_OPTIMIZERS, "embedding optimizer", optim.embedding_optimizer).build(
        model.embedding.weight.data, model.schema, optim.lr * optim.embedding_lr, optim.embedding_l2, threads
    )
    return Step(model, balancer, dense, rows, optim.clip)
