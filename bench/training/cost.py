"""Costs of a model: parameters, and latency in torch. `bench.production.latency` measures the packaged model."""

from __future__ import annotations

import time

import numpy as np
import torch

from bench.models.assembly import MultiTaskModel, parameter_count
from bench.schema import Schema

LATENCY_BATCH = 100  # candidates scored for one request
LATENCY_RUNS = 15  # at least
LATENCY_MOST = 100
LATENCY_SECONDS = 0.02  # after which no more are begun: a search measures each of its trials


@torch.no_grad()
def costs(model: MultiTaskModel, schema: Schema, latency: bool = True) -> dict[str, float]:
    """`cost/parameters`, tables included, and, where asked for, latencies: times to score 100 candidates, eager.

    `cost/latency_ms` is their median, `cost/latency_p99_ms` their 99th percentile: of the slowest a search sees few, so
    that it is near the largest of 15 to 100 times.
    """
    found = {"cost/parameters": float(parameter_count(model))}
    if not latency:
        return found
    model.eval()
    ids = torch.tensor(schema.offsets, dtype=torch.int32).repeat_interleave(
        torch.tensor([field.slots for field in schema.fields], dtype=torch.int64)
    )
    device = model.embedding.weight.device
    ids, dense = ids.repeat(LATENCY_BATCH, 1).to(device), torch.zeros(LATENCY_BATCH, len(schema.dense), device=device)
    times: list[float] = []
    while len(times) < LATENCY_RUNS or (len(times) < LATENCY_MOST and sum(times) < LATENCY_SECONDS):
        started = time.perf_counter()
        model.probabilities(model(ids, dense)).joint.cpu()  # on another device, work that is only queued is not done
        times.append(time.perf_counter() - started)
    model.train()
    return found | {
        "cost/latency_ms": 1e3 * float(np.median(times)),
        "cost/latency_p99_ms": 1e3 * float(np.percentile(times, 99)),
    }
