"""Trials from best to worst where they have come to different rungs: what a sampler learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.objectives import Objective
from bench.search.ranking import Floats, Indices, Order


def to_full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    """What is to be added to a value at each rung that a trial has reached, to have it at full length: (rungs, M).

    What a step to the next rung meant for those that took it: the median of the differences, objective by objective,
    over all trials with finite values at both rungs. Steps that no trial has taken count as nothing.

    Args:
        results: for each trial its objectives at each rung that it reached, one rung at least.
    """
    values = _by_rung(results, objectives)
    ahead = np.zeros(values.shape[1:])
    for rung in range(len(ahead) - 2, -1, -1):
        steps = values[:, rung + 1] - values[:, rung]
        steps = steps[np.isfinite(steps).all(axis=1)]
        ahead[rung] = ahead[rung + 1] + (np.median(steps, axis=0) if len(steps) else 0.0)
    return ahead


def full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    """What each trial's objectives would be at full length, as far as that is known: (N, objectives).

    A trial's last values, moved as `to_full_length` says. The order of trials at one rung stays as it is; so a trial
    that was not let go on is neither punished for its rung nor left out.
    """
    last = np.array([len(rungs) - 1 for rungs in results], dtype=np.int64)
    values = _by_rung(results, objectives)
    return np.asarray(values[np.arange(len(results)), last] + to_full_length(results, objectives)[last])


def _by_rung(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    values = np.full((len(results), max(map(len, results), default=1), objectives), np.nan)
    for trial, rungs in enumerate(results):
        values[trial, : len(rungs)] = rungs
    return values


def order_across_rungs(
    results: Sequence[Sequence[Sequence[float]]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    tie_break: str = "hypervolume",
) -> Order:
    """Trials in the order of what they would be at full length. Trials without a result are last.

    Raises:
        UserError: no such tie break.
    """
    reached = np.array([bool(rungs) for rungs in results], dtype=bool)
    values = np.full((len(results), len(objectives)), np.nan)
    values[reached] = full_length([rungs for rungs in results if rungs], len(objectives))
    return Order(values, objectives, reference, tie_break)


def best_first_across_rungs(
    results: Sequence[Sequence[Sequence[float]]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    tie_break: str = "hypervolume",
) -> Indices:
    """All trials by `order_across_rungs`: (N,)."""
    return order_across_rungs(results, objectives, reference, tie_break).at(np.arange(len(results)))
