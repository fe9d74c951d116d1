"""One training of the reference in a worker: the metrics of the model, and the outcomes that it
serves.

Served outcomes are those of one score, a weighted sum of the predictions, under each of a few
weights: the same ones for every model, evenly over the simplex. Resamples of test are the same for
every model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray

from bench.core.records import Job, TrialResult
from bench.core.rows import TEST
from bench.ledger.fusion import Fusion, fused
from bench.ledger.pareto import lattice, steps_within
from bench.ledger.served.measuring import measure_of
from bench.measure.outcomes import Measure
from bench.measure.predictions import KeptRows, name_of, path_of, predictions, read_rows
from bench.measure.resamples import drawn_of
from bench.models.training.job import run_job

RESAMPLES = 24
"""Number of resamples of test: few, as the table keeps them; a variance has 23 degrees of freedom.
"""
SERVED = "served"


def fusions(tasks: int) -> list[Fusion]:
    """The fusion weights under which every model is measured, from one task's alone to the
    other's.
    """
    if tasks == 1:
        return [Fusion.of("sum", (1.0,))]
    steps = steps_within(tasks, 7 if tasks == 2 else 10)
    return [Fusion.of("sum", weights) for weights in lattice(tasks, steps).tolist()]


def train(job: Job) -> TrialResult:
    """Trains and measures a job. If it keeps predictions, its result also has the served outcomes,
    as `served/<number of the fusion>/<outcome>`.

    Predictions of single-task models stay, to be served together; all others are removed.
    """
    started = process_time()
    result = run_job(job)
    result.speed["cpu_seconds"] = process_time() - started
    if job.predictions is None:
        return result
    folder = Path(job.predictions)
    on_test = predictions(folder, TEST, name_of(job.training, job.replicate))
    assert on_test is not None
    outcomes = served(str(folder), job.outcomes, on_test)
    if job.config.get("sharing.kind") != "single_task":
        for split in job.splits:
            path = path_of(job, split)
            if path is not None:
                path.unlink(missing_ok=True)
    for key, (value, *resampled) in outcomes.items():
        result.metrics[key] = value
        result.resampled[key] = [moved - value for moved in resampled]
    return result


def served(
    folder: str, outcomes: Sequence[str], on_test: NDArray[np.float32]
) -> dict[str, list[float]]:
    """By fusion and outcome the value on test, then those on each resample.

    Args:
        folder: of kept predictions, as text.
        on_test: joint predictions (n, T).
    """
    rows, measure = _measure(folder, tuple(outcomes))
    by_outcome: dict[str, list[float]] = {}
    for number, fusion in enumerate(fusions(on_test.shape[1])):
        scores = fused(fusion.kind, on_test, fusion.weights, rows.rates)
        values = measure.resampled(scores)
        for column, name in enumerate(outcomes):
            by_outcome[f"{SERVED}/{number}/{name}"] = values[:, 0, column].tolist()
    return by_outcome


@lru_cache(maxsize=2)
def _measure(folder: str, outcomes: tuple[str, ...]) -> tuple[KeptRows, Measure]:
    rows = read_rows(Path(folder), TEST)
    assert rows is not None
    return rows, measure_of(rows, outcomes, drawn_of(rows, TEST, RESAMPLES))
