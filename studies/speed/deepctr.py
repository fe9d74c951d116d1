"""DeepCTR-Torch by its own `fit` and `predict`, as its documentation uses them, with its default L2
off.
"""

from __future__ import annotations

import threading
import time
from typing import Any
from unittest import mock

import torch

from bench.core.system.machine import peak_memory_mb
from bench.data import Store
from speed.arrays import arrays, aucs, rows, sizes
from speed.job import EVALUATION_BATCH, WARM_STEPS, Job, Measured

with mock.patch.object(
    threading.Thread, "start"
):  # on import it asks the network for news of itself
    from deepctr_torch import models
    from deepctr_torch.inputs import SparseFeat


def measure(job: Job, since_start: Any, fused: bool = False) -> Measured:
    """Trains three steps, then one epoch, and evaluates; `fused` hands it PyTorch's fused Adam
    instead of its own.
    """
    store = Store.open(job.store).with_tasks(("click", "buy"))
    model = build(job, sizes(store))
    optimizer = torch.optim.Adam(model.parameters(), lr=job.lr, fused=fused or None)
    model.compile(optimizer, ["binary_crossentropy"] * 2)
    warm = arrays(store, "train", WARM_STEPS * job.batch)
    model.fit(warm.columns, warm.labels, batch_size=job.batch, verbose=0)
    first = since_start()
    train = arrays(store, "train", rows(store, job))
    started = time.perf_counter()
    model.fit(train.columns, train.labels, batch_size=job.batch, verbose=0)
    trained = time.perf_counter() - started
    valid = arrays(store, "valid")
    started = time.perf_counter()
    areas = aucs(valid.labels, model.predict(valid.columns, EVALUATION_BATCH))
    evaluated = time.perf_counter() - started
    return Measured(
        len(train.labels) / trained, len(valid.labels) / evaluated, areas, peak_memory_mb(), first
    )


def build(job: Job, tables: dict[str, int]) -> Any:
    """The model of the job's architecture."""
    features = [
        SparseFeat(name, rows, embedding_dim=job.embedding) for name, rows in tables.items()
    ]
    common: dict[str, Any] = {
        "tower_dnn_hidden_units": job.tower_layers,
        "l2_reg_linear": 0,
        "l2_reg_embedding": 0,
        "seed": job.seed,
    }
    experts: dict[str, Any] = {
        "expert_dnn_hidden_units": job.expert_layers,
        "gate_dnn_hidden_units": (),
    }
    if job.architecture == "shared_bottom":
        return models.SharedBottom(features, bottom_dnn_hidden_units=job.expert_layers, **common)
    if job.architecture == "esmm":
        return models.ESMM(features, **common)
    if job.architecture == "mmoe":
        return models.MMOE(features, num_experts=job.mmoe_experts, **experts, **common)
    count = {
        "shared_expert_num": job.ple_experts,
        "specific_expert_num": job.ple_experts,
        "num_levels": 1,
    }
    return models.PLE(features, **count, **experts, **common)
