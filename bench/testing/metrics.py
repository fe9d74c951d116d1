"""Metrics of rows in memory, for tests: trainings compute them piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.schema import Task
from bench.measure.spaces import Observed, Predicted
from bench.measure.tally import BinaryTally, HeldTally, Tally


def predicted(
    labels: NDArray[Any],
    conditional: NDArray[Any],
    joint: NDArray[Any],
    group: NDArray[Any],
    weights: NDArray[Any] | None = None,
) -> Predicted:
    """Rows with predictions of every task."""
    return Predicted(labels, group, weights, conditional=conditional, joint=joint)


def evaluate(
    labels: NDArray[Any],
    conditional: NDArray[Any],
    joint: NDArray[Any],
    group: NDArray[Any],
    tasks: tuple[Task, ...],
    prefix: str,
    outcomes: Sequence[str] = (),
    weights: NDArray[Any] | None = None,
    plain: bool = False,
) -> dict[str, float]:
    """Every metric of rows in memory; see `Tally`."""
    tally = Tally(tasks, prefix, outcomes=outcomes, plain=plain)
    tally.add(predicted(labels, conditional, joint, group, weights))
    return tally.result()


def binary(labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any]) -> dict[str, float]:
    """Metrics of probabilities (N,) against labels 0, 1 or NaN (N,); see `BinaryTally`."""
    tally = BinaryTally()
    tally.add(Observed(labels, group, predictions=predictions))
    return tally.result()


def regression(labels: NDArray[Any], predictions: NDArray[Any]) -> dict[str, float]:
    """Metrics of values (N,) against labels or NaN (N,); see `HeldTally`."""
    tally = HeldTally(Task("value", "regression"))
    tally.add(Observed(labels, np.full(len(labels), -1), predictions=predictions))
    return tally.result()
