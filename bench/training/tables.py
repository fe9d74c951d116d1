"""What a loss of regressions learns of train before the first step."""

from __future__ import annotations

import numpy as np
import torch

from bench.data.store import Split
from bench.models.assembly import MultiTaskModel
from bench.training.metrics import given_parent

ROWS = 1 << 20
"""Rows that are drawn of a larger split."""


def fit_tables(model: MultiTaskModel, train: Split) -> None:
    """Shows train's targets, each on its sample space, to a loss that asks for them; a function of the split alone."""
    regression = model.funnel.loss.regression
    if not regression.needs_tables or not len(train):
        return
    rows: slice | np.ndarray = slice(None)
    if len(train) > ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(train), ROWS, replace=False))
    labels = np.asarray(train.labels[rows])
    own = np.stack([given_parent(labels, at, parent) for at, parent in enumerate(model.schema.parents)], axis=1)
    weights = None if train.weights is None else np.asarray(train.weights[rows]).prod(axis=1)
    bounds = None if train.bounds is None else np.asarray(train.bounds[rows])
    targets, values = own, own
    if model.targets is not None:
        device = model.embedding.weight.device
        scaled = model.targets.of_labels(torch.from_numpy(own).to(device))
        targets, values = scaled.cpu().numpy(), model.targets.values(scaled).cpu().numpy()
        if bounds is not None:
            bounds = model.targets.of_bounds(torch.from_numpy(bounds).to(device)).cpu().numpy()
    regression.fit(targets, values, np.asarray(train.dense[rows]), weights, bounds)
