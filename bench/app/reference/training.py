"""One training of the reference in a worker: the model's own metrics, and what is served by it.

Served outcomes are those of one score, a weighted sum of the predictions, under each of a few
weights: the same ones for every model, evenly over the simplex. Rows of test are resampled, the
same ones for every model.
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
"""Of test. Few, as the table keeps them: a variance has 23 degrees of freedom then."""
SERVED = "served"


def fusions(tasks: int) -> list[Fusion]:
    """The fusion weights under which every model is measured: one task's alone to the other's."""
    if tasks == 1:
        return [Fusion.of("sum", (1.0,))]
    steps = steps_within(tasks, 7 if tasks == 2 else 10)
    return [Fusion.of("sum", weights) for weights in lattice(tasks, steps).tolist()]


def train(job: Job) -> TrialResult:
    """Trains and measures a job. Where it keeps predictions, its result also has what is served, as
    `served/<number of the fusion>/<outcome>`.

    Predictions of single-task models stay, to be served together; all others are removed.
    """
    started = process_time()
    result = run_job(job)
    result.speed["cpu_seconds"] = process_time() - started
    if job.predictions is None:
        return result
    folder, name = Path(job.predictions), name_of(job.training, job.replicate)
    own = predictions(folder, TEST, name)
    assert own is not None
    outcomes = served(str(folder), job.outcomes, own)
    if job.config.get("sharing.kind") != "single_task":
        for split in job.splits:
            if (path := path_of(job, split)) is not None:
                path.unlink(missing_ok=True)
    result.metrics.update({key: values[0] for key, values in outcomes.items()})
    result.resampled.update(
        {key: [value - values[0] for value in values[1:]] for key, values in outcomes.items()}
    )
    return result


def served(
    folder: str, outcomes: Sequence[str], own: NDArray[np.float32]
) -> dict[str, list[float]]:
    """By fusion and outcome the value on test, then those on each resample.

    Args:
        folder: of kept predictions, as text.
        own: joint predictions (n, T) on test.
    """
    rows, measure = _measure(folder, tuple(outcomes))
    by_outcome: dict[str, list[float]] = {}
    for number, fusion in enumerate(fusions(own.shape[1])):
        values = measure.resampled(fused(fusion.kind, own, fusion.weights, rows.rates))
        by_outcome |= {
            f"{SERVED}/{number}/{name}": values[:, 0, at].tolist()
            for at, name in enumerate(outcomes)
        }
    return by_outcome


@lru_cache(maxsize=2)
def _measure(folder: str, outcomes: tuple[str, ...]) -> tuple[KeptRows, Measure]:
    rows = read_rows(Path(folder), TEST)
    assert rows is not None
    return rows, measure_of(rows, outcomes, drawn_of(rows, TEST, RESAMPLES))
