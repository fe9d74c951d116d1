"""What a model costs: parameters and latency."""

from __future__ import annotations

import time

import torch

from bench.models.assembly import MultiTaskModel, parameter_count
from bench.schema import Schema

LATENCY_BATCH = 100  # candidates scored for one request
LATENCY_RUNS = 15


@torch.no_grad()
def costs(model: MultiTaskModel, schema: Schema) -> dict[str, float]:
    """`cost/parameters`, tables included, and `cost/latency_ms`: median time to score 100 candidates, eager."""
    model.eval()
    ids = torch.tensor(schema.offsets, dtype=torch.int32).repeat_interleave(
        torch.tensor([field.slots for field in schema.fields], dtype=torch.int64)
    )
    device = model.embedding.weight.device
    ids, dense = ids.repeat(LATENCY_BATCH, 1).to(device), torch.zeros(LATENCY_BATCH, len(schema.dense), device=device)
    times = []
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        model.probabilities(model(ids, dense)).joint.cpu()  # on another device, work that is only queued is not done
        times.append(time.perf_counter() - started)
    model.train()
    return {
        "cost/parameters": float(parameter_count(model)),
        "cost/latency_ms": 1e3 * sorted(times)[LATENCY_RUNS // 2],
    }
