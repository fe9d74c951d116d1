"""Importance of parameters for the hypervolume: the share of variance between trials that each
explains alone.

A trial's merit is the hypervolume that it would have by itself, as a rank among all trials:
diverged ones are as bad as they are, but no worse. A parameter sorts trials into groups, by its
values or by ranges that hold equally many; its share is the variance between these groups over that
of all trials, minus what as many groups would take by chance (epsilon squared; Kelley, PNAS 1935).
This is the first-order index of a variance decomposition: what parameters do together belongs to
none. It speaks of the trials that a search made, and a search looks more often where it is good.

A parameter of a branch is judged among the trials of that branch, so that it is not credited with
the branch; its share is still one of the variance of all trials. Intervals are at 90%, and rather
too wide than too narrow near 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.objectives import Objective, signs_of
from bench.core.records import Point, Scalar
from bench.ledger.pareto import references_of

BINS = 4
"""Ranges into which the values of a number are cut."""
FEWEST_TRIALS = 20
"""Trials with a result that it takes to say anything."""
FEWEST_OWN = 8
"""Trials that must have a parameter."""
IMPORTANCE_DRAWS = 400
Z = 1.645
"""Of a normal interval at 90%."""


@dataclass(frozen=True)
class Importance:
    """Share of variance that a parameter explains alone, with its interval, and how many trials
    have it.
    """

    name: str
    share: float
    low: float
    high: float
    trials: int


def importances(
    points: Sequence[Point], merits: Floats, seed: int, draws: int = IMPORTANCE_DRAWS
) -> list[Importance]:
    """The importance of every parameter that was searched, the largest first.

    Args:
        points: of trials, one of each.
        merits: of each, larger is better; what is not finite is left out.

    Returns:
        Nothing where there are fewer than `FEWEST_TRIALS` trials, or all are alike.
    """
    trials = np.flatnonzero(np.isfinite(merits)).tolist()
    size = len(trials)
    if size < FEWEST_TRIALS or np.ptp(merits[trials]) == 0:
        return []
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(float)
    ranks = _ranks(merits[trials], np.vstack([np.ones(size), counts]))

    params = [points[trial].params for trial in trials]
    results = []
    for name in dict.fromkeys(chain.from_iterable(params)):
        values = [params_of_trial.get(name) for params_of_trial in params]
        has_parameter = [name in params_of_trial for params_of_trial in params]
        groups = grouping(values, has_parameter)
        if groups.max() > 0 and (groups >= 0).sum() >= FEWEST_OWN:
            results.append(_importance(name, ranks, groups, counts))
    return sorted(results, key=lambda importance: (-importance.share, importance.name))


def alone(values: Floats, objectives: Sequence[Objective], reference: dict[str, float]) -> Floats:
    """The hypervolume of each point (N, M) by itself: (N,), NaN where a value is missing.

    Points that do not beat the reference in every objective have less than none, by how far they
    are from it at worst: else all of them would be equal.
    """
    beyond = signs_of(objectives) * (values - references_of(objectives, reference))
    worst = beyond.min(axis=1)
    return np.asarray(np.where(worst > 0, np.prod(beyond, axis=1), worst))


def grouping(values: Sequence[Scalar], has_parameter: Sequence[bool]) -> NDArray[np.int64]:
    """A group's number for each trial, from 0; -1 where the trial does not have the parameter."""
    present = list(compress(values, has_parameter))
    places: NDArray[Any] = np.array(list(map(str, present)))
    if len(set(present)) > BINS and all(map(_is_number, present)):
        numbers = np.array(present, dtype=float)
        edges = np.quantile(numbers, np.arange(1, BINS) / BINS)
        places = np.searchsorted(edges, numbers, side="right")
    groups = np.full(len(values), -1)
    groups[np.array(has_parameter)] = np.unique(places, return_inverse=True)[1]
    return groups


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _importance(name: str, ranks: Floats, groups: NDArray[np.int64], counts: Floats) -> Importance:
    """The interval is a normal one: resamples, which repeat trials, tell the spread but are off in
    their middle.
    """
    has_parameter = groups >= 0
    members = np.eye(groups.max() + 1)[groups[has_parameter]]  # (n, K)
    once = np.ones((1, len(groups)))
    share = float(_shares(ranks[:1], has_parameter, members, once)[0])
    resampled = _shares(ranks[1:], has_parameter, members, counts)
    reach = Z * float(np.std(resampled, ddof=1))
    low, middle, high = np.clip([share - reach, share, share + reach], 0, 1).tolist()
    return Importance(name, middle, low, high, int(has_parameter.sum()))


def _ranks(merits: Floats, counts: Floats) -> Floats:
    """The middle rank of each trial in each resample: (draws, N)."""
    _, place = np.unique(merits, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    of_value = np.add.reduceat(counts[:, order], starts, axis=1)
    return np.asarray((np.cumsum(of_value, axis=1) - (of_value - 1) / 2)[:, place])


def _shares(
    ranks: Floats, has_parameter: NDArray[np.bool_], members: Floats, counts: Floats
) -> Floats:
    """The share in each resample: (draws,). `counts` and `ranks` (draws, N): how often a trial is
    in it, and where.
    """
    weighted = counts * ranks
    whole = (weighted * ranks).sum(axis=1) - weighted.sum(axis=1) ** 2 / counts.sum(axis=1)
    weighted = weighted[:, has_parameter]
    sizes = counts[:, has_parameter] @ members  # (draws, K)
    sums = weighted @ members
    size = sizes.sum(axis=1)
    groups = (sizes > 0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(sizes > 0, sums**2 / sizes, 0).sum(axis=1)
        within = (weighted * ranks[:, has_parameter]).sum(axis=1) - means
        between = means - sums.sum(axis=1) ** 2 / size
        by_chance = (groups - 1) * within / np.maximum(size - groups, 1)
        return np.asarray(np.nan_to_num((between - by_chance) / whole))
