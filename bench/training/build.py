"""From a configuration to what a training step is made of: model, balancer, optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.balancing import BALANCING
from bench.models.assembly import MultiTaskModel
from bench.registry import lookup
from bench.schema import Schema
from bench.training.config import TrialConfig
from bench.training.dense import DenseAdamW
from bench.training.optimizers import ROW_OPTIMIZERS
from bench.training.step import Step


def build_step(
    schema: Schema, config: TrialConfig, labels: NDArray[Any], seed: int, threads: int, device: torch.device
) -> Step:
    """A new model and all that trains it, on the device.

    Args:
        labels: (N, T) of train; its means are what the untrained model predicts.
        seed: of the weights, which are drawn on the CPU and so are the same on every device.
    """
    optim = config.optim
    torch.manual_seed(seed)
    model = MultiTaskModel(schema, config.sharing, config.funnel, config.embedding, config.tower, optim.precision)
    model.initialise_outputs(_base_rates(labels, schema.parents))
    model.to(device)
    entry = lookup(BALANCING, "balancing kind", config.balancing.kind)
    balancer = entry.build([task.name for task in schema.tasks], config.balancing.options).to(device)
    dense = DenseAdamW(model.dense_parameters(), balancer.parameters(), optim.lr, optim.weight_decay)
    rows = lookup(ROW_OPTIMIZERS, "embedding optimizer", optim.embedding_optimizer).build(
        model.embedding.weight.data, schema, optim.lr * optim.embedding_lr, optim.embedding_l2, threads
    )
    return Step(model, balancer, dense, rows, optim.clip)


def _base_rates(labels: NDArray[Any], parents: Sequence[int | None]) -> Tensor:
    """Mean label of each task where it is observed and, for a child, where its parent happened; (T,)."""
    means = []
    for task, parent in enumerate(parents):
        column = labels[:, task]
        mask = ~np.isnan(column)
        if parent is not None:
            mask &= labels[:, parent] == 1
        means.append(float(column[mask].mean(dtype=np.float64)) if mask.any() else 0.5)
    return torch.tensor(means)
