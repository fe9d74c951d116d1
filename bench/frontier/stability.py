"""How a pick changes: with the weights of the objectives, and with the seeds that points were confirmed on.

The points to choose from stay those that the guard let through; only what is chosen among them is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.frontier.estimates import estimates
from bench.frontier.rules import Floats, Frame, PickRule
from bench.frontier.samples import sample
from bench.frontier.simplex import lattice, steps_within
from bench.frontier.uncertainty import posterior_draws
from bench.frontier.variance import seed_noise
from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM
from bench.seeds import derive

GRID = 231
"""At most so many weights: 20 steps from end to end for up to three objectives."""
FINEST = 20
DRAWS = 400
"""Posterior draws; the standard error of a probability is at most .025."""


@dataclass(frozen=True)
class Standing:
    """One point.

    Attributes:
        share: of the grid of weights, where its weighted sum is the largest.
        probability: the same, over the grid and over what replicates allow for; None where they do not tell.
        by_rule: how often the policy's own rule puts it first over what replicates allow for.
    """

    trial: int | None
    architecture: str
    share: float
    probability: float | None
    by_rule: float | None
    until: int | None = None


@dataclass(frozen=True)
class Stability:
    """The map.

    Attributes:
        objectives: names, in the order of the weights.
        points: largest share first.
        weights: the grid, each of sum 1.
        winners: of each weight its winner's place among `points`.
        sure: of each weight how often that point wins over what replicates allow for; None where they do not tell.
    """

    objectives: tuple[str, ...]
    points: tuple[Standing, ...]
    weights: tuple[tuple[float, ...], ...]
    winners: tuple[int, ...]
    sure: tuple[float, ...] | None


def stability_of(
    feasible: Sequence[Point],
    objectives: Sequence[Objective],
    rule: PickRule,
    frame: Frame,
    points: Sequence[Point],
) -> Stability:
    """The map over the points that the guard let through; of equal points the earlier in `feasible` wins.

    Args:
        frame: of the rule; in each posterior draw it is moved to the points as they are there.
        points: all of the run, whose replicates tell the noise.
    """
    signs = np.array([objective.sign for objective in objectives])
    grid = grid_of(len(objectives))
    values = estimates(feasible, objectives) * signs
    winners = _winners(values, grid)
    keys = [objective.key(CONFIRM) for objective in objectives]
    samples = {point.id: one for point in points if (one := sample(point, keys))}
    noise = seed_noise(list(samples.values())) if samples else None  # of all points, not only of those left to choose
    each: Floats | None = None
    first: Floats | None = None
    if noise is not None and all(point.id in samples for point in feasible):
        places = [list(samples).index(point.id) for point in feasible]
        every = posterior_draws(list(samples.values()), noise, derive(0, "stability"), DRAWS)
        drawn = every[:, places] * signs
        won = np.array([_winners(one, grid) for one in drawn])  # (draws, W)
        each = np.array([(won == at).mean(axis=0) for at in range(len(feasible))])  # (N, W)
        best = np.array([int(np.argmax(np.round(rule.score(one, frame.moved(one)), 12))) for one in drawn])
        first = np.bincount(best, minlength=len(feasible)) / len(drawn)
    standings = [
        Standing(
            trial=point.number,
            architecture=point.architecture,
            share=float((winners == at).mean()),
            probability=None if each is None else float(each[at].mean()),
            by_rule=None if first is None else float(first[at]),
            until=point.until,
        )
        for at, point in enumerate(feasible)
    ]
    order = sorted(range(len(feasible)), key=lambda at: (-standings[at].share, -(standings[at].probability or 0.0), at))
    place = {at: i for i, at in enumerate(order)}
    return Stability(
        objectives=tuple(objective.name for objective in objectives),
        points=tuple(standings[at] for at in order),
        weights=tuple(tuple(row) for row in grid.tolist()),
        winners=tuple(place[at] for at in winners.tolist()),
        sure=None if each is None else tuple(each[winners, np.arange(len(grid))].tolist()),
    )


def grid_of(objectives: int) -> Floats:
    """Weights (W, M) evenly over the simplex, as finely as `GRID` and `FINEST` allow."""
    steps = FINEST if objectives == 1 else min(FINEST, steps_within(objectives, GRID))
    return lattice(objectives, steps) / steps


def _winners(values: Floats, grid: Floats) -> NDArray[np.int64]:
    """Of each weight (W,) the point whose weighted sum is largest, by values (N, M) scaled to their own range."""
    scaled = Frame.around(values).scaled(values)
    return np.asarray(np.argmax(np.round(grid @ scaled.T, 12), axis=1))
