"""Pareto dominance, hypervolume and simplex lattices.

x dominates y if it is nowhere worse and somewhere better. Equal points do not dominate each other:
all duplicates of a non-dominated point are kept. A row with a value that is not finite was not
measured: it is never on a front and dominates nothing.

The hypervolume is how much of objective space a set of points dominates, up to a reference that is
fixed beforehand. A reference taken from the results would move with every trial. Points that do not
beat it in every objective add nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb

import moocore
import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known
from bench.core.objectives import BY_NAME, Objective, adds_up, metric_of, names_of, ranked

UNRANKED = -1


def maximised(objectives: Sequence[Objective]) -> list[bool]:
    """The directions in the form moocore takes."""
    return [objective.direction == "maximize" for objective in objectives]


def references_of(
    objectives: Sequence[Objective], reference: Mapping[str, float]
) -> NDArray[np.float64]:
    """(M,), a complete reference in the order of the objectives."""
    return np.array([reference[objective.name] for objective in objectives])


def measured(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of `values` (N, M) are finite in every objective: (N,)."""
    return np.asarray(np.isfinite(values).all(axis=1))


def nondominated(values: NDArray[np.float64], objectives: Sequence[Objective]) -> NDArray[np.bool_]:
    """Which rows of `values` (N, M) no other row dominates: (N,)."""
    result = measured(values)
    result[result] = moocore.is_nondominated(
        values[result], maximise=maximised(objectives), keep_weakly=True
    )
    return result


def ranks(values: NDArray[np.float64], objectives: Sequence[Objective]) -> NDArray[np.int64]:
    """Non-dominated sorting (Deb et al., IEEE TEC 2002): (N,).

    0 is the front, 1 the front once those are taken away, and so on; `UNRANKED` for rows that were
    not measured.
    """
    rows = measured(values)
    result = np.full(len(values), UNRANKED, dtype=np.int64)
    # moocore 0.3 ranks a single column the wrong way round; the column twice has the same order
    copies = 2 if len(objectives) == 1 else 1
    points = np.repeat(values[rows], copies, axis=1)
    result[rows] = moocore.pareto_rank(points, maximise=maximised(objectives) * copies)
    return result


def default_reference(objective: Objective) -> float:
    """The reference where the suite names none: the value of a model that knows nothing (AUC .5, NE
    1, ...).

    Of an outcome that is 10% of all rows: .1, as of a random order; of one by group, which depends
    on the data: 0.

    Raises:
        UserError: the metric has no such value (RMSE, costs).
    """
    metric = metric_of(objective.name)
    if (cut := ranked(metric)) is not None:
        return cut.of_random_order / 100 if adds_up(metric) else 0.0
    known = BY_NAME[metric].uninformed if metric in BY_NAME else None
    if known is None:
        raise UserError(
            f"hypervolume: '{objective.name}' has no natural reference; name the worst value that "
            f"is still of use as the suite's reference for '{objective.name}'"
        )
    return known


def resolve_reference(
    objectives: Sequence[Objective], asked: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The reference of each objective, by its name without split, in the order of the objectives.

    Call it before a search begins: it is then that a missing reference should be found.

    Raises:
        UserError: a name that is no objective, a value that is not finite, or no value where there
            is no default.
    """
    asked = asked or {}
    names = names_of(objectives)
    for name, value in asked.items():
        check_known("objective", name, names, "hypervolume reference")
        if not math.isfinite(value):
            raise UserError(
                f"hypervolume reference: expected a finite number for '{name}', found {value}"
            )
    reference = {}
    for objective in objectives:
        name = objective.name
        reference[name] = asked[name] if name in asked else default_reference(objective)
    return reference


def weakest_reference(
    objectives: Sequence[Objective], references: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Of several complete references, in each objective the one that asks least: every front counts
    whole then.
    """
    weakest = {}
    for objective in objectives:
        values = [reference[objective.name] for reference in references]
        weakest[objective.name] = min(values) if objective.sign > 0 else max(values)
    return weakest


MOST_EXACT, SAMPLES = 5, 8192
"""Objectives up to which a hypervolume is exact: its time grows as a power of them. Beyond,
directions of its polar coordinates: of 40 points in 8 objectives it then is within 1%."""


def hypervolume(
    values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]
) -> float:
    """Hypervolume of points (N, M), in the product of the objectives' units; of many objectives
    nearly.

    Rows that are not finite add nothing. Fonseca et al., CEC 2006; Deng and Zhang, IEEE TEC 2019;
    computed by moocore.
    """
    points = values[measured(values)]
    worst = references_of(objectives, reference)
    maximise = maximised(objectives)
    if len(objectives) > MOST_EXACT and len(points):
        return float(moocore.hv_approx(points, ref=worst, maximise=maximise, nsamples=SAMPLES))
    return float(moocore.hypervolume(points, ref=worst, maximise=maximise))


class Growing:
    """The hypervolume of points that come one by one. A point is compared with the front alone.

    Args:
        reference: complete, by objective name.
    """

    def __init__(self, objectives: Sequence[Objective], reference: Mapping[str, float]) -> None:
        self._objectives, self._reference = objectives, reference
        self._front, self._volume = np.empty((0, len(objectives))), 0.0

    def add(self, point: Floats) -> float:
        """Adds a point (M,), and returns the hypervolume of all so far. A point that is not finite
        adds nothing.
        """
        points = np.vstack([self._front, point])
        stays = nondominated(points, self._objectives)
        if stays[-1]:
            self._front = points[stays]
            volume = hypervolume(self._front, self._objectives, self._reference)
            # rounding may take off 1e-17 where a point adds nothing
            self._volume = max(self._volume, volume)
        return self._volume


def contributions(
    values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]
) -> Floats:
    """What the front would lose without each point: (N,).

    Zero for dominated points, for all of several duplicates, and for points that do not beat the
    reference.
    """
    front = np.flatnonzero(nondominated(values, objectives))
    whole = hypervolume(values[front], objectives, reference)
    result = np.zeros(len(values))
    for i in front:
        result[i] = max(0.0, whole - hypervolume(values[front[front != i]], objectives, reference))
    return result


def lattice(parts: int, steps: int) -> NDArray[np.int64]:
    """All ways (W, parts) to write `steps` as an ordered sum of whole numbers from 0, the first
    part rising.
    """
    last = steps + parts - 1
    bars = combinations(range(last), parts - 1)
    ends = np.array([[-1, *places, last] for places in bars], dtype=np.int64)
    return np.diff(ends, axis=1) - 1


def steps_within(parts: int, limit: int) -> int:
    """The largest number of steps, at least 1, whose lattice of two parts or more has at most
    `limit` points.
    """
    steps = 1
    while _lattice_size(parts, steps + 1) <= limit:
        steps += 1
    return steps


def steps_beyond(parts: int, size: int) -> int:
    """The smallest number of steps whose lattice of two parts or more has `size` points or more."""
    steps = 1
    while _lattice_size(parts, steps) < size:
        steps += 1
    return steps


def _lattice_size(parts: int, steps: int) -> int:
    return comb(steps + parts - 1, parts - 1)
