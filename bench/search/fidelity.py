"""Trials from best to worst where they have come to different rungs: what a sampler learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.objectives import Objective
from bench.search.ranking import Floats, Indices, best_first

SLOPES = (0.02, 5.0)
"""Between these is what a step makes of a difference: never nothing, so that no order is lost."""
RECENT = 128
"""Of more trials that took a step, the last so many."""
EQUAL = 1e-12
"""Values no further apart say nothing about a slope."""


@dataclass(frozen=True)
class Ahead:
    """What values at each rung mean at full length, objective by objective: slope * value + offset; (rungs, M) each."""

    slopes: Floats
    offsets: Floats

    def at(self, rung: int | Indices, values: Floats) -> Floats:
        """Values (.., M) of a rung, or of one rung each, at full length."""
        return np.asarray(self.slopes[rung] * values + self.offsets[rung])


def to_full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Ahead:
    """What a value at each rung that a trial has reached is expected to become.

    Curves come together: what is far behind at a low rung is less so at full length. A step to the next rung is a
    straight line through those that took it, by medians (Theil 1950, Sen 1968): the median of the slopes between
    any two, and of what is left. That they are the better ones does no harm: they were chosen by the lower value. The
    slope is drawn towards 1, by as much as one more trial would; steps that no trial has taken change nothing.

    Args:
        results: for each trial its objectives at each rung that it reached, one rung at least.
    """
    values = _by_rung(results, objectives)
    slopes, offsets = np.ones(values.shape[1:]), np.zeros(values.shape[1:])
    for rung in range(len(slopes) - 2, -1, -1):
        before, after = values[:, rung], values[:, rung + 1]
        both = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
        slope, offset = _step(before[both], after[both])
        slopes[rung], offsets[rung] = slopes[rung + 1] * slope, slopes[rung + 1] * offset + offsets[rung + 1]
    return Ahead(slopes, offsets)


def _step(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Slope and offset of each objective: (M,) each. Of many trials the last `RECENT` are looked at."""
    before, after = before[-RECENT:], after[-RECENT:]
    count = len(before)
    if not count:
        return np.ones(before.shape[1]), np.zeros(before.shape[1])
    one, other = np.triu_indices(count, 1)
    run, rise = before[other] - before[one], after[other] - after[one]
    slope = np.ones(before.shape[1])
    for m in range(len(slope)):
        apart = np.abs(run[:, m]) > EQUAL
        if apart.any():
            slope[m] += (np.median(rise[apart, m] / run[apart, m]) - 1.0) * (count / (count + 1))
    slope = np.clip(slope, *SLOPES)
    return slope, np.median(after - slope * before, axis=0)


def full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    """What each trial's objectives would be at full length, as far as that is known: (N, objectives).

    A trial's last values, moved as `to_full_length` says. The order of trials at one rung stays as it is; so a trial
    that was not let go on is neither punished for its rung nor left out.
    """
    last = np.array([len(rungs) - 1 for rungs in results], dtype=np.int64)
    values = _by_rung(results, objectives)
    return to_full_length(results, objectives).at(last, values[np.arange(len(results)), last])


def _by_rung(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    values = np.full((len(results), max(map(len, results), default=1), objectives), np.nan)
    for trial, rungs in enumerate(results):
        values[trial, : len(rungs)] = rungs
    return values


def best_first_across_rungs(
    results: Sequence[Sequence[Sequence[float]]], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> Indices:
    """All trials in the order of what they would be at full length, those without a result last: (N,)."""
    reached = np.array([bool(rungs) for rungs in results], dtype=bool)
    values = np.full((len(results), len(objectives)), np.nan)
    values[reached] = full_length([rungs for rungs in results if rungs], len(objectives))
    return best_first(values, objectives, reference)
