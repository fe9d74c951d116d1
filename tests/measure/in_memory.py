"""Metrics of rows in memory: trainings compute them piece by piece."""

import numpy as np

from bench.core.schema import Task
from bench.measure.spaces import Observed, Predicted
from bench.measure.tally import BinaryTally, HeldTally, Tally


def predicted(labels, conditional, joint, group, weights=None):
    """Rows with predictions of every task."""
    return Predicted(labels, group, weights, conditional=conditional, joint=joint)


def evaluate(
    labels, conditional, joint, group, tasks, prefix, outcomes=(), weights=None, plain=False
):
    """Every metric of rows in memory; see `Tally`."""
    return of(
        Tally(tasks, prefix, outcomes=outcomes, plain=plain),
        predicted(labels, conditional, joint, group, weights),
    )


def binary(labels, predictions, group):
    """Metrics of probabilities (N,) against labels 0, 1 or NaN (N,); see `BinaryTally`."""
    return of(BinaryTally(), Observed(labels, group, predictions=predictions))


def regression(labels, predictions):
    """Metrics of values (N,) against labels or NaN (N,); see `HeldTally`."""
    rows = Observed(labels, np.full(len(labels), -1), predictions=predictions)
    return of(HeldTally(Task("value", "regression")), rows)


def of(tally, rows):
    tally.add(rows)
    return tally.result()
