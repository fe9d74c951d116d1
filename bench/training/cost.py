"""What a model costs: parameters, latency, and the process's peak memory."""

from __future__ import annotations

import resource
import sys
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
        torch.tensor([field.slots for field in schema.fields])
    )
    ids, dense = ids.repeat(LATENCY_BATCH, 1), torch.zeros(LATENCY_BATCH, len(schema.dense))
    times = []
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        model.probabilities(model(ids, dense))
        times.append(time.perf_counter() - started)
    model.train()
    return {
        "cost/parameters": float(parameter_count(model)),
        "cost/latency_ms": 1e3 * sorted(times)[LATENCY_RUNS // 2],
    }


def reset_peak_memory() -> None:
    """Starts a new peak where the system allows it (Linux), so that a warm worker reports each trial's own."""
    try:
        with open("/proc/self/clear_refs", "w") as control:
            control.write("5")
    except OSError:
        return  # elsewhere the peak is the process's: an upper bound


def peak_memory_mb() -> float:
    """Largest resident memory since the last reset, in MiB."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
