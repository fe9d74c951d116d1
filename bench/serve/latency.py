"""Latency of a packaged model: of requests of raw rows, and of the model alone, by engine, threads
and batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np

from bench.models.training.evaluation import times_of
from bench.serve.engines import ENGINES
from bench.serve.package import Package
from bench.serve.scorer import example_rows

RUNS = (20, 2000)
"""Minimum and maximum number of timed calls."""
WARM = 5


@dataclass(frozen=True)
class Latency:
    """Times of one engine on batches of one size.

    `request_ms` is the median of whole requests, from raw rows to the score. `p50_ms`, `p99_ms` and
    `rows_per_s` (from the mean time) are of the model alone, from encoded rows to probabilities.
    """

    engine: str
    threads: int
    batch: int
    p50_ms: float
    p99_ms: float
    request_ms: float
    rows_per_s: float
    calls: int


def latencies(
    package: Package,
    engines: Sequence[str],
    threads: Sequence[int],
    batches: Sequence[int],
    seconds: float,
) -> list[Latency]:
    """Measures engines (by default all available) with each number of threads on batches of each
    size.

    No call of a configuration starts after `seconds`. Raises UserError for an unknown or
    unavailable engine.
    """
    example = example_rows(package.encoder)
    measured = []
    for engine in engines or available(package):
        for thread_count in threads:
            scorer = package.scorer(engine, thread_count)
            for batch in batches:
                places = np.arange(batch) % len(example)
                rows = example.iloc[places].reset_index(drop=True)
                ids, dense = scorer.encode(scorer.rows.table(rows))
                model_seconds = _times(partial(scorer.engine, ids, dense), seconds)
                request_seconds = _times(partial(scorer.predict, rows), seconds / 4)
                p50_ms, p99_ms = np.percentile(model_seconds, (50, 99)) * 1e3
                measured.append(
                    Latency(
                        engine,
                        thread_count,
                        batch,
                        float(p50_ms),
                        float(p99_ms),
                        float(np.median(request_seconds)) * 1e3,
                        batch / float(np.mean(model_seconds)),
                        len(model_seconds),
                    )
                )
    return measured


def available(package: Package) -> list[str]:
    """Engines that can run a package here."""
    has_onnx = "model.onnx" in package.manifest.files
    has_onnx &= all(map(find_spec, ("onnxruntime", "onnx")))
    return [name for name in ENGINES if name != "onnx" or has_onnx]


def _times(run: Callable[[], object], seconds: float) -> list[float]:
    times_of(run, WARM, WARM, 0.0)
    return times_of(run, *RUNS, seconds)
