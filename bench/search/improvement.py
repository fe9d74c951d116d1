"""How much hypervolume values are expected to add to a front, for any number of objectives.

In polar coordinates around the reference the hypervolume is, up to a constant, the mean over directions d in the
positive orthant of max over points of min over objectives of (max(0, y - r) / d)^M (Deng and Zhang 2019; Zhang and
Golovin, ICML 2020). What a point adds is the same mean of what it is ahead of the front, all directions at once.
"""

from __future__ import annotations

import numpy as np

from bench.search.encoding import Floats

DIRECTIONS = 96


def directions(objectives: int) -> Floats:
    """Unit vectors in the positive orthant, spread evenly: (DIRECTIONS, M). The same in every call."""
    if objectives == 1:
        return np.ones((1, 1))
    if objectives == 2:
        angles = (np.arange(DIRECTIONS) + 0.5) * np.pi / 2 / DIRECTIONS
        return np.column_stack([np.cos(angles), np.sin(angles)])
    normal = np.abs(np.random.default_rng(0).normal(size=(DIRECTIONS, objectives)))
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def reach(gains: Floats, of: Floats) -> Floats:
    """How far points reach in each direction, to the power of M: gains (.., M) -> (.., directions)."""
    ahead = np.maximum(gains, 0.0)
    nearest = ahead[..., 0, None] / of[:, 0]
    for objective in range(1, of.shape[1]):
        np.minimum(nearest, ahead[..., objective, None] / of[:, objective], out=nearest)
    nearest **= of.shape[1]
    return np.asarray(nearest)


def expected(samples: Floats, front: Floats, reference: Floats) -> Floats:
    """What points add on average; larger is better throughout.

    Args:
        samples: (S, N, M) of N points' values.
        front: (F, M).
        reference: (M,).

    Returns:
        (N,), in units that are the same for all points.
    """
    of = directions(len(reference))
    there = reach(front - reference, of).max(axis=0) if len(front) else np.zeros(len(of))
    ahead = reach(samples - reference, of)
    ahead -= there
    return np.asarray(np.maximum(ahead, 0.0, out=ahead).mean(axis=(0, 2)))
