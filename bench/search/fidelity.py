"""Trials from best to worst where they have come to different rungs: what a sampler learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.objectives import Objective
from bench.search.ranking import Floats, Indices, best_first


def full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    """What each trial's objectives would be at full length, as far as that is known: (N, objectives).

    A trial's last values, moved by what a step to the next rung meant for those that took it: the median of the
    differences, objective by objective, over all trials with finite values at both rungs. Steps that no trial has taken
    count as nothing. The order of trials at one rung stays as it is; so a trial that was not let go on is neither
    punished for its rung nor left out.

    Args:
        results: for each trial its objectives at each rung that it reached, one rung at least.
    """
    last = np.array([len(rungs) - 1 for rungs in results], dtype=np.int64)
    highest = int(last.max(initial=0))
    values = np.full((len(results), highest + 1, objectives), np.nan)
    for trial, rungs in enumerate(results):
        values[trial, : len(rungs)] = rungs
    ahead = np.zeros(objectives)
    moved = values[:, highest].copy()
    for rung in range(highest - 1, -1, -1):
        steps = values[:, rung + 1] - values[:, rung]
        steps = steps[np.isfinite(steps).all(axis=1)]
        if len(steps):
            ahead = ahead + np.median(steps, axis=0)
        here = last == rung
        moved[here] = values[here, rung] + ahead
    return moved


def best_first_across_rungs(
    results: Sequence[Sequence[Sequence[float]]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    tie_break: str = "hypervolume",
) -> Indices:
    """Trials from best to worst by what they would be at full length: (N,). Trials without a result are last.

    Raises:
        UserError: no such tie break.
    """
    reached = np.array([bool(rungs) for rungs in results], dtype=bool)
    values = np.full((len(results), len(objectives)), np.nan)
    values[reached] = full_length([rungs for rungs in results if rungs], len(objectives))
    return best_first(values, objectives, reference, tie_break)
