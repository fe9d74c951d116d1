"""What the replicates of one configuration say of a metric, and what resampling the data does to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.records import TrialRecord

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """M metrics of one configuration over its n replicates.

    Attributes:
        values: (n, M).
        deviations: (n, B, M), how far each moves on each of B resamples of the split. Resample b is the same for every
            model, so that differences between models are paired. B is 0 where the split was not resampled.
        seeds: of the n trainings. Replicates of two configurations on one seed are paired. Empty where unknown: such
            replicates are paired with none.
    """

    values: Floats
    deviations: Floats
    seeds: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> Floats:
        """(M,), over the replicates."""
        return np.asarray(self.values.mean(axis=0))

    @property
    def deviation(self) -> Floats:
        """(B, M), how far the mean moves on each resample."""
        return np.asarray(self.deviations.mean(axis=0))

    def along(self, directions: Floats) -> Sample:
        """The same replicates with W weighted sums of the metrics in place of the metrics.

        Args:
            directions: (M, W), the weights of each sum.
        """
        return Sample(self.values @ directions, self.deviations @ directions, self.seeds)


def sample(record: TrialRecord, keys: Sequence[str]) -> Sample | None:
    """Those of a record's replicates that have a finite value of every key; None where there are none.

    Costs move on no resample. Where a replicate was not resampled, none is taken to be.
    """
    runs = [run for run in record.replicates if run.failure is None]
    runs = [run for run in runs if np.isfinite([run.metrics.get(key, np.nan) for key in keys]).all()]
    if not runs:
        return None
    values = np.array([[run.metrics[key] for key in keys] for run in runs], dtype=float)
    counts = {len(run.resampled.get(key, ())) for run in runs for key in keys if not key.startswith("cost/")}
    b = counts.pop() if len(counts) == 1 else 0
    deviations = np.zeros((len(runs), b, len(keys)))
    if b:
        for row, run in enumerate(runs):
            for column, key in enumerate(keys):
                deviations[row, :, column] = run.resampled.get(key, 0.0)
    return Sample(values, deviations, tuple(run.seed for run in runs))
